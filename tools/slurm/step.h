/* SPDX-License-Identifier: GPL-2.0 */
/* In slurmstepd: the step, or the batch shell, that it is there for. */
#ifndef CKPT_SLURM_STEP_H
#define CKPT_SLURM_STEP_H

#include <slurm/spank.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct step {
	uint32_t job_id, step_id, node;		/* node: its number within the step */
	uid_t uid;
	gid_t gid;
	bool batch;				/* the batch shell */
	bool ours;				/* to be looked after: no helper, not interactive */
	bool keeper;				/* somebody keeps a schedule, on this node */
	uint64_t interval_s;
	char *image_dir;			/* the user's, or the site's; NULL: the working directory */
	char *restart_dir;			/* for a step: the image to continue from */
};

/* Look at it, once all options are there, and put its environment right. */
const struct step *step_look(spank_t sp);
/* What that found; NULL before. */
const struct step *step_known(void);
/* A variable of the job's environment, valid until that changes; or NULL. */
const char *step_getenv(spank_t sp, const char *name);

#endif
