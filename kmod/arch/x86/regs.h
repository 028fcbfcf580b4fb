/* SPDX-License-Identifier: GPL-2.0 */
/* Registers and floating point state of one thread. */
#ifndef CKPT_ARCH_REGS_H
#define CKPT_ARCH_REGS_H

#include <linux/types.h>

struct netlink_ext_ack;
struct task_struct;

extern const struct ckpt_state_ops ckpt_regs_ops;

u64 ckpt_regs_xfeatures(void);
u32 ckpt_regs_xstate_size(void);

int ckpt_regs_set(struct task_struct *t, const void *regs, size_t regs_len, const void *xstate,
		  size_t xstate_len, struct netlink_ext_ack *extack);
int ckpt_regs_sleeping_call(struct task_struct *t);
void ckpt_regs_resume(void);
bool ckpt_regs_in_send(void);

#endif
