/* SPDX-License-Identifier: GPL-2.0 */
/* File locks that belong to a process. */
#ifndef CKPT_LOCKS_H
#define CKPT_LOCKS_H

#include <linux/types.h>

struct ckpt_plan_lock;
struct ckpt_session;

int ckpt_locks_take(struct ckpt_session *s, const struct ckpt_plan_lock *locks, u32 nr);

#endif
