// SPDX-License-Identifier: GPL-2.0
#include "room.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One part in so many of what is left stays so. */
#define SPARE	8

/* The beginning of a small file; false where there is none. */
static bool read_text(const char *dir, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX + 32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (fd >= 0)
		close(fd);
	buf[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* The number behind @key at the beginning of a line; 0 where it is not. */
static uint64_t number_of(const char *text, const char *key)
{
	size_t len = strlen(key);
	const char *at = text;

	while (at && strncmp(at, key, len) != 0) {
		at = strchr(at, '\n');
		at += !!at;
	}
	return at ? strtoull(at + len, NULL, 10) : 0;
}

static uint64_t kilobytes(const char *text, const char *key)
{
	return number_of(text, key) * 1024;
}

/* A number, or "max". */
static uint64_t limit_of(const char *dir, const char *name)
{
	char text[32], *end;
	uint64_t value;

	if (!read_text(dir, name, text, sizeof(text)))
		return UINT64_MAX;
	value = strtoull(text, &end, 10);
	return end == text ? UINT64_MAX : value;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What a cgroup may still have: files' pages are given back for it. */
static uint64_t left_of(const char *dir, const char *stat)
{
	/* Above "high" nobody dies, but all of it comes to a crawl. */
	uint64_t limit = smaller(limit_of(dir, "memory.max"), limit_of(dir, "memory.high"));
	uint64_t used = limit_of(dir, "memory.current");

	if (limit == UINT64_MAX || used == UINT64_MAX)
		return UINT64_MAX;
	return less(limit, less(used, number_of(stat, "inactive_file ") + number_of(stat, "active_file ")));
}

/* What is shared by several counts as often. */
static uint64_t need_of(const struct proc *procs, size_t nr)
{
	uint64_t need = 0;
	char text[8192];
	size_t i;

	for (i = 0; i < nr; i++)
		if (proc_text(&procs[i], procs[i].status_fd, "status", text, sizeof(text)) > 0)
			need += kilobytes(text, "RssAnon:") + kilobytes(text, "RssShmem:");
	return need;
}

struct room room_look(const char *cgroup, const struct proc *procs, size_t nr)
{
	struct room room = { .need = UINT64_MAX, .left = UINT64_MAX };
	char dir[PATH_MAX], text[8192], *slash;

	if (read_text("/proc", "meminfo", text, sizeof(text)))
		room.left = kilobytes(text, "MemAvailable:");
	snprintf(dir, sizeof(dir), "%s", cgroup);
	/* Up to where it is mounted, and in vain above. */
	while ((slash = strrchr(dir, '/')) && slash != dir) {
		if (read_text(dir, "memory.stat", text, sizeof(text))) {
			room.left = smaller(room.left, left_of(dir, text));
			room.need = smaller(room.need, number_of(text, "anon ") + number_of(text, "shmem "));
		}
		*slash = '\0';
	}
	/* Others may be in the cgroup that was counted; to ask each process takes longer. */
	if (!room_suffices(room))
		room.need = smaller(room.need, need_of(procs, nr));
	return room;
}

bool room_suffices(struct room room)
{
	return room.need <= room.left - room.left / SPARE;
}
