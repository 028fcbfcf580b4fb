/* SPDX-License-Identifier: GPL-2.0 */
/* What Slurm says of the time that a job, or a step, still has.  Times are of the wall clock. */
#ifndef CKCTL_OUTLOOK_H
#define CKCTL_OUTLOOK_H

#include <stdbool.h>
#include <stdint.h>

struct deadline;

struct outlook_source {
	const struct deadline *stop;
	const char *job;
	const char *step;		/* "<job>.<step>"; NULL for all of the job */
	/* What is learnt the first time: */
	bool grace_known;
	uint64_t grace_s;		/* how long it has when it is preempted */
	uint64_t poll_s;		/* how often to ask for that; 0 for never */
};

struct outlook {
	int64_t started;
	int64_t end;			/* 0 for never */
	bool preempted;			/* its tasks have been told to end */
	bool resting;			/* it is suspended, or about to end */
};

/* False where Slurm does not answer. */
bool outlook_ask(struct outlook_source *source, struct outlook *outlook);

#endif
