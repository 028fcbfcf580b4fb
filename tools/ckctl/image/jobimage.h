/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The image of a job of a batch system: <dir>/<job>.ckpt as
 * <linux/ckpt_image.h> describes it.  Its parts are images of cgroups (image.h),
 * one for each node of each step.  All int functions return enum ck_exit and
 * have reported failures (out.h).
 */
#ifndef CKCTL_JOBIMAGE_H
#define CKCTL_JOBIMAGE_H

#include <jansson.h>

#include "image.h"

/* A task as the batch system started it. */
struct job_task {
	uint32_t rank;			/* in its step */
	uint32_t localid;		/* on its node */
	int32_t pid;			/* its root process, as in the part's records */
};

struct job_part {
	char step[16];			/* "batch" or a number */
	char node[244];
	uint64_t xxh64;			/* tells the part's manifest from any other */
	uint64_t bytes;			/* in its files */
	struct job_task *tasks;		/* ascending by rank */
	size_t nr_tasks;
};

/* "batch", or a number as Slurm prints it. */
bool job_step_good(const char *step);
/* The order of parts: batch first, then by number, then by node. */
int job_part_compare(const struct job_part *a, const struct job_part *b);
/* There are some, they are in that order, and each rank of a step is in one of them. */
bool job_parts_good(const struct job_part *parts, size_t nr);

/* ---- writing ---- */

/* Make the directory of a step's parts in that of a generation, unless it is
 * there: agents do that, on all nodes at once. */
int job_image_step(const char *dir, const char *step);

/* Like image_begin() and so on: invisible until the commit, and dropped by
 * job_image_abort() or by death at any moment. */
struct job_image_writer;
int job_image_begin(struct job_image_writer **w, const char *dir, const char *id);
/* The directory of the new generation: parts are images in <this>/<step>. */
const char *job_image_dir(const struct job_image_writer *w);
uint32_t job_image_number(const struct job_image_writer *w);
/* One of the job's texts: DIR_RECORD, DIR_SCRIPT, DIR_ENVIRON of dir.h. */
int job_image_put(struct job_image_writer *w, const char *name, const void *data, size_t len);
/* The same for one that somebody else has put into job_image_dir(). */
int job_image_adopt(struct job_image_writer *w, const char *name);
/* A part is there and complete: it becomes one of this image.  @part has step,
 * node and tasks and is copied; what it holds is added to @sum. */
int job_image_take(struct job_image_writer *w, const struct job_part *part,
		   struct image_meta *sum);
/* @meta is that sum and who and when; its host is the job's nodes as the batch
 * system writes them.  Frees @w in any case. */
int job_image_commit(struct job_image_writer *w, const struct image_meta *meta, unsigned int keep);
void job_image_abort(struct job_image_writer *w);	/* NULL is fine */

/* ---- reading ---- */

struct job_generation {
	uint32_t number;
	int64_t time;
	uint64_t bytes;			/* in all its files */
};

struct job_image {
	char *path;			/* …/<id>.ckpt */
	char *gen_path;			/* of the generation that is open */
	uid_t owner;
	uint32_t number;
	struct image_meta meta;
	json_t *record;			/* job.json: an object */
	char *script, *environ;		/* with a NUL after each; NULL for a job without */
	size_t script_len, environ_len;
	struct job_part *parts;		/* in the order above */
	size_t nr_parts;
	struct job_generation *generations;	/* up to the one that is open */
	size_t nr_generations;
	uint64_t manifest;		/* which one this is */
	int gen;			/* the directory of the generation */
};

/* Open the last complete checkpoint at @path, or generation <n> of it for
 * "…/<id>.ckpt@<n>"; the job's own files are proved, its parts are not. */
int job_image_open(struct job_image **img, const char *path);
void job_image_close(struct job_image *img);	/* NULL is fine */
/* The newest manifest is another one by now: what failed may be because of that. */
bool job_image_replaced(const struct job_image *img);
/* The path of a part, malloc()ed, for messages and for people. */
char *job_image_part_path(const struct job_image *img, const struct job_part *part);
/* Open it: it must be the very one that the job's manifest names. */
int job_image_part(const struct job_image *img, const struct job_part *part, struct image **out);

/* What @path, or the image in "…@<n>", is; only its manifest is read. */
int image_kind_of(const char *path, enum image_kind *kind);

#endif
