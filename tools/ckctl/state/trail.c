// SPDX-License-Identifier: GPL-2.0
#include "trail.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLAGS_OF_DIR	(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* The first name of t->rest, when more follows it. */
static bool next_name(const struct trail *t, char *name, size_t size)
{
	size_t len = strcspn(t->rest, "/");

	if (t->rest[len] != '/' || len >= size)
		return false;
	memcpy(name, t->rest, len);
	name[len] = '\0';
	return true;
}

static bool is_link(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

int trail_step(struct trail *t, const char *path, uid_t uid)
{
	struct stat above, st;
	char name[NAME_MAX + 1];
	int fd;

	if (!next_name(t, name, sizeof(name))) {
		errno = ENAMETOOLONG;
		return -1;
	}
	t->bad = (size_t)(t->rest - path) + strlen(name);
	fd = openat(t->dir_fd, name, FLAGS_OF_DIR);
	if (fd < 0) {
		if (errno == ENOTDIR && is_link(t->dir_fd, name)) {
			t->why = "is a symbolic link now";
			errno = ELOOP;
		}
		return -1;
	}
	if (fstat(t->dir_fd, &above) < 0 || fstat(fd, &st) < 0) {
		close(fd);
		return -1;
	}
	if (above.st_mode & S_IWOTH && st.st_uid != 0 && st.st_uid != uid) {
		close(fd);
		t->why = "belongs to somebody else now";
		errno = EPERM;
		return -1;
	}
	close(t->dir_fd);
	t->dir_fd = fd;
	t->rest += strlen(name) + 1;
	return 0;
}

int trail_follow(struct trail *t, const char *path, uid_t uid)
{
	int err;

	*t = (struct trail){ .dir_fd = open("/", FLAGS_OF_DIR), .rest = path + 1 };
	if (t->dir_fd < 0)
		return -1;
	while (strchr(t->rest, '/') && trail_step(t, path, uid) == 0)
		;
	if (!strchr(t->rest, '/') || errno == ENOENT)
		return 0;
	err = errno;
	trail_end(t);
	errno = err;
	return -1;
}

int trail_make_step(const struct trail *t)
{
	char name[NAME_MAX + 1];

	if (!next_name(t, name, sizeof(name))) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return mkdirat(t->dir_fd, name, 0700);
}

void trail_end(struct trail *t)
{
	if (t->dir_fd >= 0)
		close(t->dir_fd);
	t->dir_fd = -1;
}
