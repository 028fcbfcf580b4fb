// SPDX-License-Identifier: GPL-2.0
/*
 * A file that is no more is made again as its user, without a name, filled, and
 * then given its name, which nothing else may have; after that its descriptions are
 * opened by that name, so that the job sees no other.  From there to the end of
 * the restart a few moments are left in which SIGKILL leaves it behind, as it was
 * at the checkpoint, but for a mode that kept its own user out: the next restart takes
 * it for the file that it is.
 */
#include "remake.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#include "cred.h"
#include "files.h"
#include "mm.h"
#include "out.h"
#include "trail.h"

int remake_failed(const struct image_shm *shm, const struct trail *trail, int err)
{
	if (trail->why)
		return fail(CK_REFUSED, "cannot make %s again, which the job had: %.*s %s", shm->name,
			    (int)trail->bad, shm->name, trail->why);
	return fail_errno(err, "cannot make %s again, which the job had", shm->name);
}

struct make {
	struct restore *r;
	const struct image_shm *shm;
	struct restore_temp *temp;
	uid_t uid;
	struct trail trail;
	int start_fd;			/* the directory in which it is made */
	char name[32];			/* in that, for the time being; "" for none */
	int fd;				/* of what is made */
};

/* Empty, without a name or, where the file system cannot do that, with one that
 * nobody looks for, in the last directory that is there. */
static int create(void *arg)
{
	static unsigned int nr;
	struct make *m = arg;

	if (trail_follow(&m->trail, m->shm->name, m->uid) < 0)
		return -1;
	m->start_fd = fcntl(m->trail.dir_fd, F_DUPFD_CLOEXEC, 0);
	m->fd = openat(m->start_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (m->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return m->fd;
	snprintf(m->name, sizeof(m->name), ".ckpt-%d-%u", getpid(), nr++);
	m->fd = openat(m->start_fd, m->name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC,
		       0600);
	if (m->fd < 0)
		m->name[0] = '\0';
	return m->fd;
}

static int set_time(const struct make *m)
{
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = m->shm->temp->mtime_sec, .tv_nsec = m->shm->temp->mtime_nsec },
	};

	return futimens(m->fd, times);
}

/* With its time, and its mode unless that kept its user out: who meets it by its name
 * takes it for what it was. */
static int fill(void *arg)
{
	const struct make *m = arg;
	mode_t mode = m->shm->rec->mode & 0777;
	int rc = shm_fill(m->r, m->shm, m->fd);

	if (!rc && (mode & 0600) == 0600)
		rc = fchmod(m->fd, mode);
	return rc ? rc : set_time(m);
}

/* One more directory on the way to it. */
static int make_dir(struct make *m)
{
	struct restore_temps *temps = m->r->temps;
	struct made_dir *more = realloc(temps->dirs, (temps->nr_dirs + 1) * sizeof(*more));
	char *path = strndup(m->shm->name, (size_t)(strchr(m->trail.rest, '/') - m->shm->name));

	if (more)
		temps->dirs = more;
	if (more && path && trail_make_step(&m->trail) == 0)
		temps->dirs[temps->nr_dirs++] = (struct made_dir){ m->temp->process, path };
	else if (!more || !path || errno != EEXIST)
		goto failed;
	else
		free(path);
	return trail_step(&m->trail, m->shm->name, m->uid);
failed:
	free(path);
	return -1;
}

/* Its name, which nobody else's file may have. */
static int place(void *arg)
{
	struct make *m = arg;
	char path[40];

	while (strchr(m->trail.rest, '/'))
		if (make_dir(m) < 0)
			return -1;
	if (*m->name)
		return linkat(m->start_fd, m->name, m->trail.dir_fd, m->trail.rest, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd);
	return linkat(AT_FDCWD, path, m->trail.dir_fd, m->trail.rest, AT_SYMLINK_FOLLOW);
}

/* Another task of the job, which is continued at the same time, was quicker: it is
 * the same file.  Anybody else's is not. */
static int adopt(void *arg)
{
	struct make *m = arg;
	struct stat st;

	if (fstatat(m->trail.dir_fd, m->trail.rest, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!S_ISREG(st.st_mode) || st.st_uid != m->uid || st.st_nlink != 1 ||
	    (uint64_t)st.st_size != m->shm->rec->size ||
	    st.st_mtim.tv_sec != m->shm->temp->mtime_sec ||
	    st.st_mtim.tv_nsec != (long)m->shm->temp->mtime_nsec) {
		errno = EEXIST;
		return -1;
	}
	m->temp->dev = st.st_dev;
	m->temp->ino = st.st_ino;
	return 0;
}

static int remove_name(void *arg)
{
	const struct make *m = arg;

	return unlinkat(m->start_fd, m->name, 0);
}

/* One of its descriptions, as who had it: for cred_call(). */
struct description {
	const struct make *make;
	int flags;
	int fd;
};

static int open_one(void *arg)
{
	struct description *d = arg;
	const struct make *m = d->make;
	struct open_how how = {
		.flags = (__u64)(unsigned int)d->flags | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH,
	};
	struct stat st;

	d->fd = (int)syscall(SYS_openat2, m->trail.dir_fd, m->trail.rest, &how, sizeof(how));
	if (d->fd < 0)
		return -1;
	if (fstat(d->fd, &st) == 0 && st.st_ino == m->temp->ino && st.st_dev == m->temp->dev)
		return 0;
	/* Somebody was quicker, where he may be. */
	close(d->fd);
	errno = EEXIST;
	return -1;
}

static int open_descriptions(struct make *m)
{
	const struct image *img = m->r->image;
	struct description d = { .make = m };
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < img->nr_files && !rc; i++) {
		const struct image_process *p = restore_file_owner(m->r, i);

		if (!p || !image_is_temporary(&img->files[i]) ||
		    &img->shms[img->files[i].shm] != m->shm)
			continue;
		d.flags = restore_open_flags(img->files[i].rec);
		if (cred_call(p, open_one, &d) < 0)
			return remake_failed(m->shm, &m->trail, errno);
		m->r->file_fds[i] = restore_keep_fd(m->r, d.fd);
		rc = restore_settle_file(m->r, i);
	}
	return rc ? rc : mm_open_made(m->r, m->shm->name);
}

/* The same image may be restarted once more, when the job has gone on to write what is
 * made now; another one may be made when nobody has it open. */
static uint64_t mark_of(const struct image *img, const struct image_shm *shm)
{
	return XXH64(shm->rec, sizeof(*shm->rec), 0) ^ XXH64(shm->temp, sizeof(*shm->temp), 1) ^
	       XXH64(img->meta.host, strlen(img->meta.host), (uint64_t)img->meta.time);
}

void remake_mark(const struct image *img, const struct image_shm *shm, int fd)
{
	const uint64_t mark = mark_of(img, shm);

	fsetxattr(fd, TEMPFILE_MARK, &mark, sizeof(mark), 0);
}

bool remake_is_marked(const struct image *img, const struct image_shm *shm, int fd)
{
	uint64_t mark;

	return fgetxattr(fd, TEMPFILE_MARK, &mark, sizeof(mark)) == sizeof(mark) && mark == mark_of(img, shm);
}

/* Last: it may not allow what was opened before.  Nobody gets a set-user-ID bit
 * from an image. */
static int finish(void *arg)
{
	const struct make *m = arg;

	remake_mark(m->r->image, m->shm, m->fd);
	return fchmod(m->fd, m->shm->rec->mode & 0777) < 0 ? -1 : set_time(m);
}

static int make_steps(struct make *m)
{
	const struct image_process *p = m->temp->process;
	struct stat st;
	int rc;

	if (cred_call(p, create, m) < 0 || fstat(m->fd, &st) < 0)
		return remake_failed(m->shm, &m->trail, errno);
	rc = cred_call(p, fill, m);
	if (rc)
		return rc < 0 ? remake_failed(m->shm, &m->trail, errno) : rc;
	m->temp->made = cred_call(p, place, m) == 0;
	if (m->temp->made) {
		m->temp->dev = st.st_dev;
		m->temp->ino = st.st_ino;
	} else if (errno != EEXIST || cred_call(p, adopt, m) < 0) {
		return remake_failed(m->shm, &m->trail, errno);
	}
	rc = open_descriptions(m);
	if (!rc && m->temp->made && cred_call(p, finish, m) < 0)
		rc = remake_failed(m->shm, &m->trail, errno);
	return rc;
}

static int make(struct restore *r, size_t i)
{
	struct make m = {
		.r = r, .shm = &r->image->shms[i], .temp = &r->temps->files[i],
		.trail = { .dir_fd = -1 }, .start_fd = -1, .fd = -1,
	};
	int rc;

	m.uid = m.temp->process->cred->fsuid;
	rc = make_steps(&m);
	if (*m.name && cred_call(m.temp->process, remove_name, &m) < 0)
		note("cannot remove %s, which is not needed: %s", m.name, strerror(errno));
	trail_end(&m.trail);
	if (m.start_fd >= 0)
		close(m.start_fd);
	if (m.fd >= 0)
		close(m.fd);
	return rc;
}

/* What nobody had open may not even be the job's. */
static int make_closed(struct restore *r, size_t i)
{
	struct capture outer;
	char sentence[512];
	int rc;

	outer = fail_capture(sentence, sizeof(sentence));
	rc = make(r, i);
	fail_restore(outer);
	if (rc)
		note("%s", sentence);
	return CK_OK;
}

int remake_all(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; r->temps && i < r->image->nr_shms && !rc; i++)
		if (r->temps->files[i].fate == TEMP_MISSING)
			rc = r->temps->files[i].needed ? make(r, i) : make_closed(r, i);
	return rc ? rc : restore_open_late(r);
}

/* ---- taken away again ---- */

struct removal {
	const char *path;
	uid_t uid;
	const struct restore_temp *temp;	/* NULL for a directory */
};

static int remove_one(void *arg)
{
	const struct removal *d = arg;
	struct trail trail;
	struct stat st;
	int rc;

	if (trail_follow(&trail, d->path, d->uid) < 0)
		return -1;
	rc = strchr(trail.rest, '/') ? -1 : fstatat(trail.dir_fd, trail.rest, &st, AT_SYMLINK_NOFOLLOW);
	if (!rc && d->temp && (st.st_ino != d->temp->ino || st.st_dev != d->temp->dev))
		rc = -1;
	if (!rc)
		rc = unlinkat(trail.dir_fd, trail.rest, d->temp ? 0 : AT_REMOVEDIR);
	trail_end(&trail);
	return rc;
}

void remake_undo(struct restore *r)
{
	struct restore_temps *temps = r->temps;
	size_t i;

	for (i = 0; temps && i < r->image->nr_shms; i++) {
		struct restore_temp *t = &temps->files[i];
		struct removal d = { .path = r->image->shms[i].name, .temp = t };

		if (!t->made)
			continue;
		d.uid = t->process->cred->fsuid;
		cred_call(t->process, remove_one, &d);
		t->made = false;
	}
	while (temps && temps->nr_dirs) {
		struct made_dir *dir = &temps->dirs[--temps->nr_dirs];
		struct removal d = { .path = dir->path, .uid = dir->process->cred->fsuid };

		/* Not empty, if somebody else uses it by now. */
		cred_call(dir->process, remove_one, &d);
		free(dir->path);
	}
}

/* ---- brought back ---- */

/* All zero, but not shorter: cutting it would take the private pages away of who
 * has it mapped. */
static int clear(int fd, off_t size)
{
	static const char zeros[65536];
	off_t at = 0;

	if (ftruncate(fd, size) < 0)
		return -1;
	if (!size || fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size) == 0)
		return 0;
	while (at < size) {
		size_t left = size - at < (off_t)sizeof(zeros) ? (size_t)(size - at) : sizeof(zeros);
		ssize_t n = pwrite(fd, zeros, left, at);

		if (n <= 0)
			return -1;
		at += n;
	}
	return 0;
}

static int rewrite(void *arg)
{
	const struct make *m = arg;

	return clear(m->fd, (off_t)m->shm->rec->size) < 0 ? -1 : fill(arg);
}

int remake_commit(struct restore *r)
{
	const char *first = NULL;
	size_t i, nr = 0;
	int rc = CK_OK;

	for (i = 0; r->temps && i < r->image->nr_shms && !rc; i++) {
		struct restore_temp *t = &r->temps->files[i];
		struct make m = { .r = r, .shm = &r->image->shms[i], .temp = t, .fd = t->fd };

		if (t->made && !nr++)
			first = m.shm->name;
		if (t->fate != TEMP_CHANGED)
			continue;
		rc = cred_call(t->process, rewrite, &m);
		if (rc < 0)
			rc = fail_errno(errno, "cannot bring %s back", m.shm->name);
		if (!rc)
			note_done("%s is brought back to its contents at the checkpoint", m.shm->name);
	}
	if (nr == 1)
		note_done("%s was missing and is made again", first);
	else if (nr)
		note_done("%s and %zu more temporary files were missing and are made again", first, nr - 1);
	return rc;
}
