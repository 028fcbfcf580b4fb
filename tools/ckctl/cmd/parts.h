/* SPDX-License-Identifier: GPL-2.0 */
/* The image that a command is about, of either kind, as a list of images of cgroups. */
#ifndef CKCTL_PARTS_H
#define CKCTL_PARTS_H

#include "image/jobimage.h"

struct parts {
	struct job_image *job;		/* NULL for the image of a cgroup */
	struct image **images;		/* that one, or one for each of job->parts */
	size_t nr;
};

/* @arg as cmd_image_path() takes it; @path gets what that makes of it. */
int parts_open(struct parts *p, char *path, size_t size, const char *arg);
/* Of a generation of the image of a job. */
int parts_open_job(struct parts *p, const char *path);
void parts_close(struct parts *p);

#endif
