/* SPDX-License-Identifier: GPL-2.0 */
/* A program that was started to be talked to: an agent, or an srun with many of them. */
#ifndef CKCTL_CHANNEL_H
#define CKCTL_CHANNEL_H

#include <stdbool.h>
#include <sys/types.h>

#include "talk.h"

struct channel {
	pid_t pid;
	bool many;			/* an srun: "<rank>: " comes before each line */
	int to, from, err;		/* its standard streams; -1 when at their end */
	struct talk_lines lines, words;	/* of @from and of @err */
	char last[512];			/* what counts of what came from @err */
};

/* Start @argv: enum ck_exit. */
int channel_start(struct channel *ch, bool many, const char *const argv[]);
/* The next line from it and whose it is; NULL for none yet. */
char *channel_next(struct channel *ch, unsigned long *rank);
/* Take what has come out of it: false at the end. */
bool channel_read(struct channel *ch);
void channel_read_words(struct channel *ch);
/* What it complained of first, or said last, without what it begins with; "" for
 * nothing. */
const char *channel_words(const struct channel *ch);
/* It gets no more input; let it end, or make it, sooner when in a hurry. */
void channel_end(struct channel *ch, bool hurry);

#endif
