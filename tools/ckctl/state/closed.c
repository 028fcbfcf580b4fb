// SPDX-License-Identifier: GPL-2.0
/*
 * A program may close a temporary file and open it again later, by a name that it
 * alone knows: sort(1) does.  Whose a file is that nobody has open, nothing tells; it
 * is taken for the job's when it has one name, belongs to a user of the job, lies
 * in one of places.c's directories (or below directories of that user in there)
 * and was born since the job began, or is known to be of a former life of it.  One that is not the job's costs a copy, and
 * nothing else: a restart makes what is missing and touches none that is there, but for
 * what the job has mapped such that it writes it: that is the job's.
 */
#include "closed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "contents.h"
#include "files.h"
#include "job/job.h"
#include "out.h"
#include "places.h"
#include "proc.h"
#include "tempfiles.h"

/* That much of each place is looked at, while a job stands still. */
#define MAX_ENTRIES	1000
#define MAX_DIRS	128
#define MAX_UIDS	16

struct scan_dir {
	int fd;
	const char *path;
};

struct scan {
	struct dump *d;
	struct scan_dir dirs[MAX_DIRS];	/* looked at in this order */
	size_t nr_dirs;
	uint32_t uids[MAX_UIDS];
	size_t nr_uids;
	unsigned int nr_entries;
	int rc;
};

static bool is_users(const struct scan *s, uint32_t uid)
{
	size_t i;

	for (i = 0; i < s->nr_uids; i++)
		if (s->uids[i] == uid)
			return true;
	return false;
}

/* That of file access: the last of four. */
static void add_user(struct scan *s, const struct proc *p)
{
	const char *text = proc_status(p->status, "Uid");
	unsigned int uid;

	if (text && sscanf(text, "%*u %*u %*u %u", &uid) == 1 && !is_users(s, uid) &&
	    s->nr_uids < MAX_UIDS)
		s->uids[s->nr_uids++] = uid;
}

static bool is_known(const struct scan *s, const struct statx *st)
{
	const struct dump_content *c = s->d->files->contents.first;
	uint64_t dev = makedev(st->stx_dev_major, st->stx_dev_minor);

	while (c && (c->rec.ino != st->stx_ino || c->rec.dev != dev))
		c = c->next;
	return c;
}

/* Where it is not known when it was born, it is as old as its contents. */
static bool is_young(const struct scan *s, const struct statx *st)
{
	int64_t born = st->stx_mask & STATX_BTIME ? st->stx_btime.tv_sec :
		       st->stx_mtime.tv_sec < st->stx_ctime.tv_sec ? st->stx_mtime.tv_sec :
		       st->stx_ctime.tv_sec;

	return born >= s->d->places->began;
}

/* A restart has told that it is the job's: TEMPFILE_MARK. */
static bool is_marked(int fd)
{
	return fd >= 0 && fgetxattr(fd, TEMPFILE_MARK, NULL, 0) >= 0;
}

static int add(struct scan *s, const char *path, const struct statx *st, int fd, int err)
{
	struct dump_content *c = content_add(s->d, dump_strdup(s->d, path, strlen(path)));

	if (!c || content_has_name(s->d, c, st))
		return CK_FAILED;
	c->fd = fd;
	c->err = fd < 0 ? err : 0;
	c->rec.size = st->stx_size;
	c->rec.mode = st->stx_mode;
	c->rec.dev = makedev(st->stx_dev_major, st->stx_dev_minor);
	c->rec.ino = st->stx_ino;
	c->temp->flags = CKPT_TEMPFILE_CLOSED;
	c->temp->mtime_sec = st->stx_mtime.tv_sec;
	c->temp->mtime_nsec = st->stx_mtime.tv_nsec;
	return CK_OK;
}

/* Where others may rename, another file may have been put there meanwhile.  -1 and errno. */
static int open_same(int dir_fd, const char *name, const struct statx *st)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat now;

	if (fd < 0 || (fstat(fd, &now) == 0 && now.st_ino == st->stx_ino &&
		       now.st_dev == makedev(st->stx_dev_major, st->stx_dev_minor)))
		return fd;
	close(fd);
	errno = ESTALE;
	return -1;
}

static void take(struct scan *s, int dir_fd, const char *name, const char *path,
		 const struct statx *st)
{
	bool taken;
	int fd;

	if (st->stx_nlink != 1 || !is_users(s, st->stx_uid) || is_known(s, st) ||
	    !places_have(s->d->places, path, makedev(st->stx_dev_major, st->stx_dev_minor)))
		return;
	fd = open_same(dir_fd, name, st);
	taken = is_young(s, st) || is_marked(fd);
	if (taken)
		s->rc = add(s, path, st, fd, errno);
	/* What was added has it. */
	if (fd >= 0 && (!taken || s->rc))
		close(fd);
}

/* Ckctl's own notes of what jobs run. */
static bool is_registry(const char *path)
{
	size_t len = sizeof(JOB_TMP_DIR) - 1;

	return strncmp(path, JOB_TMP_DIR, len) == 0 && path[len + strspn(path + len, "0123456789")] == '\0';
}

static void add_dir(struct scan *s, int fd, const char *path)
{
	if (fd < 0)
		return;
	if (s->nr_dirs == MAX_DIRS) {
		close(fd);
		return;
	}
	s->dirs[s->nr_dirs].fd = fd;
	s->dirs[s->nr_dirs++].path = dump_strdup(s->d, path, strlen(path));
}

static void look(struct scan *s, const struct scan_dir *dir, const struct statx *above,
		 const char *name)
{
	char path[PATH_MAX];
	struct statx st;

	if (snprintf(path, sizeof(path), "%s/%s", dir->path, name) >= (int)sizeof(path) ||
	    statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		  STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
		return;
	if (S_ISREG(st.stx_mode))
		take(s, dir->fd, name, path, &st);
	/* Not into what is mounted there. */
	if (S_ISDIR(st.stx_mode) && is_users(s, st.stx_uid) && !is_registry(path) &&
	    st.stx_dev_major == above->stx_dev_major && st.stx_dev_minor == above->stx_dev_minor)
		add_dir(s, openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), path);
}

static void scan(struct scan *s, const struct scan_dir *place)
{
	DIR *dir = place->path ? fdopendir(place->fd) : NULL;
	const struct dirent *e;
	struct statx st;

	if (!dir) {
		close(place->fd);
		return;
	}
	if (statx(place->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) == 0)
		while (!s->rc && s->nr_entries < MAX_ENTRIES && (e = readdir(dir))) {
			if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
				continue;
			s->nr_entries++;
			look(s, place, &st, e->d_name);
		}
	closedir(dir);
}

int closed_find(struct dump *d)
{
	struct scan s = { .d = d };
	size_t i, k;

	for (i = 0; i < d->nr_procs; i++)
		add_user(&s, &d->procs[i]);
	for (i = 0; i < d->places->nr_dirs && !s.rc; i++) {
		s.nr_dirs = s.nr_entries = 0;
		add_dir(&s, open(d->places->dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			d->places->dirs[i]);
		/* What lies deep comes last. */
		for (k = 0; k < s.nr_dirs; k++)
			scan(&s, &s.dirs[k]);
	}
	return s.rc;
}
