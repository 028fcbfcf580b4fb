/* SPDX-License-Identifier: GPL-2.0 */
/* One thread, registers aside. */
#ifndef CKPT_STATE_THREAD_H
#define CKPT_STATE_THREAD_H

#include <linux/types.h>

struct ckpt_session;
struct netlink_ext_ack;
struct robust_list_head;
struct task_struct;

/**
 * struct ckpt_thread_set - what a thread puts in place as it is let go
 * @sigmask: blocked signals, bit n-1 for signal n
 * @rseq_addr: user address of its struct rseq, 0 for none
 * @rseq_len: its length
 * @rseq_sig: its signature
 */
struct ckpt_thread_set {
	u64 sigmask;
	u64 rseq_addr;
	u32 rseq_len;
	u32 rseq_sig;
};

/**
 * struct ckpt_thread_hidden - user pointers of a parked thread
 * @robust_list: as set_robust_list(2) left it
 * @clear_child_tid: as set_tid_address(2) left it
 */
struct ckpt_thread_hidden {
	struct robust_list_head __user *robust_list;
	int __user *clear_child_tid;
};

extern const struct ckpt_state_ops ckpt_thread_ops;

int ckpt_thread_dump_ended(struct ckpt_session *s, struct task_struct *leader);
int ckpt_thread_check_set(const struct ckpt_thread_set *set, struct netlink_ext_ack *extack);
void ckpt_thread_hide(struct ckpt_thread_hidden *hidden);
void ckpt_thread_restore(const struct ckpt_thread_hidden *hidden,
			 const struct ckpt_thread_set *set);

#endif
