/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A batch script that goes on under another id has the former one in its memory,
 * and hands it on to every srun: Slurm knows nothing of that job any more.
 */
#ifndef CKPT_SLURM_JOB_ID_H
#define CKPT_SLURM_JOB_ID_H

/* Whose script that is, put in the environment of it. */
#define ENV_BATCH	"SLURM_CHECKPOINT_BATCH"

/* In srun, before it looks at its environment: that of the job in which it is. */
void job_id_correct(void);

#endif
