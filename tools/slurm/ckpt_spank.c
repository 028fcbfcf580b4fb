// SPDX-License-Identifier: GPL-2.0
/*
 * The Slurm plugin: what Slurm calls, and when.  In its commands it sees to the
 * options; in slurmstepd it starts the keeper of the schedule and puts ckctl in
 * the place of a program that has an image to continue from.  It is optional,
 * and its trouble is nobody else's: whatever fails, jobs run as they would
 * without it.  Only an option that is wrong ends anything, at submission.
 */
#include <slurm/spank.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "announce.h"
#include "job_id.h"
#include "launch.h"
#include "options.h"
#include "step.h"
#include "task.h"

SPANK_PLUGIN(ckpt, 1)

/* Where ckctl is: the argument in plugstack.conf, or where it is installed by default. */
static const char *prefix_of(int ac, char **av)
{
	int i;

	for (i = 0; i < ac; i++)
		if (strncmp(av[i], "prefix=", 7) == 0)
			return av[i] + 7;
	return CKPT_PREFIX;
}

int slurm_spank_init(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	switch (spank_context()) {
	case S_CTX_LOCAL:
		job_id_correct();
		options_register(sp);
		break;
	case S_CTX_ALLOCATOR:
	case S_CTX_REMOTE:
		options_register(sp);
		break;
	default:
		break;
	}
	return 0;
}

int slurm_spank_init_post_opt(spank_t sp, int ac, char **av)
{
	(void)ac;
	(void)av;
	if (spank_context() == S_CTX_REMOTE)
		step_look(sp);
	else
		options_settle(sp);
	return 0;
}

/*
 * In srun, the step exists: as long as it does, so does a descriptor by which a
 * checkpoint of the batch job finds out which step this srun is for.
 */
int slurm_spank_local_user_init(spank_t sp, int ac, char **av)
{
	uint32_t job, step;
	char name[64];

	(void)ac;
	(void)av;
	if (getenv(ENV_HELPER) || spank_get_item(sp, S_JOB_ID, &job) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_STEPID, &step) != ESPANK_SUCCESS)
		return 0;
	snprintf(name, sizeof(name), "ckpt-step:%u.%u", job, step);
	if (memfd_create(name, MFD_CLOEXEC) < 0)
		slurm_error("ckpt: cannot mark this step: %m");
	announce_step(job, step);
	return 0;
}

int slurm_spank_task_post_fork(spank_t sp, int ac, char **av)
{
	const struct step *step = step_known();
	int task;

	if (step && step->keeper && spank_get_item(sp, S_TASK_ID, &task) == ESPANK_SUCCESS &&
	    task == 0)
		keeper_start(sp, step, prefix_of(ac, av));
	return 0;
}

int slurm_spank_task_init(spank_t sp, int ac, char **av)
{
	const struct step *step = step_known();

	if (step && step->ours)
		task_continue(sp, step, prefix_of(ac, av));
	return 0;
}

int slurm_spank_task_exit(spank_t sp, int ac, char **av)
{
	const struct step *step = step_known();

	(void)ac;
	(void)av;
	if (step && step->ours)
		task_ended(sp, step);
	keeper_task_ended(sp);
	return 0;
}

int slurm_spank_exit(spank_t sp, int ac, char **av)
{
	(void)sp;
	(void)ac;
	(void)av;
	if (spank_context() == S_CTX_REMOTE) {
		keeper_end();
		task_forget();
	}
	return 0;
}
