// SPDX-License-Identifier: GPL-2.0
#include "dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "image.h"
#include "io.h"
#include "out.h"

struct dir_name dir_generation_name(uint32_t number)
{
	struct dir_name name;

	snprintf(name.text, sizeof(name.text), "gen-%" PRIu32, number);
	return name;
}

uint32_t dir_generation_number(const char *name)
{
	unsigned long number;
	char *end;

	if (strncmp(name, "gen-", 4) != 0 || name[4] < '1' || name[4] > '9')
		return 0;
	errno = 0;
	number = strtoul(name + 4, &end, 10);
	return *end || errno || number > UINT32_MAX ? 0 : (uint32_t)number;
}

static bool is_clean(const char *name)
{
	for (; *name; name++)
		if (*name == '/' || (unsigned char)*name < ' ' || *name == 0x7f)
			return false;
	return true;
}

bool dir_name_good(const char *name)
{
	return *name && *name != '.' && strlen(name) <= 240 && is_clean(name);
}

int image_path(char *buf, size_t size, const char *dir, const char *id)
{
	int len;

	if (!dir_name_good(id) && is_clean(id))
		return fail(CK_USAGE, "\"%s\" cannot name an image: a name has 1 to 240 characters "
			    "and does not begin with a dot", id);
	if (!is_clean(id))
		return fail(CK_USAGE, "\"%s\" cannot name an image: a name has no slash and no "
			    "control character", id);
	len = snprintf(buf, size, "%s/%s.ckpt", dir, id);
	if (len < 0 || (size_t)len >= size)
		return fail(CK_USAGE, "the path of image \"%s\" in %s is too long", id, dir);
	return CK_OK;
}

int dir_split_path(const char *path, char **image, uint32_t *number)
{
	const char *at = strrchr(path, '@');
	size_t len = strlen(path);
	char *end;

	*number = 0;
	if (at && at[1] >= '1' && at[1] <= '9' && at - path >= 5 &&
	    strncmp(at - 5, ".ckpt", 5) == 0) {
		unsigned long n = strtoul(at + 1, &end, 10);

		if (!*end && n <= UINT32_MAX) {
			*number = (uint32_t)n;
			len = (size_t)(at - path);
		}
	}
	while (len > 1 && path[len - 1] == '/')
		len--;
	*image = strndup(path, len);
	return *image ? CK_OK : fail(CK_FAILED, "out of memory");
}

/* Who could have written this: the owner of the directory that it is in, or root. */
static bool belongs(int dir, const struct stat *st)
{
	struct stat above;

	return st->st_uid == 0 || (fstat(dir, &above) == 0 && above.st_uid == st->st_uid);
}

int dir_open(int *fd, int at, const char *name, const char *path, bool writing, uid_t *owner)
{
	uid_t me = geteuid();
	struct stat st;
	int rc;

	*fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*fd < 0 && errno == ENOENT)
		return fail(CK_NOTFOUND, "there is no image %s", path);
	if (*fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return fail(CK_REFUSED, "%s is not an image: an image is a directory", path);
	if (*fd < 0)
		return fail_errno(errno, "cannot open %s", path);
	if (fstat(*fd, &st) < 0)
		rc = fail_errno(errno, "cannot examine %s", path);
	else if (st.st_uid != me && me != 0 && (writing || st.st_uid != 0))
		rc = fail(CK_PERM, "%s belongs to user %u, not to you", path, st.st_uid);
	else if (!writing && at != AT_FDCWD && !belongs(at, &st))
		rc = fail(CK_PERM, "%s belongs to user %u, unlike the image, and cannot be trusted",
			  path, st.st_uid);
	else if (st.st_mode & 022)
		rc = fail(CK_PERM, "others may write in %s, so what is in it cannot be trusted; "
			  "if you trust it: chmod go-w", path);
	else
		rc = CK_OK;
	if (rc) {
		close(*fd);
		*fd = -1;
	} else if (owner) {
		*owner = st.st_uid;
	}
	return rc;
}

int dir_open_own(int at, const char *name, int flags)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

int dir_open_file(int *fd, int dir, const char *name, const char *path, uint64_t *bytes)
{
	struct stat st;
	int rc;

	/* O_NONBLOCK: a FIFO in its place must not make us wait. */
	*fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*fd < 0 && (errno == ENOENT || errno == ELOOP))
		return fail(CK_DAMAGED, "%s is damaged: there is no file %s", path, name);
	if (*fd < 0)
		return fail_errno(errno, "cannot open %s/%s", path, name);
	if (fstat(*fd, &st) < 0)
		rc = fail_errno(errno, "cannot examine %s/%s", path, name);
	else if (!S_ISREG(st.st_mode))
		rc = fail(CK_DAMAGED, "%s is damaged: %s is not a regular file", path, name);
	else if (!belongs(dir, &st))
		rc = fail(CK_PERM, "%s/%s belongs to user %u, unlike its directory, and cannot be "
			  "trusted", path, name, st.st_uid);
	else
		rc = CK_OK;
	if (rc) {
		close(*fd);
		*fd = -1;
	} else {
		*bytes = (uint64_t)st.st_size;
	}
	return rc;
}

int dir_read(int fd, void *buf, size_t len, uint64_t pos, const char *path, const char *name)
{
	ssize_t n = io_read(fd, buf, len, pos);

	if (n < 0)
		return fail_errno(errno, "cannot read %s/%s at byte %" PRIu64, path, name, pos);
	if ((size_t)n < len)
		return fail(CK_DAMAGED, "%s is damaged: %s ends at byte %" PRIu64
			    ", before its end", path, name, pos + (uint64_t)n);
	return CK_OK;
}

int dir_hash_file(int fd, uint64_t bytes, const char *path, const char *name, uint64_t *hash)
{
	XXH64_state_t *state = XXH64_createState();
	size_t size = 128 << 10;
	char *buf = malloc(size);
	uint64_t pos = 0;
	int rc = CK_OK;

	if (!state || !buf) {
		rc = fail(CK_FAILED, "out of memory");
		goto out;
	}
	XXH64_reset(state, 0);
	while (pos < bytes) {
		size_t n = bytes - pos < size ? (size_t)(bytes - pos) : size;

		rc = dir_read(fd, buf, n, pos, path, name);
		if (rc)
			goto out;
		XXH64_update(state, buf, n);
		pos += n;
	}
	*hash = XXH64_digest(state);
out:
	free(buf);
	XXH64_freeState(state);
	return rc;
}

int dir_make(int at, const char *name)
{
	/* Not even an odd umask may take rights away, or the next open fails. */
	mode_t mask = umask(0);
	int rc = mkdirat(at, name, 0700), err = errno;

	umask(mask);
	errno = err;
	return rc;
}

/* The deepest thing of an image: gen-<n>/<step>/<node>.ckpt/gen-<n>/pages. */
#define MAX_DEPTH 5

static int remove_at(int at, const char *name, int depth);

/* What is in a directory that is to go. */
static int empty(int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;
	int rc = 0;

	if (!dir) {
		close(fd);
		return -1;
	}
	while (rc == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = remove_at(fd, entry->d_name, depth);
	closedir(dir);
	return rc;
}

static int remove_at(int at, const char *name, int depth)
{
	int fd;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if ((errno != EISDIR && errno != EPERM) || depth > MAX_DEPTH)
		return -1;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || empty(fd, depth + 1) < 0)
		return -1;
	return unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int dir_remove(int at, const char *name)
{
	return remove_at(at, name, 1);
}
