/* SPDX-License-Identifier: GPL-2.0 */
/*
 * manifest.json: which generations an image has.  Its first line holds the
 * XXH64 (seed 0) of all bytes after that line; then comes the JSON.
 */
#ifndef CKCTL_IMAGE_MANIFEST_H
#define CKCTL_IMAGE_MANIFEST_H

#include "image.h"
#include "jobimage.h"

struct manifest_file {
	uint64_t bytes;
	uint64_t xxh64;			/* of records and index; pages have one per run */
};

/* The texts of a job; a job that is no batch job has only the record. */
struct job_files {
	struct manifest_file record, script, environ;
	bool has_script, has_environ;
};

struct manifest_generation {
	uint32_t number;
	struct image_meta meta;
	struct manifest_file records, index, pages;	/* IMAGE_PLAIN */
	struct job_files job;				/* IMAGE_JOB */
	struct job_part *parts;
	size_t nr_parts;
};

struct manifest {
	enum image_kind kind;
	struct manifest_generation *generations;	/* ascending */
	size_t nr_generations;
	uint64_t xxh64;			/* tells one manifest from another */
};

/* *m is NULL when there is no manifest: no checkpoint was ever complete. */
int manifest_read(struct manifest **m, int dir, const char *path);
/* Write it to a temporary file, make it durable, rename it into place; the
 * caller makes the rename durable. */
int manifest_write(const struct manifest *m, int dir, const char *path);
/* Remove what a writer left that died in the middle of that. */
void manifest_sweep(int dir);
void manifest_free(struct manifest *m);
/*
 * A writer may replace generations while somebody opens their files; then the
 * manifest is another one the next time, and the opening begins again.  @open
 * says which one it saw.
 */
int manifest_steady(int (*open)(void *arg, uint64_t *manifest), void *arg);
const struct manifest_generation *manifest_find(const struct manifest *m, uint32_t number);
/* Bytes in all files that a generation has, parts included. */
uint64_t manifest_bytes(const struct manifest *m, const struct manifest_generation *g);
/* A deep copy; to be freed with meta_free(). */
int meta_copy(struct image_meta *to, const struct image_meta *from);
void meta_free(struct image_meta *meta);

#endif
