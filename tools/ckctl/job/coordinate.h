/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The checkpoint of a job of Slurm, or of one step of it, on all of its nodes at
 * once: everything is frozen, then everything looked at, then all runs on, then
 * all is written, and one manifest makes it an image (jobimage.h).
 */
#ifndef CKCTL_COORDINATE_H
#define CKCTL_COORDINATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define COORDINATE_NOT_DRAINED	"what the tasks had written was not all in the job's output file yet; " \
				"at a restart, lines may be missing or doubled"

struct coordinate_request {
	const char *job;		/* as Slurm writes it: "5", "5_3" */
	const char *step;		/* "0"; NULL or "" for all of the job */
	const char *image_dir;		/* NULL: where the job was told to, or here */
	unsigned int keep;		/* complete checkpoints kept; 0 for 1 */
	uint64_t max_wait_ms;		/* for all of it; 0 for no limit */
};

struct coordinate_result {
	char *image;			/* its path */
	uint32_t generation;
	uint64_t nr_tasks, nr_threads;	/* processes */
	uint64_t bytes;
	uint64_t duration_ns, standstill_ns;
	json_t *nodes;			/* where it has processes: names */
	bool batch;			/* with the batch script */
	bool drained;			/* what its tasks had written was in its file */
};

/*
 * Returns enum ck_exit and has reported the failure (out.h).  Whatever it is but
 * CK_OK, the job runs on and the former image is as it was.  Root becomes the
 * job's owner for good.  @res is filled in any case.
 */
int coordinate(const struct coordinate_request *req, struct coordinate_result *res);
void coordinate_result_free(struct coordinate_result *res);

#endif
