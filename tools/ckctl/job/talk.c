// SPDX-License-Identifier: GPL-2.0
#include "talk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define READ_SIZE	65536

/* ---- sending ---- */

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* @text as lines; @to has room for it. */
static size_t cut(char *to, const char *text, size_t len)
{
	char *start = to;

	while (len > TALK_LINE) {
		memcpy(to, text, TALK_LINE);
		memcpy(to + TALK_LINE, "\\\n", 2);
		to += TALK_LINE + 2;
		text += TALK_LINE;
		len -= TALK_LINE;
	}
	memcpy(to, text, len);
	to[len] = '\n';
	return (size_t)(to - start) + len + 1;
}

int talk_send(int fd, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL, *lines = NULL;
	size_t len = text ? strlen(text) : 0;
	int rc = -1;

	json_decref(message);
	if (text && len <= TALK_MAX)
		lines = malloc(len + 2 * (len / TALK_LINE) + 1);
	if (lines)
		rc = write_all(fd, lines, cut(lines, text, len));
	else
		errno = text && len > TALK_MAX ? EMSGSIZE : ENOMEM;
	free(lines);
	free(text);
	return rc;
}

/* ---- lines ---- */

ssize_t talk_read(struct talk_lines *lines, int fd)
{
	ssize_t n;

	if (lines->size - lines->len < READ_SIZE) {
		char *more = realloc(lines->text, lines->len + READ_SIZE);

		if (!more) {
			errno = ENOMEM;
			return -1;
		}
		lines->text = more;
		lines->size = lines->len + READ_SIZE;
	}
	n = read(fd, lines->text + lines->len, READ_SIZE);
	if (n > 0)
		lines->len += (size_t)n;
	return n;
}

char *talk_next(struct talk_lines *lines)
{
	char *end;

	if (lines->taken) {
		lines->len -= lines->taken;
		memmove(lines->text, lines->text + lines->taken, lines->len);
		lines->taken = 0;
	}
	end = lines->len ? memchr(lines->text, '\n', lines->len) : NULL;
	if (!end)
		return NULL;
	*end = '\0';
	lines->taken = (size_t)(end - lines->text) + 1;
	return lines->text;
}

void talk_lines_free(struct talk_lines *lines)
{
	free(lines->text);
	memset(lines, 0, sizeof(*lines));
}

/* ---- messages ---- */

bool talk_add(struct talk_message *m, const char *line, json_t **message)
{
	size_t len = strlen(line);
	bool more = len && line[len - 1] == '\\';
	char *text;

	*message = NULL;
	len -= more;
	text = m->len + len <= TALK_MAX ? realloc(m->text, m->len + len + 1) : NULL;
	if (!text) {
		talk_message_free(m);
		return false;
	}
	memcpy(text + m->len, line, len);
	m->text = text;
	m->len += len;
	if (more)
		return true;
	*message = json_loadb(m->text, m->len, JSON_REJECT_DUPLICATES, NULL);
	talk_message_free(m);
	if (json_is_object(*message))
		return true;
	json_decref(*message);
	*message = NULL;
	return false;
}

void talk_message_free(struct talk_message *m)
{
	free(m->text);
	memset(m, 0, sizeof(*m));
}
