/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the coordinator of a job's checkpoint and its agents say to each other:
 * JSON objects, one a line.  srun cuts lines of more than a kilobyte into
 * several, so a long message is sent as several shorter lines, of which each
 * but the last ends with a backslash, as no JSON object does.
 */
#ifndef CKCTL_TALK_H
#define CKCTL_TALK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define TALK_LINE	900		/* bytes of a line, srun's label not counted */
#define TALK_MAX	(16 << 20)	/* of a message */

/* Write @message, whose reference it takes, to @fd: 0, or -1 and errno. */
int talk_send(int fd, json_t *message);

/* Lines that come out of a descriptor, in whatever pieces. */
struct talk_lines {
	char *text;
	size_t len, size;
	size_t taken;			/* of the line that was handed out */
};

/* One read(2) more: its result. */
ssize_t talk_read(struct talk_lines *lines, int fd);
/* The next line, NUL terminated and valid until the next call; NULL for none yet. */
char *talk_next(struct talk_lines *lines);
void talk_lines_free(struct talk_lines *lines);

/* What lines of one sender make up. */
struct talk_message {
	char *text;
	size_t len;
};

/* One line more: *message is set when it was the last one of a message.  False
 * for what is no message at all. */
bool talk_add(struct talk_message *m, const char *line, json_t **message);
void talk_message_free(struct talk_message *m);

#endif
