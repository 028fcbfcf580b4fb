// SPDX-License-Identifier: GPL-2.0
/*
 * Locks: those of an open file description (flock(2), fcntl(F_OFD_SETLK)) and those
 * of a process (lockf(3), fcntl(F_SETLK)).
 *
 * Saved: what is locked and how.  A restart takes the former again before any process
 * exists; the latter go with any descriptor of the file that is closed, so that the
 * module takes them, at the end.  Somebody else who has them by then is a reason not to.
 *
 * Refused: leases, which tell their owner by a signal.
 */
#include "locks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "files.h"
#include "out.h"
#include "proc.h"
#include "tempfiles.h"

/* ---- check ---- */

/* "lock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF" */
static void parse_line(const char *line, struct ckpt_rec_lock *lock)
{
	char kind[16], mode[16], how[16], end[24];
	long long start, last = INT64_MAX;

	*lock = (struct ckpt_rec_lock){ .kind = 0 };
	if (sscanf(line, "lock: %*d: %15s %15s %15s %*d %*s %lld %23s", kind, mode, how, &start,
		   end) != 5 || strcmp(mode, "ADVISORY") != 0 || start < 0)
		return;
	if (strcmp(end, "EOF") != 0 && (sscanf(end, "%lld", &last) != 1 || last < start))
		return;
	if (strcmp(how, "WRITE") != 0 && strcmp(how, "READ") != 0)
		return;
	lock->exclusive = strcmp(how, "WRITE") == 0;
	lock->start = start;
	lock->end = last;
	if (strcmp(kind, "FLOCK") == 0)
		lock->kind = CKPT_LOCK_FLOCK;
	else if (strcmp(kind, "OFDLCK") == 0)
		lock->kind = CKPT_LOCK_OFD;
	else if (strcmp(kind, "POSIX") == 0)
		lock->kind = CKPT_LOCK_POSIX;
}

bool lock_next(const char **info, struct ckpt_rec_lock *lock)
{
	char line[256];

	while (**info) {
		const char *at = *info;
		size_t len = strcspn(at, "\n");

		*info = at + len + (at[len] == '\n');
		if (strncmp(at, "lock:", 5) != 0)
			continue;
		if (len >= sizeof(line))
			len = sizeof(line) - 1;
		memcpy(line, at, len);
		line[len] = '\0';
		parse_line(line, lock);
		return true;
	}
	return false;
}

/*
 * A process's lock is seen at each of its descriptors of the file; this is the first
 * by which it can be taken again.  NULL for none.
 */
static const struct dump_fd *posix_fd(const struct dump *d, const struct dump_fd *seen,
				      const struct ckpt_rec_lock *lock)
{
	const struct proc *p = seen->proc;
	size_t i;

	for (i = p->first_fd; i < p->first_fd + p->nr_fds; i++) {
		const struct dump_fd *f = &d->files->fds[i];
		unsigned int mode = f->raw.flags & O_ACCMODE;

		if (f->raw.dev == seen->raw.dev && f->raw.ino == seen->raw.ino &&
		    !(f->raw.flags & O_PATH) &&
		    (mode == O_RDWR || mode == (lock->exclusive ? O_WRONLY : O_RDONLY)))
			return f;
	}
	return NULL;
}

/* Those of one description are in the fdinfo of each of its descriptors, and a
 * process's own in that of its descriptors only: every one is looked at. */
static int check(struct dump *d, const struct dump_fd *f)
{
	const char *at = f->locks;
	struct ckpt_rec_lock lock;

	if (f->proc->relaunch)
		return CK_OK;
	while (lock_next(&at, &lock))
		if (!lock.kind || f->file->rec.kind != CKPT_FILE_REG ||
		    (lock.kind == CKPT_LOCK_POSIX && !posix_fd(d, f, &lock))) {
			f->file->refused = true;
			return obstacle(d, f->proc->pid, "holds a lease or an unusual lock on %s "
					"(descriptor %d), which cannot be saved; let it release it "
					"before a checkpoint", f->file->path, f->fd);
		}
	return CK_OK;
}

static int locks_check(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_fds && !rc; i++)
		if (d->files->fds[i].locks && !d->files->fds[i].file->refused)
			rc = check(d, &d->files->fds[i]);
	return rc;
}

static int locks_dump(struct dump *d)
{
	struct ckpt_rec_lock lock;
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_fds; i++) {
		const struct dump_fd *f = &d->files->fds[i];
		const char *at = f->locks;

		if (!at || f->file->rec.kind != CKPT_FILE_REG || !dump_file_saved(f->file))
			continue;
		while (!rc && lock_next(&at, &lock)) {
			/* What is started anew takes its own ones again. */
			if (f->proc->relaunch && (!lock.kind || lock.kind == CKPT_LOCK_POSIX))
				continue;
			if (lock.kind == CKPT_LOCK_POSIX) {
				if (posix_fd(d, f, &lock) != f)
					continue;
				lock.pid = f->proc->pid;
				lock.fd = f->fd;
			} else if (f->file->locks_put) {
				continue;	/* of a description, once */
			}
			lock.file = f->file->rec.id;
			rc = image_put(d->writer, CKPT_REC_LOCK, &lock, sizeof(lock), NULL, 0);
		}
		f->file->locks_put = true;
	}
	return rc;
}

/* ---- restore ---- */

static int lock(int fd, const struct ckpt_rec_lock *rec)
{
	struct flock range = {
		.l_type = rec->exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET,
		.l_start = rec->start,
		.l_len = rec->end == INT64_MAX ? 0 : rec->end - rec->start + 1,
	};

	if (rec->kind == CKPT_LOCK_FLOCK)
		return flock(fd, LOCK_NB | (rec->exclusive ? LOCK_EX : LOCK_SH));
	return fcntl(fd, F_OFD_SETLK, &range);
}

/* Those of files that are @missing, or of all others. */
static int take_locks(struct restore *r, bool missing)
{
	size_t i;

	for (i = 0; i < r->image->nr_locks; i++) {
		const struct image_lock *l = &r->image->locks[i];
		const char *path = r->image->files[l->file].path;

		if (l->rec->kind == CKPT_LOCK_POSIX || r->file_fds[l->file] < 0 ||
		    missing != (tempfiles_fate(r, l->file) == TEMP_MISSING) || lock(r->file_fds[l->file], l->rec) == 0)
			continue;
		if (errno == EAGAIN || errno == EACCES)
			return fail(CK_BUSY, "%s, which the job had locked, is locked by somebody else",
				    path);
		return fail_errno(errno, "cannot lock %s", path);
	}
	return CK_OK;
}

static int locks_prepare(struct restore *r)
{
	return take_locks(r, false);
}

static int locks_make(struct restore *r)
{
	return take_locks(r, true);
}

int locks_plan(const struct restore *r, const struct image_process *p, struct ckpt_plan *plan)
{
	struct ckpt_plan_lock *locks = calloc(r->image->nr_locks + 1, sizeof(*locks));
	size_t i;

	if (!locks)
		return fail(CK_FAILED, "out of memory");
	plan->locks = (uintptr_t)locks;
	for (i = 0; i < r->image->nr_locks; i++) {
		const struct ckpt_rec_lock *rec = r->image->locks[i].rec;

		if (rec->kind == CKPT_LOCK_POSIX && rec->pid == p->rec->pid)
			locks[plan->nr_locks++] = (struct ckpt_plan_lock){
				.start = rec->start, .end = rec->end, .fd = rec->fd,
				.exclusive = rec->exclusive,
			};
	}
	return CK_OK;
}

const struct state_ops state_locks = {
	.name = "file locks",
	.saved = "flock(2), fcntl(F_OFD_SETLK), fcntl(F_SETLK), lockf(3)",
	.refused = "leases; at the restart: locks that somebody else has",
	.check = locks_check,
	.dump = locks_dump,
	.prepare = locks_prepare,
	.make = locks_make,
};
