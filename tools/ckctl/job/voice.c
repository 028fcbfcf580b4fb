// SPDX-License-Identifier: GPL-2.0
#include "voice.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"

/* For a task to begin; the caller comes every second. */
#define MAX_TRIES	20

/* A pipe that is full loses the words rather than that anybody waits. */
static bool speak(int fd, const char *text)
{
	bool done = fd >= 0 && write(fd, text, strlen(text)) >= 0;

	if (fd >= 0)
		close(fd);
	return done || (fd >= 0 && errno == EAGAIN);
}

static bool through_task(const struct voice *v)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/2", v->task);
	return speak(open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), v->pending);
}

/* Not what somebody else has put in its place, such as another name of a file of ours. */
static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		       st.st_nlink == 1))
		return fd;
	close(fd);
	return -1;
}

bool voice_pending(struct voice *v)
{
	bool done;

	if (!v->pending)
		return false;
	done = through_task(v);
	if (done) {
		v->tries = 0;
	} else if (++v->tries >= MAX_TRIES) {
		speak(open_file(v->file), v->pending);
		done = true;
	}
	if (!done)
		return true;
	free(v->pending);
	v->pending = NULL;
	return false;
}

void voice_say(struct voice *v, const char *fmt, ...)
{
	char *text = NULL, *all = NULL;
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	if (v->pending && asprintf(&all, "%s%s", v->pending, text) < 0)
		all = NULL;
	if (all || !v->pending) {
		free(v->pending);
		v->pending = all ? all : text;
	}
	if (v->pending != text)
		free(text);
	voice_pending(v);
}

/* Sizes grow from one checkpoint to the next, and nodes have numbers. */
static char *without_numbers(const char *sentence)
{
	char *text = strdup(sentence), *to = text;

	for (; text && *sentence; sentence++)
		if (!isdigit((unsigned char)*sentence))
			*to++ = *sentence;
	if (text)
		*to = '\0';
	return text;
}

static bool is_noted(struct voice *v, const char *sentence)
{
	char *kind = without_numbers(sentence);
	json_t *noted = kind ? json_text(kind) : NULL;
	const json_t *item;
	bool found = false;
	size_t i;

	if (!v->noted)
		v->noted = json_array();
	json_array_foreach(v->noted, i, item)
		found |= json_equal(item, noted);
	if (noted && !found)
		json_array_append(v->noted, noted);
	json_decref(noted);
	free(kind);
	return found;
}

void voice_note(struct voice *v, const char *sentence)
{
	char *line = sentence && !is_noted(v, sentence) ? strdup(sentence) : NULL, *c;

	for (c = line; c && *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	if (line)
		voice_say(v, "ckctl: note: %s\n", line);
	free(line);
}

void voice_free(struct voice *v)
{
	free(v->pending);
	v->pending = NULL;
	json_decref(v->noted);
	v->noted = NULL;
}
