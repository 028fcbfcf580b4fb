/* SPDX-License-Identifier: GPL-2.0 */
/* Locks on files, as /proc/PID/fdinfo tells of them. */
#ifndef CKCTL_LOCKS_H
#define CKCTL_LOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/ckpt.h>
#include <linux/ckpt_image.h>

struct image_process;
struct restore;

/*
 * The next "lock:" line in an fdinfo, from *@info on, which moves.  False when
 * there is none.  @lock->kind is 0 for one that cannot be saved.
 */
bool lock_next(const char **info, struct ckpt_rec_lock *lock);

/* In the skeleton of @p: the locks of its own that the module shall take. */
int locks_plan(const struct restore *r, const struct image_process *p, struct ckpt_plan *plan);

#endif
