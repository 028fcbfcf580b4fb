/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the keeper of a schedule writes down, for "ckctl status JOB": a small
 * file beside what is known of the job (registry.h).  Times are of the wall clock.
 */
#ifndef CKCTL_DIARY_H
#define CKCTL_DIARY_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct diary {
	char node[65];
	pid_t pid;			/* of the keeper, there */
	char image_dir[PATH_MAX];
	uint64_t interval_s;
	int64_t started, next, ended;	/* 0 for not */
	struct {
		int64_t time;		/* 0 for none yet */
		char image[PATH_MAX + 300];
		uint64_t bytes, tasks;
		double seconds;		/* < 0: not known */
		double standstill_ms;
		json_t *notes;		/* sentences; NULL for none */
	} last;				/* complete checkpoint */
	struct {
		int64_t time;
		unsigned int count;	/* since the last complete one */
		char sentence[1024];
	} failure;
};

/* As it is in the file, and what --json shows. */
json_t *diary_json(const struct diary *diary);

/* @name is "<job>" or "<job>.<step>".  Returns enum ck_exit. */
int diary_write(const char *cluster, const char *name, const struct diary *diary);
void diary_free(struct diary *diary);
bool diary_read(const char *cluster, const char *name, struct diary *diary);

#endif
