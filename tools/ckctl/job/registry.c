// SPDX-License-Identifier: GPL-2.0
#include "registry.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/dir.h"
#include "out.h"

#define MAX_BYTES	65536

/* ---- the directory ---- */

static const char *home(void)
{
	const char *path = getenv("HOME");
	const struct passwd *pw;

	if (path && *path == '/')
		return path;
	pw = getpwuid(geteuid());
	return pw ? pw->pw_dir : NULL;
}

/* Only the user's own, where nobody else may write. */
static int open_own(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

/* $HOME/.ckpt/jobs/<cluster>, made if need be; -1 and errno. */
static int open_dir(const char *cluster, bool make)
{
	const char *const names[] = { ".ckpt", "jobs", cluster };
	const char *path = home();
	int fd, next, err;
	size_t i;

	if (!path || !dir_name_good(cluster)) {
		errno = ENOENT;
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; fd >= 0 && i < sizeof(names) / sizeof(names[0]); i++) {
		next = open_own(fd, names[i]);
		if (next < 0 && errno == ENOENT && make &&
		    (dir_make(fd, names[i]) == 0 || errno == EEXIST))
			next = open_own(fd, names[i]);
		err = errno;
		close(fd);
		errno = err;
		fd = next;
	}
	return fd;
}

static bool file_name(char *buf, size_t size, const char *job)
{
	return dir_name_good(job) && (size_t)snprintf(buf, size, "%s.json", job) < size;
}

/* ---- the file ---- */

static void take(struct registry_entry *entry, const json_t *root)
{
	const char *dir = json_string_value(json_object_get(root, "image_dir"));

	if (dir && *dir == '/' && strlen(dir) < sizeof(entry->image_dir))
		strcpy(entry->image_dir, dir);
}

int registry_read(const char *cluster, const char *job, struct registry_entry *entry)
{
	char name[300], text[MAX_BYTES];
	int dir = open_dir(cluster, false), fd = -1;
	json_t *root = NULL;
	struct stat st;
	ssize_t n = -1;

	memset(entry, 0, sizeof(*entry));
	if (dir >= 0 && file_name(name, sizeof(name), job))
		fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    !(st.st_mode & 022))
		n = read(fd, text, sizeof(text));
	if (n > 0 && (size_t)n < sizeof(text))
		root = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	take(entry, root);
	json_decref(root);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return CK_OK;
}

int registry_write(const char *cluster, const char *job, const struct registry_entry *entry)
{
	int dir = open_dir(cluster, true), fd = -1, rc = CK_OK;
	char name[300], temporary[340];
	FILE *file = NULL;
	json_t *root;

	if (dir < 0)
		return fail_errno(errno, "cannot make the directory ~/.ckpt/jobs/%s", cluster);
	if (!file_name(name, sizeof(name), job)) {
		close(dir);
		return fail(CK_USAGE, "\"%s\" is no job", job);
	}
	/* Two at once, on whatever nodes, have one each. */
	snprintf(temporary, sizeof(temporary), ".%s.%lx.%d", name, gethostid(), getpid());
	root = json_pack("{s:s}", "image_dir", entry->image_dir);
	unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (fd >= 0 && !root)
		/* A path of other bytes would come back as another one. */
		rc = fail(CK_REFUSED, "the image directory must have a name in UTF-8");
	else if (!file || fchmod(fd, 0600) < 0 || json_dumpf(root, file, JSON_INDENT(1)) < 0 ||
	    fflush(file) == EOF || fsync(fd) < 0 || renameat(dir, temporary, dir, name) < 0)
		rc = fail_errno(errno, "cannot write ~/.ckpt/jobs/%s/%s", cluster, name);
	if (rc)
		unlinkat(dir, temporary, 0);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	close(dir);
	json_decref(root);
	return rc;
}

int registry_remove(const char *cluster, const char *job)
{
	int dir = open_dir(cluster, false), rc = CK_OK;
	char name[300];

	if (dir < 0)
		return CK_OK;
	if (file_name(name, sizeof(name), job) && unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		rc = fail_errno(errno, "cannot remove ~/.ckpt/jobs/%s/%s", cluster, name);
	close(dir);
	return rc;
}
