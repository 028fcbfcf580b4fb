/* SPDX-License-Identifier: GPL-2.0 */
/* "ckctl restart" of a batch job of Slurm's. */
#ifndef CKCTL_RESTART_JOB_H
#define CKCTL_RESTART_JOB_H

#include <stdbool.h>

struct restart_job_request {
	const char *job;		/* "5" or "5_3"; NULL: that of the image */
	const char *image;		/* its path, "@<n>" after it or not; NULL: to be found */
	const char *generation;		/* "@<n>" for an image that is to be found; or NULL */
	const char *image_dir;		/* where to look for it; NULL: wherever it was made */
	bool same_nodes;		/* StickToNodes */
};

int restart_job(const struct restart_job_request *req);

#endif
