/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory for copies.  The pages of an image that is being written are the job's
 * own: it gets a copy of each one that it writes to meanwhile, in the worst case
 * of all.  Where limits or the machine leave no room for that the job would die
 * of its checkpoint, so it must stand still until the image is written.
 */
#ifndef CKCTL_ROOM_H
#define CKCTL_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../state/proc.h"

/* Bytes. */
struct room {
	uint64_t need;			/* what may be copied, at most */
	uint64_t left;			/* what may still be had */
};

/* Of the processes of @cgroup, a directory.  What cannot be read limits nothing. */
struct room room_look(const char *cgroup, const struct proc *procs, size_t nr);
/* With something to spare: the job goes on growing. */
bool room_suffices(struct room room);

#endif
