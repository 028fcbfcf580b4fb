/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What became of the last attempt to continue a job, or a step, from its image: a
 * small file beside what else is known of it (job/registry.h), for "ckctl status"
 * and for the next attempt.
 */
#ifndef CKCTL_STORY_H
#define CKCTL_STORY_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct story {
	int64_t time;			/* 0 for none */
	char node[65];
	char image[PATH_MAX];
	uint32_t generation;
	uint64_t manifest;		/* tells that image from any other, with its generation */
	bool continued;
	unsigned int failures;		/* in a row, with this very image */
	char sentence[1024];		/* why it did not continue */
	json_t *notes;			/* what there is to say nevertheless: sentences */
};

/* @name is "<job>" or "<job>.<step>"; one that is not there is all zeroes. */
void story_read(const char *cluster, const char *name, struct story *story);
/* Returns enum ck_exit. */
int story_write(const char *cluster, const char *name, const struct story *story);
json_t *story_json(const struct story *story);
void story_free(struct story *story);
/* The attempt of one of the step's other tasks, which has something to say of its own; it says
 * nothing where @notes has none. */
void story_add(const char *cluster, const char *name, uint32_t rank, struct story *story);
/* What there is to say of @story from all tasks of @name, which may be a job with steps: once each. */
json_t *story_notes(const char *cluster, const char *name, const struct story *story);

#endif
