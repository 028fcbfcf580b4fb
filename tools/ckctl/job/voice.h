/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a keeper, who has no output of its own, speaks to the job's user: on the
 * standard error of the task that it was started with, or in a file where that
 * cannot be.  The stream is opened for each word: a step whose output somebody
 * else has open does not end.
 */
#ifndef CKCTL_VOICE_H
#define CKCTL_VOICE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct voice {
	pid_t task;
	char file[PATH_MAX + 300];	/* else */
	char *pending;			/* what could not be said yet */
	int tries;
	json_t *noted;			/* by voice_note() */
};

void voice_say(struct voice *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A note, in one line: only if none was like it, but for the numbers in it. */
void voice_note(struct voice *v, const char *sentence);
void voice_free(struct voice *v);
/* Try again: a task that has not begun yet cannot be spoken through.  Is anything left? */
bool voice_pending(struct voice *v);

#endif
