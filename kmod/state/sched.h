/* SPDX-License-Identifier: GPL-2.0 */
/* Scheduling of threads. */
#ifndef CKPT_STATE_SCHED_H
#define CKPT_STATE_SCHED_H

extern const struct ckpt_state_ops ckpt_sched_ops;

#endif
