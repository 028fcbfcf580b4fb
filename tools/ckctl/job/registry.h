/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a user's jobs were submitted with, as far as ckctl needs to know it
 * later: a small file of the user for each,
 *
 *	$HOME/.ckpt/jobs/<cluster>/<job id>.json
 *
 * that is the same on all nodes, as homes are.  All int functions return enum
 * ck_exit and have reported failures (out.h).
 */
#ifndef CKCTL_REGISTRY_H
#define CKCTL_REGISTRY_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct registry_entry {
	char image_dir[PATH_MAX];	/* where its images go, absolute; "" for not known */
	char image[PATH_MAX];		/* the last complete one; "" for not known */
	char restart_from[PATH_MAX];	/* what to continue from instead, until there is a newer one */
	char goes_on_as[32];		/* the job that was submitted to continue it; "" for none */
};

/* An entry that is not there, or not to be trusted, is one that knows nothing. */
int registry_read(const char *cluster, const char *job, struct registry_entry *entry);
/* Write it, as a whole and for its owner alone; what is "" in @entry stays as it was. */
int registry_write(const char *cluster, const char *job, const struct registry_entry *entry);
/* There is a new image of it. */
int registry_made(const char *cluster, const char *job, const char *image);
/* A file that is not there is fine. */
int registry_remove(const char *cluster, const char *job);

/*
 * What these are made of: any small object, in <name>.json beside them.  NULL
 * where there is none; store takes the reference, and replaces the file as a whole.
 */
json_t *registry_load(const char *cluster, const char *name);
int registry_store(const char *cluster, const char *name, json_t *root);
/* Forget what is a month old and has no image: jobs come by the thousand. */
void registry_sweep(const char *cluster);
/* Call @call for each job and step that there is an entry of; with @what, such as "restart",
 * a file <name>.<what>.json beside these. */
void registry_each(const char *cluster, const char *what, void (*call)(void *arg, const char *job), void *arg);
/* Remove files of this job and of its steps that somebody here had not written in full
 * when they were killed. */
void registry_halves(const char *cluster, const char *job);
/* The cluster of which there is a file of that name: the newest, if there are several. */
bool registry_find(const char *name, char *cluster, size_t size);

#endif
