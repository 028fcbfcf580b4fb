/* SPDX-License-Identifier: GPL-2.0 */
/* A batch job of Slurm begins again, under its id. */
#ifndef CKCTL_REQUEUE_H
#define CKCTL_REQUEUE_H

#include <jansson.h>

struct deadline;

/* Could it?  @job is Slurm's record of it.  Returns enum ck_exit. */
int requeue_check(const char *id, const json_t *job);
/*
 * Have it begin again as soon as Slurm finds room for it: returns when it waits for
 * that, or after a minute of coming to its end.  @nodes: on these and no others; ""
 * for any; NULL for what it was submitted with.  Returns enum ck_exit.
 */
int requeue(const struct deadline *d, const char *id, const char *nodes);
/* The same for one that has been requeued, and waits. */
int requeue_hasten(const struct deadline *d, const char *id, const char *nodes);
/* One that is held waits no longer. */
int requeue_release(const struct deadline *d, const char *id);

#endif
