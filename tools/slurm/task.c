// SPDX-License-Identifier: GPL-2.0
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/exits.h"
#include "task_name.h"

/*
 * Is there anything to continue from: the whole decision.  Whether it is there,
 * of this very job, and can be used, is for ckctl to see, who runs the program
 * if not.
 */
static bool find_image(spank_t sp, const struct step *step, char *image, size_t size)
{
	const char *count = step_getenv(sp, "SLURM_RESTART_COUNT");
	char cwd[PATH_MAX];

	/* srun --restart-dir, or what srun was told when it was itself started again. */
	if (!step->batch)
		return step->restart_dir &&
		       (size_t)snprintf(image, size, "%s", step->restart_dir) < size;
	/* Requeued, or submitted by ckctl restart.  (S_SLURM_RESTART_COUNT is always 0.) */
	if ((!count || atoi(count) <= 0) && !step_getenv(sp, TASK_ENV_SUBMITTED))
		return false;
	if (!step->image_dir && !getcwd(cwd, sizeof(cwd)))
		return false;
	return (size_t)snprintf(image, size, "%s/%u.ckpt", step->image_dir ? step->image_dir : cwd,
				step->job_id) < size;
}

#if SLURM_VERSION_NUMBER >= SLURM_VERSION_NUM(23, 11, 0)

static int replace(spank_t sp, const char *prefix, const char *image)
{
	char program[PATH_MAX];
	const char *argv[] = { program, "job-task", "--image", image, "--", NULL };

	snprintf(program, sizeof(program), "%s/bin/ckctl", prefix);
	if (access(program, X_OK) < 0)
		return -1;
	return spank_prepend_task_argv(sp, 5, argv) == ESPANK_SUCCESS ? 0 : -1;
}

#else

/*
 * There is no spank_prepend_task_argv(), but what is got here is the array that
 * slurmstepd executes, after prolog, limits and all: its first string can be
 * another.  (Not with srun --multi-prog, where each task has an array of its own.)
 */
static int replace(spank_t sp, const char *prefix, const char *image)
{
	char program[PATH_MAX], **argv = NULL;
	int argc;

	snprintf(program, sizeof(program), "%s/" TASK_PROGRAM, prefix);
	if (access(program, X_OK) < 0 ||
	    spank_get_item(sp, S_JOB_ARGV, &argc, &argv) != ESPANK_SUCCESS || argc < 1 ||
	    spank_setenv(sp, TASK_ENV_COMMAND, argv[0], 1) != ESPANK_SUCCESS ||
	    spank_setenv(sp, TASK_ENV_IMAGE, image, 1) != ESPANK_SUCCESS)
		return -1;
	argv[0] = strdup(program);
	return argv[0] ? 0 : -1;
}

#endif

void task_continue(spank_t sp, const struct step *step, const char *prefix)
{
	char image[PATH_MAX];

	if (!find_image(sp, step, image, sizeof(image)) || replace(sp, prefix, image) == 0)
		return;
	slurm_error("ckpt: cannot continue from %s: %s; starting anew", image, strerror(errno));
	/* Jobs that it submits are no restarts. */
	spank_unsetenv(sp, TASK_ENV_SUBMITTED);
}

/* The file is slurmstepd's own. */
static char exits_path[64];
static int exits_fd = -1;

void task_ended(spank_t sp, const struct step *step)
{
	uint32_t rank;
	char line[32];
	int status, len;

	if (step->batch || spank_get_item(sp, S_TASK_GLOBAL_ID, &rank) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_TASK_EXIT_STATUS, &status) != ESPANK_SUCCESS)
		return;
	if (exits_fd < 0) {
		snprintf(exits_path, sizeof(exits_path), EXITS_DIR "/%u.%u.%u", step->job_id,
			 step->step_id, step->node);
		mkdir(EXITS_DIR, 0755);
		/* A requeued job has the ids of its former life. */
		exits_fd = open(exits_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC,
				0644);
	}
	len = snprintf(line, sizeof(line), "%u %d\n", rank, status);
	if (exits_fd < 0 || write(exits_fd, line, (size_t)len) != len)
		slurm_error("ckpt: cannot write to %s: %m", exits_path);
}

void task_forget(void)
{
	if (exits_fd >= 0)
		unlink(exits_path);
}
