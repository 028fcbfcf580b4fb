/* SPDX-License-Identifier: GPL-2.0 */
/* Interval timers and POSIX timers. */
#ifndef CKPT_STATE_TIMERS_H
#define CKPT_STATE_TIMERS_H

extern const struct ckpt_state_ops ckpt_timers_ops;

#endif
