/* SPDX-License-Identifier: GPL-2.0 */
/* One checkpoint of a job, by "ckctl create" in a process of its own, as people make it. */
#ifndef CKCTL_TRY_H
#define CKCTL_TRY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct try {
	bool stopped;			/* it was given up, as @stop_fd could be read */
	int code;			/* what it ended with, enum ck_exit */
	json_t *result;			/* what it prints with --json; NULL when it failed */
	char *words;			/* what it had to say, line by line; "" for nothing */
};

/* Waits for it.  @image_dir is NULL for where it goes by itself, @max_wait_ms 0 for no limit. */
void try_checkpoint(const char *name, const char *image_dir, uint64_t max_wait_ms, int stop_fd,
		    struct try *t);
/* Where ckctl is; /proc/self/exe, unless the caller is another program. */
void try_program(const char *path);
/* The first sentence of its words, without the "ckctl: "; as long as these are there. */
const char *try_sentence(const struct try *t, char *buf, size_t size);
void try_free(struct try *t);

#endif
