// SPDX-License-Identifier: GPL-2.0
#include "step.h"

#include <limits.h>
#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interval.h"
#include "job_id.h"
#include "options.h"
#include "out.h"
#include "policy.h"

static struct step step;
static bool known;

const char *step_getenv(spank_t sp, const char *name)
{
	size_t len = strlen(name);
	char **env = NULL;

	if (spank_get_item(sp, S_JOB_ENV, &env) != ESPANK_SUCCESS)
		return NULL;
	for (; env && *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

const struct step *step_known(void)
{
	return known ? &step : NULL;
}

static char *copy_of(const char *text)
{
	return text && *text ? strdup(text) : NULL;
}

/* Who submitted it was told when it was wrong. */
static uint64_t interval_of(const char *text)
{
	struct capture outer;
	uint64_t seconds;
	int rc;

	if (!text)
		return 0;
	outer = fail_mute();
	rc = interval_parse(text, &seconds);
	fail_restore(outer);
	return rc ? 0 : seconds;
}

/* The job as a whole is checkpointed: its steps are not. */
static bool covered(spank_t sp)
{
	const char *job = step_getenv(sp, ENV_JOB);
	char id[16];

	snprintf(id, sizeof(id), "%u", step.job_id);
	return job && strcmp(job, id) == 0;
}

/* A batch job's --checkpoint-dir, for a step that has none of its own. */
static char *job_dir(spank_t sp, const char *id)
{
	const char *dir = step_getenv(sp, ENV_JOB_DIR);
	size_t len = strlen(id);

	return dir && strncmp(dir, id, len) == 0 && dir[len] == ':' ? copy_of(dir + len + 1) : NULL;
}

/* default_dir, where the user has named none; that it is there is for ckctl to see to. */
static char *site_dir(const char *job)
{
	struct capture outer;
	char path[PATH_MAX], sentence[1024];
	int rc;

	outer = fail_capture(sentence, sizeof(sentence));
	rc = policy_default_dir(path, sizeof(path), step.uid, job);
	fail_restore(outer);
	if (rc)
		slurm_error("ckpt: %s", sentence);
	return rc ? NULL : copy_of(path);
}

static void take_options(spank_t sp)
{
	int i;

	step.interval_s = interval_of(step_getenv(sp, options_carrier(OPTION_CHECKPOINT)));
	step.image_dir = copy_of(step_getenv(sp, options_carrier(OPTION_CHECKPOINT_DIR)));
	if (!step.batch)
		step.restart_dir = copy_of(step_getenv(sp, options_carrier(OPTION_RESTART_DIR)));
	/* They are this step's: what it starts, by srun or sbatch, does not have them. */
	for (i = 0; i < NR_OPTIONS; i++)
		spank_unsetenv(sp, options_carrier((enum option)i));
	if (!step.batch)
		spank_unsetenv(sp, "SLURM_RESTART_DIR");
}

/* For what the step, or the batch script, starts. */
static void put_variables(spank_t sp, const char *id)
{
	char dir[PATH_MAX + 16];

	if (step.batch)
		spank_setenv(sp, ENV_BATCH, id, 1);
	if (step.batch && step.interval_s)
		spank_setenv(sp, ENV_JOB, id, 1);
	if (!step.image_dir) {
		/* What is there is that of the job by which this one was submitted. */
		spank_unsetenv(sp, ENV_IMAGE_DIR);
		return;
	}
	spank_setenv(sp, ENV_IMAGE_DIR, step.image_dir, 1);
	snprintf(dir, sizeof(dir), "%s:%s", id, step.image_dir);
	if (step.batch)
		spank_setenv(sp, ENV_JOB_DIR, dir, 1);
}

const struct step *step_look(spank_t sp)
{
	bool named;
	char id[16];

	if (known)
		return &step;
	if (spank_get_item(sp, S_JOB_ID, &step.job_id) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_STEPID, &step.step_id) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_NODEID, &step.node) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_UID, &step.uid) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_GID, &step.gid) != ESPANK_SUCCESS)
		return NULL;
	known = true;
	step.batch = step.step_id == SLURM_BATCH_SCRIPT;
	step.ours = (step.batch || step.step_id <= SLURM_MAX_NORMAL_STEP_ID) &&
		    !step_getenv(sp, ENV_HELPER);
	if (!step.ours)
		return &step;
	take_options(sp);
	if (!step.batch && covered(sp)) {
		step.interval_s = 0;
		free(step.image_dir);
		step.image_dir = NULL;
	}
	named = step.image_dir;
	snprintf(id, sizeof(id), "%u", step.job_id);
	if (!named)
		step.image_dir = job_dir(sp, id);
	put_variables(sp, id);
	if (!step.image_dir)
		step.image_dir = site_dir(id);
	/* One with nothing but a directory is there to be asked, and tells ckctl of that. */
	step.keeper = step.node == 0 && (step.interval_s || named);
	return &step;
}
