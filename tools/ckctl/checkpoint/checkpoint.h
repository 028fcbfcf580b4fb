/* SPDX-License-Identifier: GPL-2.0 */
/* The one function that makes a checkpoint. */
#ifndef CKCTL_CHECKPOINT_H
#define CKCTL_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../job/enter.h"

struct job_stream;

struct checkpoint_request {
	const char *cgroup;		/* directory of the job's cgroup */
	const char *id;			/* name of the image */
	const char *image_dir;
	const struct job_stream *streams; /* [3], of its launch; NULL when not known */
	struct job_view view;		/* as job_enter() found it */
	unsigned int keep;		/* complete checkpoints kept, at least 1 */
	uint64_t max_wait_ms;		/* for all of it; 0 for no limit */
	bool stop;			/* write while frozen: the reference mode */
	bool kill;			/* end the job when the image is complete */
	bool leave_frozen;		/* leave it frozen then */
	bool stream;			/* pages come through netlink, not into a file */
	bool check_only;		/* freeze, look, let go */
};

struct checkpoint_result {
	char *image;			/* its path */
	uint32_t generation;
	uint64_t nr_tasks, nr_threads;
	uint64_t bytes;			/* page bytes written */
	uint64_t nr_pages, nr_zero, nr_copied;
	uint64_t duration_ns;
	uint64_t standstill_ns;
	char **obstacles;		/* check_only: what stands against it */
	size_t nr_obstacles;
};

/*
 * Returns enum ck_exit.  Whatever it is but CK_OK, the job runs on (unless it
 * was frozen before), and the former image is as it was.  Obstacles are
 * CK_REFUSED, each reported by name; with check_only they are only handed back.
 * @res is filled in any case.
 */
int checkpoint_make(const struct checkpoint_request *req, struct checkpoint_result *res);
void checkpoint_result_free(struct checkpoint_result *res);

#endif
