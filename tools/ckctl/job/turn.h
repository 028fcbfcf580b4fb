/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The schedules of a node's jobs take turns, one for each processor: fifty checkpoints
 * at once would each take fifty times as long, and the jobs would stand still for seconds.
 *
 * A turn is a socket with an abstract name, to which those who wait for it are connected:
 * it is passed on to the first of them, and when who has it dies, all of them notice.
 * Anybody could take all turns and keep them: nobody should wait for ever.
 */
#ifndef CKCTL_TURN_H
#define CKCTL_TURN_H

#include <stdbool.h>

struct turn {
	int fd;				/* the turn, or -1 */
	int watch;			/* the place of who waits for one, or -1 */
};

#define NO_TURN	{ .fd = -1, .watch = -1 }

/* True for somebody who may go ahead: has a turn, or there are none to be had here at
 * all.  Else, try again when @watch can be read; an earlier try costs nothing. */
bool turn_take(struct turn *t);
/* It is the next one's, or the place in the row is. */
void turn_leave(struct turn *t);

#endif
