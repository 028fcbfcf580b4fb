/* SPDX-License-Identifier: GPL-2.0 */
/* Scheduling of threads. */
#ifndef CKCTL_SCHED_H
#define CKCTL_SCHED_H

#include "state.h"

/* In thread @t of a skeleton, with whatever rights there are: threads that it
 * makes later inherit it all. */
int sched_settle(const struct restore *r, const struct image_thread *t);

#endif
