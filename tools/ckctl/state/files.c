// SPDX-License-Identifier: GPL-2.0
/*
 * Open files: regular files, directories, stateless devices, standard streams.
 *
 * Saved: path, offset, flags, close-on-exec, and who shares an open file
 * description with whom.  Standard streams that lead out of the job are in
 * stdio.c, pipes between its processes in pipes.c.
 *
 * Contents are not saved.  A file that the job has open for writing and that
 * has grown since is cut back to its length; one that it only reads must be
 * the same as then.
 *
 * Refused: everything else, removed files, file locks, signal-driven I/O.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cred.h"
#include "out.h"
#include "proc.h"

/* ---- reading, while the job stands still ---- */

static struct dump_fd *new_fd(struct dump *d)
{
	struct dump_files *fs = d->files;
	struct dump_fd *more;

	if (fs->nr_fds == fs->size) {
		fs->size = fs->size ? 2 * fs->size : 64;
		more = dump_alloc(d, fs->size * sizeof(*more));
		if (!more)
			return NULL;
		if (fs->nr_fds)
			memcpy(more, fs->fds, fs->nr_fds * sizeof(*more));
		fs->fds = more;
	}
	return &fs->fds[fs->nr_fds++];
}

static int read_stat(struct dump_fd *f)
{
	struct ckpt_rec_file *raw = &f->raw;
	char name[32];
	struct statx st;

	snprintf(name, sizeof(name), "fd/%d", f->fd);
	/* A hung file server must not make the job stand still: what is known here. */
	if (statx(f->proc->dir_fd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
		  &st) < 0)
		return fail_errno(errno, "pid %d: cannot look at descriptor %d", f->proc->pid,
				  f->fd);
	raw->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	raw->rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	raw->ino = st.stx_ino;
	raw->mode = st.stx_mode;
	raw->size = st.stx_size;
	raw->mtime_sec = st.stx_mtime.tv_sec;
	raw->mtime_nsec = st.stx_mtime.tv_nsec;
	return CK_OK;
}

/*
 * Children inherit: the neighbour in the list of processes often has the very
 * same file at the very same number, and asking for that is cheaper than stat.
 */
static bool same_as_neighbour(const struct dump_files *fs, const struct proc *neighbour,
			      struct dump_fd *f, size_t *at)
{
	const struct dump_fd *other;
	size_t end;

	if (!neighbour)
		return false;
	end = neighbour->first_fd + neighbour->nr_fds;
	while (*at < end && fs->fds[*at].fd < f->fd)
		(*at)++;
	if (*at == end || fs->fds[*at].fd != f->fd ||
	    syscall(SYS_kcmp, neighbour->pid, f->proc->pid, KCMP_FILE, f->fd, f->fd) != 0)
		return false;
	other = &fs->fds[*at];
	f->raw = other->raw;
	f->same = *at + 1;
	return true;
}

static int read_fdinfo(struct dump_fd *f)
{
	struct ckpt_rec_file *raw = &f->raw;
	const char *value;
	char text[4096];

	if (proc_fdinfo(f->proc, f->fd, text, sizeof(text)) < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/fdinfo/%d", f->proc->pid,
				  f->proc->pid, f->fd);
	value = proc_status(text, "pos");
	raw->pos = value ? strtoll(value, NULL, 10) : 0;
	value = proc_status(text, "flags");
	raw->flags = value ? (uint32_t)strtoul(value, NULL, 8) : 0;
	f->cloexec = raw->flags & O_CLOEXEC;
	raw->flags &= ~(uint32_t)O_CLOEXEC;
	f->locked = proc_status(text, "lock") != NULL;
	return CK_OK;
}

static int read_fds(struct dump *d, struct proc *p, const struct proc *neighbour)
{
	size_t nr, i, at = neighbour ? neighbour->first_fd : 0;
	struct dump_fd *f;
	int *list;
	int rc;

	rc = proc_numbers(d, p, p->fd_fd, "fd", &list, &nr);
	if (rc)
		return rc;
	if (d->early_room)
		d->early_room = proc_keep_fdinfo(p, list, nr, d->early_room);
	p->first_fd = d->files->nr_fds;
	p->nr_fds = nr;
	for (i = 0; i < nr; i++) {
		f = new_fd(d);
		if (!f)
			return CK_FAILED;
		f->proc = p;
		f->fd = list[i];
		rc = same_as_neighbour(d->files, neighbour, f, &at) ? CK_OK : read_stat(f);
		if (!rc)
			rc = read_fdinfo(f);
		if (rc)
			return rc;
	}
	return CK_OK;
}

int dump_file_get(const struct dump_file *f)
{
	return (int)syscall(SYS_pidfd_getfd, f->proc->pid_fd, f->fd, 0);
}

/* ---- which descriptors share one description ---- */

#define COMPARE(a, b) if ((a) != (b)) return (a) < (b) ? -1 : 1

static int by_object(const struct ckpt_rec_file *a, const struct ckpt_rec_file *b)
{
	COMPARE(a->dev, b->dev);
	COMPARE(a->ino, b->ino);
	return 0;
}

static int by_key(const void *va, const void *vb)
{
	const struct dump_fd *const *pa = va, *const *pb = vb;
	const struct ckpt_rec_file *a = &(*pa)->raw, *b = &(*pb)->raw;
	int order = by_object(a, b);

	if (order)
		return order;
	COMPARE(a->flags, b->flags);
	COMPARE(a->pos, b->pos);
	/* The order of processes and numbers, so that the result is always the same. */
	COMPARE(*pa, *pb);
	return 0;
}

static bool same_description(const struct dump_fd *a, const struct dump_file *b)
{
	/* Where it has no offset, only its flags could be shared, and these are alike. */
	if (!S_ISREG(a->raw.mode) && !S_ISDIR(a->raw.mode) && !S_ISFIFO(a->raw.mode))
		return true;
	return syscall(SYS_kcmp, a->proc->pid, b->proc->pid, KCMP_FILE, a->fd, b->fd) == 0;
}

static struct dump_file *new_file(struct dump *d, const struct dump_fd *f,
				  struct dump_object *object)
{
	struct dump_files *fs = d->files;
	struct dump_file *file = dump_alloc(d, sizeof(*file));

	if (!file)
		return NULL;
	file->rec = f->raw;
	file->proc = f->proc;
	file->fd = f->fd;
	file->object = object;
	fs->files[fs->nr_files++] = file;
	return file;
}

static int group_fds(struct dump *d)
{
	struct dump_files *fs = d->files;
	struct dump_object *object = NULL;
	struct dump_fd **order;
	size_t i, j, first = 0;

	order = dump_alloc(d, fs->nr_fds * sizeof(struct dump_fd *));
	fs->files = dump_alloc(d, fs->nr_fds * sizeof(struct dump_file *));
	if (!order || !fs->files)
		return CK_FAILED;
	for (i = 0; i < fs->nr_fds; i++)
		order[i] = &fs->fds[i];
	qsort(order, fs->nr_fds, sizeof(*order), by_key);
	for (i = 0; i < fs->nr_fds; i++) {
		struct dump_fd *f = order[i], *before = i ? order[i - 1] : NULL;

		if (!before || by_object(&before->raw, &f->raw) != 0) {
			object = dump_alloc(d, sizeof(*object));
			if (!object)
				return CK_FAILED;
		}
		if (!before || by_object(&before->raw, &f->raw) != 0 ||
		    before->raw.flags != f->raw.flags || before->raw.pos != f->raw.pos)
			first = fs->nr_files;
		/* The same is before it in this order, too, and has its file already. */
		if (f->same)
			f->file = fs->fds[f->same - 1].file;
		for (j = first; j < fs->nr_files && !f->file; j++)
			if (same_description(f, fs->files[j]))
				f->file = fs->files[j];
		if (!f->file)
			f->file = new_file(d, f, object);
		if (!f->file)
			return CK_FAILED;
		f->file->locked |= f->locked;
		object->roles |= stdio_roles(d, f);
	}
	return CK_OK;
}

/* ---- what can be saved ---- */

/* Devices whose answers do not depend on what was asked before. */
static bool stateless_device(const struct ckpt_rec_file *rec)
{
	if (!S_ISCHR(rec->mode) || major(rec->rdev) != 1)
		return false;
	switch (minor(rec->rdev)) {
	case 3:		/* null */
	case 5:		/* zero */
	case 7:		/* full */
	case 8:		/* random */
	case 9:		/* urandom */
		return true;
	}
	return false;
}

static const char *type_of(const struct dump_file *f)
{
	static const char *const anonymous[][2] = {
		{ "[eventfd]", "an eventfd" }, { "[eventpoll]", "an epoll instance" },
		{ "[timerfd]", "a timerfd" }, { "[signalfd]", "a signalfd" },
		{ "inotify", "an inotify instance" }, { "[fanotify]", "a fanotify group" },
		{ "[io_uring]", "an io_uring" }, { "[pidfd]", "a pidfd" },
		{ "[userfaultfd]", "a userfaultfd" }, { "[perf_event]", "a perf event" },
		{ "bpf-map", "a BPF map" }, { "bpf-prog", "a BPF program" },
	};
	size_t i;

	if (S_ISSOCK(f->rec.mode))
		return "a socket";
	if (S_ISFIFO(f->rec.mode))
		return "a named pipe";
	if (S_ISBLK(f->rec.mode) || S_ISCHR(f->rec.mode))
		return "a device with a state of its own";
	if (strncmp(f->path, "/memfd:", 7) == 0)
		return "a memfd";
	for (i = 0; i < sizeof(anonymous) / sizeof(anonymous[0]); i++)
		if (strncmp(f->path, "anon_inode:", 11) == 0 &&
		    strcmp(f->path + 11, anonymous[i][0]) == 0)
			return anonymous[i][1];
	return "of an unknown kind";
}

int dump_file_refuse(struct dump *d, const struct dump_file *f)
{
	return obstacle(d, f->proc->pid, "descriptor %d is %s (%s), which cannot be saved; let the "
			"program close it before a checkpoint", f->fd, type_of(f), f->path);
}

static int check_named(struct dump *d, struct dump_file *f)
{
	static const char removed[] = " (deleted)";
	size_t len = strlen(f->path);
	struct stat st;

	if (strncmp(f->path, "/memfd:", 7) == 0 || f->path[0] != '/')
		return dump_file_refuse(d, f);
	if (len > sizeof(removed) - 1 &&
	    strcmp(f->path + len - (sizeof(removed) - 1), removed) == 0 &&
	    (stat(f->path, &st) < 0 || st.st_dev != f->rec.dev || st.st_ino != f->rec.ino))
		return obstacle(d, f->proc->pid,
				"descriptor %d is the file %.*s, which was removed; "
				"removed files cannot be saved: let the program keep or close it",
				f->fd, (int)(len - (sizeof(removed) - 1)), f->path);
	if (strncmp(f->path, "/proc/", 6) == 0 && f->path[6] >= '0' && f->path[6] <= '9')
		return obstacle(d, f->proc->pid,
				"descriptor %d is %s, which belongs to a process and "
				"cannot be saved; let the program close it before a checkpoint",
				f->fd, f->path);
	f->rec.kind = S_ISREG(f->rec.mode) ? CKPT_FILE_REG :
		      S_ISDIR(f->rec.mode) ? CKPT_FILE_DIR : CKPT_FILE_CHR;
	return CK_OK;
}

static int check_file(struct dump *d, struct dump_file *f)
{
	char name[32], path[PATH_MAX];
	ssize_t len;

	snprintf(name, sizeof(name), "fd/%d", f->fd);
	len = proc_link(f->proc, name, path, sizeof(path));
	if (len < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/%s", f->proc->pid,
				  f->proc->pid, name);
	f->path = dump_strdup(d, path, (size_t)len);
	if (!f->path)
		return CK_FAILED;
	f->is_pipe = S_ISFIFO(f->rec.mode) && strncmp(path, "pipe:", 5) == 0;
	f->refused = f->locked || f->rec.flags & O_ASYNC;
	if (f->locked)
		return obstacle(
			d, f->proc->pid,
			"holds a lock on %s (descriptor %d); file locks and "
			"leases cannot be saved: let it release the lock before a checkpoint",
			path, f->fd);
	if (f->rec.flags & O_ASYNC)
		return obstacle(d, f->proc->pid,
				"descriptor %d (%s) is set to signal-driven I/O "
				"(O_ASYNC), which cannot be saved; let the program switch it off",
				f->fd, path);
	if (S_ISREG(f->rec.mode) || S_ISDIR(f->rec.mode) || stateless_device(&f->rec))
		return check_named(d, f);
	if (S_ISCHR(f->rec.mode))
		return dump_file_external(d, f);
	if (S_ISSOCK(f->rec.mode))
		return dump_file_socket(d, f);
	/* pipes.c goes on from here. */
	return f->is_pipe ? CK_OK : dump_file_refuse(d, f);
}

static int files_check(struct dump *d)
{
	size_t i;
	int rc;

	d->files = dump_alloc(d, sizeof(*d->files));
	if (!d->files)
		return CK_FAILED;
	for (i = 0; i < d->nr_procs; i++) {
		rc = read_fds(d, &d->procs[i], i ? &d->procs[i - 1] : NULL);
		if (rc)
			return rc;
	}
	rc = group_fds(d);
	for (i = 0; i < d->files->nr_files && !rc; i++)
		rc = check_file(d, d->files->files[i]);
	return rc;
}

/* ---- records ---- */

static int put_file(struct dump *d, struct dump_file *f, uint64_t id)
{
	f->rec.id = id;
	f->rec.path_len = (uint32_t)strlen(f->path);
	return image_put(d->writer, CKPT_REC_FILE, &f->rec, sizeof(f->rec), f->path,
			 f->rec.path_len);
}

static int put_fd(struct dump *d, const struct dump_fd *f, uint64_t *next_id)
{
	struct ckpt_rec_fd rec = { .pid = f->proc->pid, .fd = f->fd,
				   .flags = f->cloexec ? FD_CLOEXEC : 0 };
	struct dump_file *file = f->file;
	__u64 *id = &file->rec.id;
	int rc;

	/* A terminal may be one description at 0, 1 and 2, but is three streams. */
	if (file->rec.kind == CKPT_FILE_STDIO) {
		file->rec.object = stdio_role(f);
		id = &file->stdio_ids[file->rec.object];
	}
	if (!*id) {
		*id = (*next_id)++;
		rc = put_file(d, file, *id);
		if (rc)
			return rc;
	}
	rec.file = *id;
	return image_put(d->writer, CKPT_REC_FD, &rec, sizeof(rec), NULL, 0);
}

static int files_dump(struct dump *d)
{
	uint64_t next_id = 1;
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_fds && !rc; i++)
		rc = put_fd(d, &d->files->fds[i], &next_id);
	return rc;
}

/* ---- restore ---- */

#define FLAGS_OF_OPEN	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT | \
			 O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_PATH)

const struct image_process *restore_file_owner(const struct restore *r, size_t file)
{
	const struct image *img = r->image;
	size_t i, n;

	for (i = 0; i < img->nr_processes; i++)
		for (n = 0; n < img->processes[i].nr_fds; n++)
			if (img->processes[i].fds[n].file == file)
				return &img->processes[i];
	return NULL;
}

static bool writable(const struct ckpt_rec_file *rec)
{
	return rec->kind == CKPT_FILE_REG && (rec->flags & O_ACCMODE) != O_RDONLY &&
	       !(rec->flags & O_PATH);
}

/* Does any process of the image write to this file? */
static bool written_by_job(const struct image *img, const struct ckpt_rec_file *rec)
{
	size_t i;

	for (i = 0; i < img->nr_files; i++)
		if (writable(img->files[i].rec) && by_object(img->files[i].rec, rec) == 0)
			return true;
	return false;
}

static int check_unchanged(const struct restore *r, const struct image_process *p,
			   const struct image_file *f, const struct stat *st)
{
	const struct ckpt_rec_file *rec = f->rec;
	bool touched = st->st_mtim.tv_sec != rec->mtime_sec ||
		       st->st_mtim.tv_nsec != rec->mtime_nsec;

	if (rec->kind != CKPT_FILE_REG || rec->flags & O_PATH)
		return CK_OK;
	if ((uint64_t)st->st_size < rec->size && !r->force)
		return fail(CK_REFUSED,
			    "the file %s of pid %d (%s) is shorter than at the checkpoint "
			    "(%jd bytes, then %ju); put it back, or take it as it is with --force",
			    f->path, p->rec->pid, p->rec->comm, (intmax_t)st->st_size,
			    (uintmax_t)rec->size);
	if (!touched)
		return CK_OK;
	if (!written_by_job(r->image, rec) && !r->force)
		return fail(CK_REFUSED,
			    "the file %s of pid %d (%s) has changed since the checkpoint; "
			    "put it back, or take it as it is with --force",
			    f->path, p->rec->pid, p->rec->comm);
	/* Written one after the other, cutting it back is all; else we cannot know. */
	if (writable(rec) && !(rec->flags & O_APPEND) && (uint64_t)rec->pos != rec->size)
		note("the file %s was written to since the checkpoint; only its length can be put "
		     "back",
		     f->path);
	return CK_OK;
}

static int open_file(struct restore *r, size_t i)
{
	const struct image_process *p = restore_file_owner(r, i);
	const struct image_file *f = &r->image->files[i];
	int flags = (int)f->rec->flags & FLAGS_OF_OPEN;
	struct stat st;
	int fd;

	if (!p)
		return CK_OK;
	/* A named pipe or device that stands there now must not hold us up. */
	fd = cred_open(r, p, f->path, flags | (flags & O_PATH ? 0 : O_NONBLOCK));
	if (fd < 0)
		return fail_errno(errno, "cannot open %s, which pid %d (%s) had open", f->path,
				  p->rec->pid, p->rec->comm);
	r->file_fds[i] = fd;
	if (fstat(fd, &st) < 0)
		return fail_errno(errno, "cannot look at %s", f->path);
	if ((st.st_mode & S_IFMT) != (f->rec->mode & S_IFMT) ||
	    (f->rec->kind == CKPT_FILE_CHR && st.st_rdev != f->rec->rdev))
		return fail(CK_REFUSED, "%s, which pid %d (%s) had open, is something else now",
			    f->path, p->rec->pid, p->rec->comm);
	if (flags & O_PATH)
		return CK_OK;
	if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags) < 0)
		return fail_errno(errno, "cannot set the flags of %s", f->path);
	if (f->rec->kind != CKPT_FILE_CHR && lseek(fd, f->rec->pos, SEEK_SET) < 0)
		return fail_errno(errno, "cannot go to byte %jd of %s", (intmax_t)f->rec->pos,
				  f->path);
	return check_unchanged(r, p, f, &st);
}

/* What the job has written since is written again. */
static int cut_back(const struct restore *r, size_t i)
{
	const struct image_file *f = &r->image->files[i];
	struct stat st;

	if (!writable(f->rec) || r->file_fds[i] < 0)
		return CK_OK;
	if (fstat(r->file_fds[i], &st) < 0)
		return fail_errno(errno, "cannot look at %s", f->path);
	if ((uint64_t)st.st_size <= f->rec->size)
		return CK_OK;
	if (ftruncate(r->file_fds[i], (off_t)f->rec->size) < 0)
		return fail_errno(errno, "cannot cut %s back to its length at the checkpoint",
				  f->path);
	note("%s is cut back to its length at the checkpoint, %ju bytes (it had %jd)", f->path,
	     (uintmax_t)f->rec->size, (intmax_t)st.st_size);
	return CK_OK;
}

static int files_prepare(struct restore *r)
{
	const struct image *img = r->image;
	int rc = CK_OK;
	size_t i;

	for (i = 0; i < img->nr_files && !rc; i++) {
		switch (img->files[i].rec->kind) {
		case CKPT_FILE_REG:
		case CKPT_FILE_DIR:
		case CKPT_FILE_CHR:
			rc = open_file(r, i);
			break;
		case CKPT_FILE_STDIO:
			rc = stdio_open(r, i);
			break;
		case CKPT_FILE_PIPE:	/* pipes.c */
			break;
		default:
			rc = fail(CK_REFUSED, "the image has an open file of kind %u, which this "
				  "version does not know", img->files[i].rec->kind);
		}
	}
	/* Only when nothing speaks against the restart is any file touched. */
	for (i = 0; i < img->nr_files && !rc; i++)
		rc = cut_back(r, i);
	return rc;
}

static int files_restore(struct restore *r, const struct image_process *p)
{
	unsigned int next = 0;
	size_t i;

	for (i = 0; i < p->nr_fds; i++) {
		const struct image_fd *f = &p->fds[i];
		unsigned int fd = (unsigned int)f->rec->fd;
		int from = r->file_fds[f->file];

		if (f->rec->fd < 0 || f->rec->fd >= r->fd_base || fd < next || from < 0)
			return fail(CK_DAMAGED,
				    "the image has an impossible descriptor %d of pid %d",
				    f->rec->fd, p->rec->pid);
		if (fd > next)
			close_range(next, fd - 1, 0);
		if (dup3(from, f->rec->fd, f->rec->flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
			return fail_errno(errno, "pid %d (%s): cannot put back descriptor %d",
					  p->rec->pid, p->rec->comm, f->rec->fd);
		next = fd + 1;
	}
	if (next < (unsigned int)r->fd_base)
		close_range(next, (unsigned int)r->fd_base - 1, 0);
	return CK_OK;
}

const struct state_ops state_files = {
	.name = "files",
	.saved = "regular files (path, offset, flags), directories, null-like devices, shared "
		 "descriptions, standard streams by role",
	.refused = "sockets, removed files, file locks, signal-driven I/O, other devices, eventfd, "
		   "epoll, timerfd, signalfd, inotify, io_uring, memfd, pidfd",
	.check = files_check,
	.dump = files_dump,
	.prepare = files_prepare,
	.restore = files_restore,
};
