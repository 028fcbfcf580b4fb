// SPDX-License-Identifier: GPL-2.0
#include "notes.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xxhash.h>

#include "json.h"
#include "out.h"

/* Lines on the standard error of a step, for each of its nodes. */
#define MAX_LINES	10

/* In front of each sentence; a NUL comes after it. */
#define DONE		'd'
#define LOST		'l'

static int store = -1;

static bool keep(const char *sentence, bool done)
{
	char *text = NULL;
	int len = asprintf(&text, "%c%s", done ? DONE : LOST, sentence);

	/* Parent and child write at one offset, and one of them at a time. */
	if (len > 0 && write(store, text, (size_t)len + 1) < 0)
		len = -1;
	free(text);
	return len < 0;
}

void notes_listen(void)
{
	store = memfd_create("ckpt-notes", MFD_CLOEXEC);
	if (store >= 0)
		out_hear = keep;
}

/* The array of its sentences of that kind, or of any with 0. */
static json_t *sentences(char kind)
{
	json_t *list = json_array();
	struct stat st = { .st_size = 0 };
	char *text = NULL, *at;
	ssize_t n = 0;

	if (store >= 0 && fstat(store, &st) == 0)
		text = malloc((size_t)st.st_size + 1);
	if (text)
		n = pread(store, text, (size_t)st.st_size, 0);
	if (text)
		text[n > 0 ? n : 0] = '\0';
	for (at = text; at && at < text + n; at += strlen(at) + 1)
		if (!kind || *at == kind)
			json_array_append_new(list, json_text(at + 1));
	free(text);
	return list;
}

json_t *notes_heard(void)
{
	return sentences(0);
}

/*
 * Is this process the first on this node?  It holds the name of a socket for that as
 * long as it lives, which is as long as its task does: nothing is left behind.
 */
static bool claim(const char *name, const char *what)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), len;

	len = snprintf(sun.sun_path + 1, sizeof(sun.sun_path) - 1, "ckpt-note:%.40s:%016" PRIx64, name,
		       (uint64_t)XXH64(what, strlen(what), 0));
	len += (int)offsetof(struct sockaddr_un, sun_path) + 1;
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&sun, (socklen_t)len) < 0 && errno == EADDRINUSE) {
		close(fd);
		return false;
	}
	return true;
}

/* Those of a thousand tasks are no more lines than those of ten. */
static void tell(const char *name, const char *sentence)
{
	char line[16];
	int i;

	for (i = 1; i <= MAX_LINES; i++) {
		snprintf(line, sizeof(line), "line %d", i);
		if (!claim(name, line))
			continue;
		if (i < MAX_LINES)
			note("%s", sentence);
		else
			note("there is more to say of this restart: see \"ckctl status %s\"", name);
		return;
	}
}

json_t *notes_tell(const char *name)
{
	json_t *lost = sentences(LOST), *told = json_array(), *item;
	size_t i;

	out_hear = NULL;
	json_array_foreach(lost, i, item)
		if (claim(name, json_string_value(item))) {
			tell(name, json_string_value(item));
			json_array_append(told, item);
		}
	json_decref(lost);
	if (store >= 0)
		out_hear = keep;
	return told;
}
