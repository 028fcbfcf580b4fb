/* SPDX-License-Identifier: GPL-2.0 */
/*
 * --checkpoint, --checkpoint-dir and --restart-dir, and the variables that
 * stand for them: in srun, sbatch and salloc they are read, refused or made
 * whole, and put into the environment of job or step, where slurmstepd finds
 * them.  (The options that Slurm itself hands over are as they were typed, and
 * 22.05 loses them in a batch job with --export=NONE.)
 */
#ifndef CKPT_SLURM_OPTIONS_H
#define CKPT_SLURM_OPTIONS_H

#include <slurm/spank.h>

#include "job/crew.h"

enum option {
	OPTION_CHECKPOINT,		/* an interval, in one of its forms */
	OPTION_CHECKPOINT_DIR,		/* an absolute path */
	OPTION_RESTART_DIR,		/* an absolute path; steps only */
	NR_OPTIONS
};

/* What else is in the environment of jobs and steps. */
#define ENV_HELPER	CREW_MARK		/* a step of ckctl's own */
#define ENV_JOB		"SLURM_CHECKPOINT_JOB"	/* the job that is checkpointed as a whole */
#define ENV_JOB_DIR	"SLURM_CHECKPOINT_JOB_DIR"	/* ID:DIRECTORY, of a batch job, for its steps */
#define ENV_IMAGE_DIR	"SLURM_CHECKPOINT_IMAGE_DIR"	/* what it was in Slurm's own days */

/* Have Slurm know the options, and prefer the variables to #SBATCH lines. */
void options_register(spank_t sp);
/*
 * All options have been given.  One that is not good ends the program, with a
 * sentence, before anything is submitted or launched.
 */
void options_settle(spank_t sp);
/* In slurmstepd: the variable in which such an option comes. */
const char *options_carrier(enum option option);

#endif
