/* SPDX-License-Identifier: GPL-2.0 */
/* How tasks begin, where they have something to continue from, and how they end. */
#ifndef CKPT_SLURM_TASK_H
#define CKPT_SLURM_TASK_H

#include <slurm/spank.h>

#include "step.h"

/*
 * In the task's own process, as its user, just before its program is executed:
 * if there is an image for it, "ckctl job-task" takes the program's place, and
 * gets its command line.  Where that cannot be, the program starts as ever.
 */
void task_continue(spank_t sp, const struct step *step, const char *prefix);

/* In slurmstepd: a task has ended, and an image of those that go on will have to tell how. */
void task_ended(spank_t sp, const struct step *step);
/* In slurmstepd, at its end: that is of no use any more. */
void task_forget(void);

#endif
