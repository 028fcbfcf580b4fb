/* SPDX-License-Identifier: GPL-2.0 */
/* A restart as its owner sees it: tickets for threads, SET, COMMIT; see park.h. */
#ifndef CKPT_RESTORE_H
#define CKPT_RESTORE_H

#include <linux/types.h>

struct ckpt_session;
struct netlink_ext_ack;
struct sk_buff;

/**
 * struct ckpt_thread_state - what SET gives a parked thread
 * @pid: the thread, as the session's owner sees it
 * @regs: struct user_regs_struct
 * @regs_len: its length
 * @xstate: the uncompacted xsave area
 * @xstate_len: its length, 0 for none
 * @sigmask: blocked signals
 * @rseq_addr: user address of its struct rseq, 0 for none
 * @rseq_len: its length
 * @rseq_sig: its signature
 * @stopped: it leads a process that is stopped
 * @stop_signal: that the parent has yet to be told of by wait(2), 0 for none
 */
struct ckpt_thread_state {
	pid_t pid;
	const void *regs;
	size_t regs_len;
	const void *xstate;
	size_t xstate_len;
	u64 sigmask;
	u64 rseq_addr;
	u32 rseq_len;
	u32 rseq_sig;
	bool stopped;
	u32 stop_signal;
};

int ckpt_restore_open(struct ckpt_session *s, u32 nr_threads);
int ckpt_restore_park(struct ckpt_session *s, struct sk_buff *skb, u64 plan_addr,
		      struct netlink_ext_ack *extack);
int ckpt_restore_set(struct ckpt_session *s, const struct ckpt_thread_state *state,
		     struct netlink_ext_ack *extack);
int ckpt_restore_commit(struct ckpt_session *s);
void ckpt_restore_abort(struct ckpt_session *s);
void ckpt_restore_free(struct ckpt_session *s);
void ckpt_restore_exit(void);

#endif
