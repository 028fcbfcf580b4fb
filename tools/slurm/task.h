/* SPDX-License-Identifier: GPL-2.0 */
/* A task that has something to continue from. */
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

#endif
