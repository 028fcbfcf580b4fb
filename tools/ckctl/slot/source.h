/* SPDX-License-Identifier: GPL-2.0 */
/* What a task continues from: its processes, in one part of the image of a job. */
#ifndef CKCTL_SOURCE_H
#define CKCTL_SOURCE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "image/jobimage.h"

struct source {
	char path[PATH_MAX];		/* of the image, …@<n> for a certain generation */
	char step[16];			/* which of its steps */
	struct job_image *job;
	const struct job_part *part;	/* where the task was; NULL: not found yet */
};

/*
 * The image of a batch job at @path, for its script; or what srun was told is
 * that of a step:
 *
 *	<job image>/gen-<n>/<step>	as it tells the steps of a job that goes on
 *	<name>.ckpt			of a step, or of a job with one step
 *	a directory			with just one such image of a step
 *
 * Returns enum ck_exit and has reported the failure; CK_NOTFOUND when there is
 * no image at all.
 */
int source_open_batch(struct source *s, const char *path);
int source_open_step(struct source *s, const char *path);
/* The part with the task of that rank; *@ended: that task had ended, while others of its step
 * had not, with that wait status, 0 where that is not known; else -1. */
int source_find(struct source *s, uint32_t rank, int *ended);
/* How many tasks the step had, those that had ended among them. */
uint32_t source_tasks(const struct source *s);
/* The processes of that task, once it was found. */
int source_image(const struct source *s, uint32_t rank, struct image **image);
/* The newest manifest is another one by now: what failed may be because of that. */
bool source_replaced(const struct source *s);
void source_close(struct source *s);

#endif
