/* SPDX-License-Identifier: GPL-2.0 */
/* The task that a slot stands for, and which image it continues from. */
#ifndef CKCTL_ORIGIN_H
#define CKCTL_ORIGIN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "source.h"

struct origin {
	bool batch;			/* the script of a batch job */
	uint32_t rank;
	char job[32];
	char name[64];			/* "<job>" or "<job>.<step>" */
	char title[96];			/* of the task, for people */
	char mark[128];			/* for slot_mark() */
	char cluster[256], node[65];
	char image[PATH_MAX];		/* "": there is nothing to continue from */
	bool own;			/* which must be of this very job */
	bool expected;			/* it was to be checkpointed: that there is none is worth a word */
	const char *script;		/* of a batch job: its file */
};

/*
 * @image and @program are what the slot was given.  A batch job continues from what
 * it was told to (registry.h), its own last image, or the one that it was
 * submitted with, in this order.  Returns enum ck_exit.
 */
int origin_find(struct origin *o, const char *image, const char *program);
/* Open it, and prove that it is the right one. */
int origin_open(const struct origin *o, struct source *s);

#endif
