/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The keeper of a job's schedule, or of a step's: a process of the job's user,
 * beside the first of its tasks, that has a checkpoint made whenever one is due
 * (schedule.h), or asked for by the job (ask.h).  The Slurm plugin starts it, and ends it by closing the pipe
 * that it has for standard input.
 */
#ifndef CKCTL_KEEPER_H
#define CKCTL_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct keeper_request {
	const char *name;		/* "<job>" or "<job>.<step>" */
	char job[32];
	bool step;
	const char *image_dir;		/* absolute */
	uint64_t interval_s;		/* 0: only when asked */
	pid_t task;			/* whose standard error the user reads */
};

/* Returns enum ck_exit once it is over. */
int keeper_run(const struct keeper_request *req);

#endif
