/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes of a job's cgroup that its image does not have.
 *
 * Slots (job/slot.h) are left out without a word; what they have started are
 * roots of the job.  The clients of job steps (srun) are left out with all that
 * descends from them, and started anew at a restart (relaunch.c): their steps are,
 * too, and all that they know is what they and their steps have told each other.
 * So is a ckctl that has asked for a checkpoint of its own job (job/ask.h): that it
 * is started anew is its answer.
 */
#ifndef CKCTL_OMIT_H
#define CKCTL_OMIT_H

#include "state.h"

/*
 * Sort them out, while they stand still or in a rehearsal: from d->procs to
 * d->omitted; what is started anew stays where it is, marked.  An obstacle when
 * there is nobody to start it anew.
 */
int omit_find(struct dump *d);
/* Is @p, as it is now, one that is started anew? */
bool omit_is_client(const struct proc *p);
/* All of them into d->procs again, for another look later. */
void omit_undo(struct dump *d);

#endif
