// SPDX-License-Identifier: GPL-2.0
/* What all kinds of state share: memory, obstacles, the walk over the table. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "contents.h"
#include "out.h"
#include "proc.h"

#define CHUNK_SIZE	(64 * 1024)

struct dump_chunk {
	struct dump_chunk *next;
	size_t used, size;
	max_align_t data[];
};

void *dump_alloc(struct dump *d, size_t size)
{
	struct dump_chunk *c = d->chunks;
	char *at;

	size = (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (!c || c->size - c->used < size) {
		size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;

		c = calloc(1, sizeof(*c) + room);
		if (!c) {
			fail(CK_FAILED, "out of memory");
			return NULL;
		}
		c->size = room;
		c->next = d->chunks;
		d->chunks = c;
	}
	at = (char *)c->data + c->used;
	c->used += size;
	return at;
}

char *dump_strdup(struct dump *d, const char *s, size_t len)
{
	char *copy = dump_alloc(d, len + 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

void dump_free(struct dump *d)
{
	struct dump_chunk *c, *next;
	size_t i;

	contents_free(d);
	for (c = d->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	for (i = 0; i < d->nr_obstacles; i++)
		free(d->obstacles[i]);
	free(d->obstacles);
	for (i = 0; i < d->nr_procs; i++)
		proc_close(&d->procs[i]);
	for (i = 0; i < d->nr_omitted; i++)
		proc_close(&d->omitted[i]);
	free(d->procs);
	free(d->omitted);
	memset(d, 0, sizeof(*d));
}

static const char *comm_of(const struct dump *d, pid_t pid)
{
	size_t i;

	for (i = 0; i < d->nr_procs; i++)
		if (d->procs[i].pid == pid)
			return d->procs[i].comm;
	return "?";
}

int obstacle_sentence(struct dump *d, const char *sentence)
{
	char **more = realloc(d->obstacles, (d->nr_obstacles + 1) * sizeof(*more));
	char *copy = strdup(sentence);

	if (more)
		d->obstacles = more;
	if (!more || !copy) {
		free(copy);
		return fail(CK_FAILED, "out of memory");
	}
	d->obstacles[d->nr_obstacles++] = copy;
	return CK_OK;
}

int vobstacle(struct dump *d, pid_t pid, const char *fmt, va_list ap)
{
	char *what = NULL, *sentence = NULL;
	int rc;

	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	if (!what || asprintf(&sentence, "pid %d (%s): %s", pid, comm_of(d, pid), what) < 0)
		sentence = NULL;
	rc = sentence ? obstacle_sentence(d, sentence) : fail(CK_FAILED, "out of memory");
	free(sentence);
	free(what);
	return rc;
}

int obstacle(struct dump *d, pid_t pid, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vobstacle(d, pid, fmt, ap);
	va_end(ap);
	return rc;
}

int state_check(struct dump *d)
{
	const struct state_ops *const *ops;
	int rc = proc_read_all(d);

	for (ops = state_table; *ops && !rc; ops++)
		if ((*ops)->check)
			rc = (*ops)->check(d);
	return rc;
}

int state_dump(struct dump *d)
{
	const struct state_ops *const *ops;
	int rc = CK_OK;

	for (ops = state_table; *ops && !rc; ops++)
		if ((*ops)->dump)
			rc = (*ops)->dump(d);
	return rc;
}

int restore_keep_fd(struct restore *r, int fd)
{
	int kept, err;

	if (fd < 0 || fd >= r->fd_base)
		return fd;
	kept = fcntl(fd, F_DUPFD_CLOEXEC, r->fd_base);
	err = errno;
	close(fd);
	errno = err;
	return kept;
}
