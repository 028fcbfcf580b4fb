// SPDX-License-Identifier: GPL-2.0
/*
 * What is open by a path: regular files, directories, devices without a state
 * of their own, the terminal as /dev/tty, and anything by O_PATH.
 *
 * Saved: path, offset, flags.  Contents are not: the file must be the same as
 * then.  One that the job itself wrote from its beginning to its end and that
 * has grown since is its own output: it is cut back to its length, when nothing
 * can refuse the restart any more, so that what is written again follows what
 * was there.  Unless others write it, too: the new launch's output, where that is not
 * the same job's once more (restore.same_output), or any other process that has it
 * open for writing.
 *
 * Refused: removed directories, files of /proc that belong to a process.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cred.h"
#include "out.h"
#include "proc.h"
#include "tempfiles.h"

/* ---- check ---- */

/* Devices whose answers do not depend on what was asked before. */
static bool is_stateless(const struct ckpt_rec_file *rec)
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

/* /dev/tty, which is whatever terminal the session has: the new one's. */
static bool is_tty(const struct ckpt_rec_file *rec)
{
	return S_ISCHR(rec->mode) && rec->rdev == makedev(5, 0);
}

bool dump_file_has_path(const struct dump_file *f)
{
	return f->rec.flags & O_PATH || S_ISREG(f->rec.mode) || S_ISDIR(f->rec.mode) ||
	       is_stateless(&f->rec) || is_tty(&f->rec);
}

int dump_file_named(struct dump *d, struct dump_file *f)
{
	size_t len = proc_name_len(f->path);
	struct stat st;

	if (f->path[0] != '/')
		return dump_file_refuse(d, f);
	if (f->path[len] &&
	    (lstat(f->path, &st) < 0 || st.st_dev != f->rec.dev || st.st_ino != f->rec.ino))
		return dump_file_obstacle(d, f, "descriptor %d is %.*s, which was removed there, but "
					  "not altogether, and cannot be saved: let the program keep "
					  "or close it", f->fd, (int)len, f->path);
	if (strncmp(f->path, "/proc/", 6) == 0 && f->path[6] >= '0' && f->path[6] <= '9')
		return dump_file_obstacle(d, f, "descriptor %d is %s, which belongs to a process and "
					  "cannot be saved; let the program close it before a "
					  "checkpoint", f->fd, f->path);
	f->rec.kind = f->rec.flags & O_PATH ? CKPT_FILE_PATH :
		      S_ISREG(f->rec.mode) ? CKPT_FILE_REG :
		      S_ISDIR(f->rec.mode) ? CKPT_FILE_DIR : CKPT_FILE_CHR;
	return CK_OK;
}

/* ---- restore: what became of a file ---- */

/* In restore.file_fate, for files that are not what they were. */
enum fate {
	FATE_NONE,		/* not looked at, or not to be touched */
	FATE_CUT,		/* the job's own output: cut back */
	FATE_SHARED,		/* the same, but others write it, too */
};

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

static bool same_inode(const struct ckpt_rec_file *a, const struct ckpt_rec_file *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static bool writable(const struct ckpt_rec_file *rec)
{
	return rec->kind == CKPT_FILE_REG && (rec->flags & O_ACCMODE) != O_RDONLY;
}

bool restore_maps_writable(const struct image *img, uint64_t dev, uint64_t ino)
{
	size_t i, n;

	for (i = 0; i < img->nr_processes; i++)
		for (n = 0; n < img->processes[i].nr_vmas; n++) {
			const struct ckpt_rec_vma *vma = img->processes[i].vmas[n].rec;

			if (vma->kind == CKPT_VMA_FILE && vma->flags & MAP_SHARED &&
			    vma->file_writable && vma->dev == dev && vma->ino == ino)
				return true;
		}
	return false;
}

/* Did the job write it, and only ever at its end?  Then what it has more now
 * comes after what it had. */
static bool is_output(const struct image *img, const struct ckpt_rec_file *rec)
{
	bool written = false;
	size_t i;

	for (i = 0; i < img->nr_files; i++) {
		const struct ckpt_rec_file *other = img->files[i].rec;

		if (!writable(other) || !same_inode(other, rec))
			continue;
		written = true;
		if (!(other->flags & O_APPEND) && (uint64_t)other->pos < other->size)
			return false;
	}
	return written && !restore_maps_writable(img, rec->dev, rec->ino);
}

bool restore_is_written(int fd)
{
	return fcntl(fd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN;
}

static bool is_written_now(struct restore *r, const struct image_process *p, const char *path)
{
	int fd = cred_open(r, p, path, O_RDONLY | O_NONBLOCK);
	bool written;

	if (fd < 0)
		return false;
	written = restore_is_written(fd);
	close(fd);
	return written;
}

static bool is_unchanged(const struct ckpt_rec_file *rec, const struct stat *st)
{
	return (uint64_t)st->st_size == rec->size && st->st_mtim.tv_sec == rec->mtime_sec &&
	       st->st_mtim.tv_nsec == (long)rec->mtime_nsec;
}

/* The path that it has now. */
static const char *path_of(const struct restore *r, size_t i)
{
	const char *path = r->image->files[i].path;

	return r->moved_from && strcmp(path, r->moved_from) == 0 ? r->moved_to : path;
}

/*
 * The job's output may go to the very file that the new launch's goes to: a
 * batch job's log, which has its beginning from the former launch.  Then it is
 * a stream like any other, this one; -1 when it is not.
 */
static int find_stream(const struct restore *r, size_t i)
{
	const struct image *img = r->image;
	const struct image_file *f = &img->files[i];
	struct stat st, stream;
	size_t p, n;

	if (!writable(f->rec) || stat(f->path, &st) < 0)
		return -1;
	for (p = 0; p < img->nr_processes; p++)
		for (n = 0; n < img->processes[p].nr_fds; n++) {
			const struct image_fd *fd = &img->processes[p].fds[n];
			int role = fd->rec->fd, mode;

			if (fd->file != i || role > 2 || r->std_fds[role] < 0 ||
			    fstat(r->std_fds[role], &stream) < 0 || stream.st_ino != st.st_ino ||
			    stream.st_dev != st.st_dev)
				continue;
			mode = fcntl(r->std_fds[role], F_GETFL) & O_ACCMODE;
			if (mode == O_RDWR || mode == (int)(f->rec->flags & O_ACCMODE))
				return r->std_fds[role];
		}
	return -1;
}

/* Before any of them is opened: our own descriptors are not to be found. */
static void find_fate(struct restore *r, size_t i)
{
	const struct image_process *p = restore_file_owner(r, i);
	const struct image_file *f = &r->image->files[i];
	struct stat st;

	if (!p || f->rec->kind != CKPT_FILE_REG || tempfiles_fate(r, i) != TEMP_AS_IT_IS ||
	    tempfiles_is_another(r, i) || stat(f->path, &st) < 0 || !S_ISREG(st.st_mode) || is_unchanged(f->rec, &st) ||
	    st.st_ino != f->rec->ino || (uint64_t)st.st_size < f->rec->size || !is_output(r->image, f->rec))
		return;
	r->file_fate[i] = FATE_CUT;
	if ((uint64_t)st.st_size > f->rec->size &&
	    !(r->same_output && find_stream(r, i) >= 0) && is_written_now(r, p, f->path))
		r->file_fate[i] = FATE_SHARED;
}

/* Files that are made up when they are read have neither size nor time. */
static bool is_pseudo(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
		return true;
	}
	return false;
}

bool restore_takes_changed(const struct restore *r, const char *path, uint64_t ino, uint64_t size,
			   bool writable, const struct stat *st)
{
	/* Of a slot there is nobody to ask: what the job itself may have written is told. */
	if (!r->force && (!r->same_output || st->st_ino != ino || (uint64_t)st->st_size < size ||
			  (!writable && (uint64_t)st->st_size == size)))
		return false;
	note("%s has changed since the checkpoint and is taken as it is", path);
	return true;
}

/* Of nscd, as Debian and the C library itself have it, and of SSSD. */
bool restore_is_name_cache(const char *path)
{
	static const char *const dirs[] = { "/var/cache/nscd/", "/var/db/nscd/", "/var/lib/sss/mc/" };
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (strncmp(path, dirs[i], strlen(dirs[i])) == 0)
			return true;
	return false;
}

static int check_unchanged(const struct restore *r, const struct image_process *p, size_t i,
			   const struct stat *st)
{
	const struct image_file *f = &r->image->files[i];
	const char *what;

	if (f->rec->kind != CKPT_FILE_REG || is_unchanged(f->rec, st) ||
	    tempfiles_fate(r, i) == TEMP_CHANGED || path_of(r, i) != f->path ||
	    is_pseudo(r->file_fds[i]) || restore_is_name_cache(f->path))
		return CK_OK;
	if (r->file_fate[i] == FATE_CUT) {
		/* A file server may set the time when it gets what was written before. */
		if ((uint64_t)st->st_size == f->rec->size && writable(f->rec))
			note("%s was written to since the checkpoint, but is no longer than then: it is "
			     "taken as it is", f->path);
		return CK_OK;
	}
	if (r->file_fate[i] == FATE_SHARED && f->rec->flags & O_APPEND) {
		note("%s is not cut back to its length at the checkpoint: others write it, too",
		     f->path);
		return CK_OK;
	}
	if (restore_takes_changed(r, f->path, f->rec->ino, f->rec->size, writable(f->rec), st))
		return CK_OK;
	if (st->st_ino != f->rec->ino || tempfiles_is_another(r, i))
		what = "was replaced by another file since the checkpoint";
	else if ((uint64_t)st->st_size < f->rec->size)
		what = "is shorter than at the checkpoint";
	else if (r->file_fate[i] == FATE_SHARED)
		what = "was written to since the checkpoint, and another process has it open for "
		       "writing";
	else
		what = "has changed since the checkpoint";
	return fail(CK_REFUSED, "the file %s of pid %d (%s) %s (%ju bytes then, %jd now); %s, or take it "
		    "as it is with --force", f->path, p->rec->pid, p->rec->comm, what,
		    (uintmax_t)f->rec->size, (intmax_t)st->st_size, image_is_temporary(f) ?
		    "move it away, and the one of then is made again" : "put it back");
}

/* ---- restore: opening ---- */

#define FLAGS_OF_OPEN	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_DSYNC | O_SYNC | O_DIRECT | \
			 O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_PATH)

int restore_open_flags(const struct ckpt_rec_file *rec)
{
	int flags = (int)rec->flags & FLAGS_OF_OPEN;

	/* What O_TMPFILE leaves behind in a file that was linked to its path later. */
	if (rec->kind == CKPT_FILE_REG)
		flags &= ~O_DIRECTORY;
	if (rec->kind == CKPT_FILE_PATH)
		return O_PATH | O_NOFOLLOW | (flags & O_DIRECTORY);
	/* A named pipe or device that stands there now must not hold us up. */
	return flags | O_NONBLOCK;
}

int restore_settle_file(const struct restore *r, size_t i)
{
	const struct image_file *f = &r->image->files[i];

	if (!(f->rec->flags & O_NONBLOCK) && fcntl(r->file_fds[i], F_SETFL, f->rec->flags) < 0)
		return fail_errno(errno, "cannot set the flags of %s", f->path);
	if (f->rec->kind != CKPT_FILE_CHR && lseek(r->file_fds[i], f->rec->pos, SEEK_SET) < 0)
		return fail_errno(errno, "cannot go to byte %jd of %s", (intmax_t)f->rec->pos,
				  f->path);
	return CK_OK;
}

/* Is it one that will be made again, or a directory on the way to one? */
static bool is_late(const struct restore *r, size_t i)
{
	const struct image_file *f = &r->image->files[i];

	return tempfiles_fate_at(r, f->path) == TEMP_MISSING || tempfiles_make_dir(r, f->path);
}

static int open_path(struct restore *r, const struct image_process *p, size_t i)
{
	const struct image_file *f = &r->image->files[i];
	int flags = restore_open_flags(f->rec);

	r->file_fds[i] = cred_open(r, p, path_of(r, i), flags);
	if (r->file_fds[i] < 0 && errno == ENXIO && f->rec->rdev == makedev(5, 0))
		return fail(CK_REFUSED, "pid %d (%s) had its terminal open (/dev/tty) and there is "
			    "none here; restart it from a terminal", p->rec->pid, p->rec->comm);
	if (r->file_fds[i] < 0)
		return fail_errno(errno, "cannot open %s, which pid %d (%s) had open", f->path,
				  p->rec->pid, p->rec->comm);
	return CK_OK;
}

static int open_file(struct restore *r, size_t i)
{
	const struct image_process *p = restore_file_owner(r, i);
	const struct image_file *f = &r->image->files[i];
	int stream = find_stream(r, i), rc;
	struct stat st;

	if (!p)
		return CK_OK;
	if (stream >= 0) {
		r->file_fds[i] = restore_keep_fd(r, dup(stream));
		/* What others write there as well is not ours to cut. */
		if (!r->same_output)
			r->file_fate[i] = FATE_NONE;
		return r->file_fds[i] < 0 ? fail_errno(errno, "cannot keep %s open", f->path) : CK_OK;
	}
	rc = open_path(r, p, i);
	if (rc)
		return rc;
	if (fstat(r->file_fds[i], &st) < 0)
		return fail_errno(errno, "cannot look at %s", f->path);
	if ((st.st_mode & S_IFMT) != (f->rec->mode & S_IFMT) ||
	    (f->rec->kind == CKPT_FILE_CHR && st.st_rdev != f->rec->rdev))
		return fail(CK_REFUSED, "%s, which pid %d (%s) had open, is something else now",
			    f->path, p->rec->pid, p->rec->comm);
	if (f->rec->kind == CKPT_FILE_PATH)
		return CK_OK;
	rc = restore_settle_file(r, i);
	return rc ? rc : check_unchanged(r, p, i, &st);
}

static bool is_ours(const struct ckpt_rec_file *rec)
{
	return rec->kind <= CKPT_FILE_CHR || rec->kind == CKPT_FILE_PATH;
}

static int files_prepare(struct restore *r)
{
	const struct image *img = r->image;
	int rc = CK_OK;
	size_t i;

	for (i = 0; i < img->nr_files; i++)
		find_fate(r, i);
	for (i = 0; i < img->nr_files && !rc; i++)
		if (is_ours(img->files[i].rec) && !is_late(r, i))
			rc = open_file(r, i);
	return rc;
}

int restore_open_late(struct restore *r)
{
	const struct image *img = r->image;
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < img->nr_files && !rc; i++)
		if (is_ours(img->files[i].rec) && r->file_fds[i] < 0)
			rc = open_file(r, i);
	return rc;
}

/* With its time: the next restart finds it unchanged. */
static int cut(int fd, const struct ckpt_rec_file *rec)
{
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT },
		{ .tv_sec = rec->mtime_sec, .tv_nsec = rec->mtime_nsec },
	};

	if (ftruncate(fd, (off_t)rec->size) < 0)
		return -1;
	/* It may be somebody else's, who lets the job write it. */
	futimens(fd, times);
	return 0;
}

/* What the job has written since is written again. */
static int files_commit(struct restore *r)
{
	size_t i;

	for (i = 0; i < r->image->nr_files; i++) {
		const struct image_file *f = &r->image->files[i];
		struct stat st;

		if (r->file_fate[i] != FATE_CUT || !writable(f->rec))
			continue;
		if (fstat(r->file_fds[i], &st) < 0)
			return fail_errno(errno, "cannot look at %s", f->path);
		if ((uint64_t)st.st_size <= f->rec->size)
			continue;
		if (cut(r->file_fds[i], f->rec) < 0)
			return fail_errno(errno, "cannot cut %s back to its length at the checkpoint",
					  f->path);
		note_done("%s is cut back to its length at the checkpoint, %ju bytes (it had %jd)",
			  f->path, (uintmax_t)f->rec->size, (intmax_t)st.st_size);
	}
	return CK_OK;
}

const struct state_ops state_files = {
	.name = "files",
	.saved = "regular files, directories, null-like devices, /dev/tty by path, with offset and "
		 "flags; the job's own output is cut back to its length",
	.refused = "/proc files of a process, removed directories, other devices; at the restart: "
		   "files that have changed",
	.prepare = files_prepare,
	.commit = files_commit,
};
