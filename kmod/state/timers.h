/* SPDX-License-Identifier: GPL-2.0 */
/* Interval timers and POSIX timers. */
#ifndef CKPT_STATE_TIMERS_H
#define CKPT_STATE_TIMERS_H

#include <linux/types.h>

struct task_struct;

extern const struct ckpt_state_ops ckpt_timers_ops;

void ckpt_timers_start(struct task_struct *leader, u64 armed_ns);

#endif
