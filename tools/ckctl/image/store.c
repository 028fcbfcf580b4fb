// SPDX-License-Identifier: GPL-2.0
/*
 * A checkpoint becomes part of an image in one step, the rename of the
 * manifest.  Until then it is a gen-<n> that no manifest names.
 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dir.h"
#include "out.h"

static const char *name_of(const struct store *s)
{
	return strrchr(s->path, '/') + 1;
}

/* ---- one writer ---- */

/* What was opened is still what is at its name: an aborting first writer removes
 * its directory while it holds the lock that we waited for. */
static bool still_there(int fd, int at, const char *name)
{
	struct stat ours, there;

	return fstat(fd, &ours) == 0 && fstatat(at, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static int busy(const struct store *s, int err)
{
	if (err == EWOULDBLOCK)
		return fail(CK_BUSY, "another checkpoint is being written to %s", s->path);
	return fail_errno(err, "cannot lock %s", s->path);
}

static int open_and_lock(struct store *s)
{
	int rc;

	for (;;) {
		if (dir_make(s->parent, name_of(s)) < 0 && errno != EEXIST)
			return fail_errno(errno, "cannot make %s", s->path);
		rc = dir_open(&s->dir, s->parent, name_of(s), s->path, true, &s->owner);
		if (rc)
			return rc;
		if (flock(s->dir, LOCK_EX | LOCK_NB) < 0)
			return busy(s, errno);
		if (still_there(s->dir, s->parent, name_of(s))) {
			s->locked = true;
			return CK_OK;
		}
		close(s->dir);
		s->dir = -1;
	}
}

/*
 * The checkpoint of a job may be driven from any of its nodes.  Network file
 * systems keep the writers of different nodes apart by locks on files that are
 * open for writing, and by no others.
 */
static int lock_among_nodes(struct store *s)
{
	int fd, err;

	for (;;) {
		fd = openat(s->dir, DIR_LOCK, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
			    0600);
		if (fd < 0)
			return fail_errno(errno, "cannot make %s/%s", s->path, DIR_LOCK);
		/* A file system without such locks leaves the other one, of this node. */
		err = flock(fd, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
		if (err && err != ENOLCK && err != EOPNOTSUPP) {
			close(fd);
			return busy(s, err);
		}
		if (still_there(fd, s->dir, DIR_LOCK))
			break;
		close(fd);
	}
	s->lock_fd = fd;
	if (fchmod(fd, 0600) < 0)
		return fail_errno(errno, "cannot set the rights of %s/%s", s->path, DIR_LOCK);
	return CK_OK;
}

/* ---- what was there before ---- */

/* Remove what a writer that died left: generations that no manifest names.  Where
 * nobody can tell which these are, the new one comes after all of them. */
static int remove_leftovers(struct store *s)
{
	int rc = CK_OK, fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		rc = fail_errno(errno, "cannot list %s", s->path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (rc == CK_OK && (entry = readdir(dir))) {
		uint32_t number = dir_generation_number(entry->d_name);

		if (s->damaged && number > s->number)
			s->number = number;
		if (number && !s->damaged && !(s->former && manifest_find(s->former, number)) &&
		    dir_remove(s->dir, entry->d_name) < 0)
			rc = fail_errno(errno, "cannot remove %s/%s, which a checkpoint that "
					"died left", s->path, entry->d_name);
	}
	closedir(dir);
	return rc;
}

/* Quietly: what the manifest says, or why it cannot be read. */
static int peek(const struct store *s, struct manifest **m, char *why, unsigned int size)
{
	struct capture outer;
	int rc;

	outer = fail_capture(why, size);
	rc = manifest_read(m, s->dir, s->path);
	fail_restore(outer);
	return rc;
}

/* Before anything is put there. */
static int check_kind(const struct store *s)
{
	struct manifest *m = NULL;
	char ignored[8];
	bool other = peek(s, &m, ignored, sizeof(ignored)) == CK_OK && m && m->kind != s->kind;

	manifest_free(m);
	if (!other)
		return CK_OK;
	return fail(CK_REFUSED, "%s is an image of another kind, of %s; checkpoint to another "
		    "directory", s->path, s->kind == IMAGE_JOB ? "a cgroup" : "a whole job");
}

/* A job must not go without checkpoints because its former image is lost. */
static int read_former(struct store *s)
{
	char why[1024] = "";
	int rc = peek(s, &s->former, why, sizeof(why));

	if (rc == CK_OK)
		return CK_OK;
	if (rc != CK_DAMAGED)
		return fail(rc, "%s", why);
	s->damaged = true;
	note("%s; this checkpoint replaces it", why);
	return CK_OK;
}

/* ---- the new generation ---- */

int store_create(const struct store *s, int at, const char *name, int flags)
{
	int fd = openat(at, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		return -1;
	if (fchmod(fd, 0600) == 0 &&
	    (s->owner == geteuid() || fchown(fd, s->owner, s->group) == 0))
		return fd;
	close(fd);
	return -1;
}

static int make_dir(const struct store *s, int at, const char *name)
{
	struct stat st;
	int fd;

	if (dir_make(at, name) < 0)
		return -1;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	/* Where root writes for a user, the user could have put another one there. */
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
		errno = EPERM;
	else if (s->owner == geteuid() || fchown(fd, s->owner, s->group) == 0)
		return fd;
	close(fd);
	return -1;
}

static int create_generation(struct store *s)
{
	struct dir_name name = dir_generation_name(s->number);

	snprintf(s->gen_path, sizeof(s->gen_path), "%s/%s", s->path, name.text);
	s->gen = make_dir(s, s->dir, name.text);
	return s->gen < 0 ? fail_errno(errno, "cannot make %s", s->gen_path) : CK_OK;
}

static int open_image(struct store *s, const char *dir)
{
	struct stat st;
	int rc;

	s->parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->parent < 0)
		return fail_errno(errno, "cannot open the image directory %s", dir);
	rc = open_and_lock(s);
	if (rc)
		return rc;
	if (fstat(s->dir, &st) < 0)
		return fail_errno(errno, "cannot examine %s", s->path);
	s->group = st.st_gid;
	/* Who checkpoints a job is its user; somebody else may have expected root's there. */
	if (s->kind == IMAGE_JOB && s->owner != geteuid())
		return fail(CK_PERM, "%s belongs to user %u, whose job this is not", s->path, s->owner);
	rc = check_kind(s);
	if (rc == CK_OK && s->kind == IMAGE_JOB)
		rc = lock_among_nodes(s);
	/* Only now: until then a writer on another node may have replaced it. */
	if (rc == CK_OK)
		rc = read_former(s);
	if (rc == CK_OK && s->former)
		s->number = s->former->generations[s->former->nr_generations - 1].number;
	if (rc == CK_OK)
		rc = remove_leftovers(s);
	if (rc)
		return rc;
	s->number++;
	return s->number ? CK_OK : fail(CK_FAILED, "%s has no generation number left; "
					"checkpoint to another directory", s->path);
}

static int begin(struct store *s, enum image_kind kind, const char *dir, const char *id)
{
	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->parent = s->dir = s->gen = s->lock_fd = -1;
	return image_path(s->path, sizeof(s->path), dir, id);
}

int store_begin(struct store *s, enum image_kind kind, const char *dir, const char *id)
{
	int rc = begin(s, kind, dir, id);

	if (rc == CK_OK)
		rc = open_image(s, dir);
	return rc ? rc : create_generation(s);
}

/* It is no writer who asks: what is damaged, or of another kind, stays as it is. */
static int sweep(struct store *s, const char *dir)
{
	struct stat st;
	int rc;

	s->parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->parent < 0 || fstatat(s->parent, name_of(s), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISDIR(st.st_mode))
		return CK_OK;
	rc = open_and_lock(s);
	if (rc)
		return rc;
	rc = manifest_read(&s->former, s->dir, s->path);
	if (rc == CK_OK && s->former && s->former->kind != s->kind)
		rc = fail(CK_REFUSED, "%s is an image of another kind", s->path);
	if (rc == CK_OK && s->kind == IMAGE_JOB)
		rc = lock_among_nodes(s);
	if (rc == CK_OK)
		rc = remove_leftovers(s);
	if (rc == CK_OK)
		manifest_sweep(s->dir);
	else
		s->locked = false;
	return rc;
}

int store_sweep(enum image_kind kind, const char *dir, const char *id)
{
	struct store s;
	int rc = begin(&s, kind, dir, id);

	if (rc == CK_OK)
		rc = sweep(&s, dir);
	store_close(&s);
	return rc;
}

/* ---- the end ---- */

/* A manifest that cannot be read is kept for whoever wants to look at it. */
static int keep_damaged(const struct store *s)
{
	static const char aside[] = DIR_MANIFEST ".damaged";

	unlinkat(s->dir, aside, 0);
	/* It goes on being there until the new one takes its place. */
	if (linkat(s->dir, DIR_MANIFEST, s->dir, aside, 0) == 0 ||
	    renameat(s->dir, DIR_MANIFEST, s->dir, aside) == 0 || errno == ENOENT)
		return CK_OK;
	return fail_errno(errno, "cannot move %s/" DIR_MANIFEST ", which is damaged, aside", s->path);
}

int store_publish(struct store *s, const struct manifest_generation *newest, unsigned int keep)
{
	size_t old = s->former ? s->former->nr_generations : 0;
	size_t kept = old < keep ? old : keep ? keep - 1 : 0, i;
	struct manifest m = { .kind = s->kind, .nr_generations = kept + 1 };
	int rc;

	m.generations = calloc(kept + 1, sizeof(*m.generations));
	if (!m.generations)
		return fail(CK_FAILED, "out of memory");
	/* Shallow copies: @former and the caller own what they point to. */
	if (kept)
		memcpy(m.generations, s->former->generations + old - kept,
		       kept * sizeof(*m.generations));
	m.generations[kept] = *newest;
	rc = s->damaged ? keep_damaged(s) : CK_OK;
	if (rc == CK_OK)
		rc = manifest_write(&m, s->dir, s->path);
	if (rc == CK_OK) {
		s->committed = true;
		if (fsync(s->dir) < 0 || (!s->former && fsync(s->parent) < 0))
			rc = fail_errno(errno, "cannot make %s durable", s->path);
	}
	for (i = 0; rc == CK_OK && i < old - kept; i++) {
		struct dir_name name = dir_generation_name(s->former->generations[i].number);

		/* The image is complete; the next checkpoint tries again. */
		if (dir_remove(s->dir, name.text) < 0)
			note("cannot remove %s/%s, which is no longer needed: %s", s->path,
			     name.text, strerror(errno));
	}
	free(m.generations);
	return rc;
}

void store_close(struct store *s)
{
	if (s->gen >= 0 && !s->committed) {
		struct dir_name name = dir_generation_name(s->number);

		if (dir_remove(s->dir, name.text) < 0)
			note("cannot remove %s/%s, which is not part of the image: %s", s->path,
			     name.text, strerror(errno));
	}
	if (s->gen >= 0)
		close(s->gen);
	/* A first checkpoint that failed leaves nothing. */
	if (s->locked && !s->former && !s->committed) {
		if (s->lock_fd >= 0)
			unlinkat(s->dir, DIR_LOCK, 0);
		unlinkat(s->parent, name_of(s), AT_REMOVEDIR);
	}
	if (s->dir >= 0)
		close(s->dir);	/* and with it the lock */
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	if (s->parent >= 0)
		close(s->parent);
	manifest_free(s->former);
}
