/* SPDX-License-Identifier: GPL-2.0 */
/* The keeper of a job's or step's schedule (ckctl job-keeper): started and ended. */
#ifndef CKPT_SLURM_LAUNCH_H
#define CKPT_SLURM_LAUNCH_H

#include <slurm/spank.h>

#include "step.h"

/* From slurmstepd's main process, as root, once its first task exists. */
void keeper_start(spank_t sp, const struct step *step, const char *prefix);
/*
 * One of its tasks has ended.  After the last one slurmstepd kills all that is in
 * the step's cgroups, of which the keeper's is one: it must be gone by then, or
 * a checkpoint under way would not end in good order.
 */
void keeper_task_ended(spank_t sp);
/* Returns when nothing of it is left, which takes 10 seconds at the very most. */
void keeper_end(void);

#endif
