/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A sign of life every other second while something else is at work that may
 * take long, such as a disk: {"alive": true}, talk.h.  Who waits can tell a slow
 * node from a dead one.
 */
#ifndef CKCTL_ALIVE_H
#define CKCTL_ALIVE_H

#include <stdbool.h>

struct alive;

/* Start the thread that does it; NULL where that cannot be, which all of these take. */
struct alive *alive_start(int fd);
/* Work begins or ends; when it has ended, nothing more is written. */
void alive_work(struct alive *alive, bool at_work);
void alive_end(struct alive *alive);

#endif
