/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The steps of a job on this node, as Slurm lays out their cgroups:
 *
 *	…/job_<id>/step_<step>/user/…	the step's tasks
 *	…/job_<id>/step_<step>/slurm	Slurm's own process for it, and our keeper
 *
 * Where that is, only a process in it knows: its own cgroup tells.  All int
 * functions return enum ck_exit and have reported failures (out.h).
 */
#ifndef CKCTL_STEPS_H
#define CKCTL_STEPS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct steps_place {
	char job[PATH_MAX];		/* directory of the job */
	char job_id[32];		/* "" where its name does not tell */
	char step[32];			/* of this process */
	bool user;			/* this process is among that step's tasks */
};

/* What the path of a cgroup tells; false when it is of no job. */
bool steps_parse(const char *cgroup, struct steps_place *place);
/* The same for this process's cgroup: CK_NOTFOUND when it is in no job. */
int steps_here(struct steps_place *place);

struct step {
	char name[16];			/* "batch" or a number */
	char user[PATH_MAX];		/* directories of its cgroups */
	char slurm[PATH_MAX];
};

/*
 * All steps of the job that have tasks on this node, but for those that are not
 * the job's work: Slurm's extern and interactive, and agents of checkpoints.
 * free(*steps).
 */
int steps_list(const struct steps_place *place, struct step **steps, size_t *nr);

#endif
