/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The schedules of a node's jobs take turns, one for each processor: fifty checkpoints
 * at once would each take fifty times as long, and the jobs would stand still for seconds.
 *
 * A turn is a socket with an abstract name, which ends with who has it, and which others
 * are connected to, so that they notice.  Anybody could take all of them and keep them:
 * nobody should wait for ever.
 */
#ifndef CKCTL_TURN_H
#define CKCTL_TURN_H

/*
 * A descriptor that is the caller's turn, to be closed after it.  -1 when there is none: then
 * *@watch, to be closed as well, can be read when it is worth to try again; -1, too, when
 * there are no turns to be had here at all.
 */
int turn_take(int *watch);

#endif
