// SPDX-License-Identifier: GPL-2.0
#include "slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

int slot_mark(const char *name)
{
	char mark[250];
	int fd;

	if ((size_t)snprintf(mark, sizeof(mark), SLOT_MARK "%s", name) >= sizeof(mark)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = memfd_create(mark, MFD_CLOEXEC);
	/* ckctl's file capability took that away: its user's ckctl could not even look at it. */
	if (fd >= 0 && prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The name first: that is in the caller's hands already, and most programs are called otherwise. */
static bool is_ckctl(int dir, const char *exe)
{
	static char own[PATH_MAX];
	struct stat ours, theirs;
	ssize_t len;

	if (!*own) {
		len = readlink("/proc/self/exe", own, sizeof(own) - 1);
		if (len <= 0)
			return false;
		own[len] = '\0';
	}
	return strcmp(base_of(exe), base_of(own)) == 0 && stat("/proc/self/exe", &ours) == 0 &&
	       fstatat(dir, "exe", &theirs, 0) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

/* What is in the mark; -1 without one. */
static off_t mark_size(int dir)
{
	static const char mark[] = "/memfd:" SLOT_MARK;
	int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = fd < 0 ? NULL : fdopendir(fd);
	char link[sizeof(mark) - 1];
	struct dirent *e;
	struct stat st;
	off_t size = -1;

	if (!fds) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while (size < 0 && (e = readdir(fds)))
		if (readlinkat(fd, e->d_name, link, sizeof(link)) == sizeof(link) &&
		    memcmp(link, mark, sizeof(link)) == 0 && fstatat(fd, e->d_name, &st, 0) == 0)
			size = st.st_size;
	closedir(fds);
	return size;
}

void slot_ready(int mark)
{
	while (write(mark, "1", 1) < 0 && errno == EINTR)
		;
}

bool slot_is(int dir, const char *exe)
{
	return is_ckctl(dir, exe) && mark_size(dir) >= 0;
}

bool slot_is_ready(int dir)
{
	return mark_size(dir) > 0;
}
