// SPDX-License-Identifier: GPL-2.0
/*
 * Removed files and memfds that are open.
 *
 * Saved: the contents of the moment at which the job stands still, holes left
 * out, with path, mode, seals; and offset and flags of each description.  What is
 * mapped, too, the module saves; what is only open is copied here while the job
 * stands still, or cloned if it is large and the file system of the image can do
 * that.  A removed file comes back as one without a name in the directory where
 * it was, a memfd as a memfd (shm.c makes both).
 *
 * Refused: more than MAX_COPY that cannot be cloned, unless the job is held until
 * all is written; what its user may not read; huge pages.
 */
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "files.h"
#include "out.h"
#include "proc.h"

/* In all of them together, and in one from which on a clone is tried first. */
#define MAX_COPY	(256ULL << 20)
#define LARGE		(16ULL << 20)

struct dump_content {
	struct dump_object *object;
	const struct dump_file *file;	/* a description of it */
	uint64_t id;
	bool ours;			/* not the module's */
	int fd;				/* to read it by; the copy, once there is one */
};

bool object_is(const struct dump_file *f)
{
	return S_ISREG(f->rec.mode) && !f->nlink && !(f->rec.flags & O_PATH) && f->path[0] == '/';
}

static bool is_memfd(const struct dump_file *f)
{
	return strncmp(f->path, "/memfd:", 7) == 0;
}

/* ---- check ---- */

static int open_content(struct dump *d, struct dump_content *c, struct dump_file *f)
{
	struct statfs fs;
	char name[32];

	/* A description of our own: the job's offset is not ours to move. */
	snprintf(name, sizeof(name), "fd/%d", f->fd);
	c->fd = openat(f->proc->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (c->fd < 0 && (errno == EACCES || errno == EPERM))
		return dump_file_obstacle(d, f, "descriptor %d is the removed file %s, which you may "
					  "not read; let the program keep or close it", f->fd, f->path);
	if (c->fd < 0 || fstatfs(c->fd, &fs) < 0)
		return fail_errno(errno, "pid %d: cannot open its descriptor %d", f->proc->pid,
				  f->fd);
	if (fs.f_type != HUGETLBFS_MAGIC)
		return CK_OK;
	return dump_file_obstacle(d, f, "descriptor %d is %s, of huge pages, which cannot be saved; "
				  "let the program close it", f->fd, f->path);
}

static int take(struct dump *d, struct dump_file *f)
{
	struct dump_files *fs = d->files;
	struct dump_content *c = f->object->content;
	int rc = CK_OK, seals;

	/* What is started anew makes its own. */
	if (is_memfd(f) && f->use != DUMP_NEEDED) {
		f->refused = true;
		return CK_OK;
	}
	if (!c) {
		c = f->object->content = &fs->contents[fs->nr_contents++];
		*c = (struct dump_content){ .object = f->object, .file = f, .fd = -1 };
		rc = open_content(d, c, f);
	}
	if (rc || f->refused || c->fd < 0)
		return rc;
	seals = is_memfd(f) ? fcntl(c->fd, F_GET_SEALS) : 0;
	f->rec.seals = seals > 0 ? (uint32_t)seals : 0;
	f->rec.kind = CKPT_FILE_OBJECT;
	return CK_OK;
}

static int objects_check(struct dump *d)
{
	struct dump_files *fs = d->files;
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < fs->nr_files && !rc; i++) {
		if (!dump_file_saved(fs->files[i]) || !object_is(fs->files[i]))
			continue;
		if (!fs->contents) {
			fs->contents = dump_alloc(d, fs->nr_files * sizeof(*fs->contents));
			if (!fs->contents)
				return CK_FAILED;
		}
		rc = take(d, fs->files[i]);
	}
	return rc;
}

/* ---- the contents, while the job stands still ---- */

bool objects_any(const struct dump *d)
{
	return d->files && d->files->nr_contents;
}

/* From @pos on, the next that is no hole, of whole pages; false at the end. */
static bool next_data(int fd, off_t pos, off_t *from, off_t *to)
{
	*from = lseek(fd, pos, SEEK_DATA);
	*to = *from < 0 ? -1 : lseek(fd, *from, SEEK_HOLE);
	if (*to <= *from)
		return false;
	*from &= ~(off_t)(CKPT_PAGE_SIZE - 1);
	*to = (*to + CKPT_PAGE_SIZE - 1) & ~(off_t)(CKPT_PAGE_SIZE - 1);
	if (*from < pos)
		*from = pos;
	return true;
}

static uint64_t data_bytes(int fd)
{
	uint64_t bytes = 0;
	off_t from, to;

	for (to = 0; next_data(fd, to, &from, &to); )
		bytes += (uint64_t)(to - from);
	return bytes;
}

/* A file of our own in memory; -1 and errno. */
static int copy_content(int fd, uint64_t size)
{
	int copy = memfd_create("ckpt", MFD_CLOEXEC), err;
	off_t from, to = 0, at;

	if (copy < 0 || ftruncate(copy, (off_t)size) < 0)
		goto failed;
	while (next_data(fd, to, &from, &to)) {
		if (lseek(copy, from, SEEK_SET) < 0)
			goto failed;
		for (at = from; at < to && (uint64_t)at < size; ) {
			ssize_t n = sendfile(copy, fd, &at, (size_t)(to - at));

			if (n < 0)
				goto failed;
			if (n == 0)
				break;
		}
	}
	return copy;
failed:
	err = errno;
	if (copy >= 0)
		close(copy);
	errno = err;
	return -1;
}

static int clone_content(struct image_writer *w, int fd)
{
	int clone = w ? image_scratch(w) : -1;

	if (clone >= 0 && ioctl(clone, FICLONE, fd) == 0)
		return clone;
	if (clone >= 0)
		close(clone);
	return -1;
}

static int capture(struct dump_content *c, struct image_writer *w, uint64_t *copied)
{
	const struct dump_file *f = c->file;
	uint64_t bytes = data_bytes(c->fd);
	int fd = bytes >= LARGE ? clone_content(w, c->fd) : -1;

	if (fd < 0) {
		*copied += bytes;
		if (*copied > MAX_COPY)
			return fail(CK_REFUSED, "pid %d (%s): descriptor %d is the removed file %s, "
				    "which holds %s; at most %s are copied while a job stands "
				    "still: save it with --stop, or let the program keep the file",
				    f->proc->pid, f->proc->comm, f->fd, f->path, human_bytes(bytes),
				    human_bytes(MAX_COPY));
		fd = copy_content(c->fd, f->rec.size);
	}
	if (fd < 0)
		return fail_errno(errno, "pid %d: cannot copy %s, which it has open", f->proc->pid,
				  f->path);
	close(c->fd);
	c->fd = fd;
	return CK_OK;
}

int objects_capture(struct dump *d, struct image_writer *w, const struct object_id *known, size_t nr,
		    bool held)
{
	struct dump_files *fs = d->files;
	uint64_t copied = 0, last = 0;
	size_t i, k;
	int rc = CK_OK;

	for (k = 0; k < nr; k++)
		if (known[k].id > last)
			last = known[k].id;
	for (i = 0; i < fs->nr_contents && !rc; i++) {
		struct dump_content *c = &fs->contents[i];

		if (c->fd < 0 || c->file->refused)
			continue;
		for (k = 0; k < nr && !c->id; k++)
			if (known[k].dev == c->file->rec.dev && known[k].ino == c->file->rec.ino)
				c->id = known[k].id;
		if (c->id)
			continue;
		c->id = ++last;
		c->ours = true;
		/* Nobody can write it while it is read later. */
		if (!held)
			rc = capture(c, w, &copied);
	}
	for (i = 0; i < fs->nr_files; i++)
		if (fs->files[i]->rec.kind == CKPT_FILE_OBJECT)
			fs->files[i]->rec.object = fs->files[i]->object->content->id;
	return rc;
}

void objects_rehearse(struct dump *d, struct image_writer *w)
{
	size_t i;
	int fd;

	for (i = 0; d->files && i < d->files->nr_contents; i++) {
		const struct dump_content *c = &d->files->contents[i];

		if (c->fd < 0 || data_bytes(c->fd) < LARGE)
			continue;
		fd = clone_content(w, c->fd);
		if (fd >= 0)
			close(fd);
	}
}

/* ---- the contents, later ---- */

int objects_write(struct dump *d, struct image_writer *w, uint64_t *bytes)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; d->files && i < d->files->nr_contents && !rc; i++) {
		const struct dump_content *c = &d->files->contents[i];
		struct image_content *content;
		off_t from, to = 0;

		if (!c->ours)
			continue;
		rc = image_content_begin(&content, w, c->id);
		while (!rc && next_data(c->fd, to, &from, &to))
			rc = image_content_add(content, c->fd, (uint64_t)from, (uint64_t)(to - from));
		rc = image_content_end(content, rc, bytes);
	}
	return rc;
}

static int objects_dump(struct dump *d)
{
	static const char removed[] = " (deleted)";
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_contents && !rc; i++) {
		const struct dump_content *c = &d->files->contents[i];
		const struct dump_file *f = c->file;
		struct ckpt_rec_shm rec = {
			.id = c->id, .size = f->rec.size, .mode = f->rec.mode, .dev = f->rec.dev,
			.ino = f->rec.ino, .flags = is_memfd(f) ? 0 : CKPT_SHM_FILE,
		};
		size_t len = strlen(f->path);

		if (!c->ours)
			continue;
		if (len > sizeof(removed) &&
		    strcmp(f->path + len - (sizeof(removed) - 1), removed) == 0)
			len -= sizeof(removed) - 1;
		rec.name_len = (uint32_t)len;
		rc = image_put(d->writer, CKPT_REC_SHM, &rec, sizeof(rec), f->path, len);
	}
	return rc;
}

void objects_free(struct dump *d)
{
	size_t i;

	for (i = 0; d->files && i < d->files->nr_contents; i++)
		if (d->files->contents[i].fd >= 0)
			close(d->files->contents[i].fd);
}

/* ---- restore ---- */

#define FLAGS_OF_OPEN	(O_ACCMODE | O_APPEND | O_DSYNC | O_SYNC | O_LARGEFILE | O_NOATIME)

static int open_object(struct restore *r, size_t i)
{
	const struct image_file *f = &r->image->files[i];
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->shm_fds[f->shm]);
	r->file_fds[i] = restore_keep_fd(r, open(path, ((int)f->rec->flags & FLAGS_OF_OPEN) |
						       O_CLOEXEC));
	if (r->file_fds[i] < 0 || fcntl(r->file_fds[i], F_SETFL, f->rec->flags) < 0 ||
	    lseek(r->file_fds[i], f->rec->pos, SEEK_SET) < 0)
		return fail_errno(errno, "cannot open the removed file %s again", f->path);
	return CK_OK;
}

static int objects_prepare(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_files && !rc; i++)
		if (r->image->files[i].rec->kind == CKPT_FILE_OBJECT)
			rc = open_object(r, i);
	/* Only now: it may not allow what was opened before it was set.  Nobody gets
	 * a set-user-ID bit from an image. */
	for (i = 0; i < r->image->nr_shms && !rc; i++)
		if (fchmod(r->shm_fds[i], r->image->shms[i].rec->mode & 0777) < 0)
			rc = fail_errno(errno, "cannot set the mode of the removed file %s",
					r->image->shms[i].name);
	return rc;
}

/* When all mappings are there, which they might forbid. */
static int objects_commit(struct restore *r)
{
	size_t i;

	for (i = 0; i < r->image->nr_files; i++) {
		const struct image_file *f = &r->image->files[i];

		if (f->rec->kind != CKPT_FILE_OBJECT || !f->rec->seals ||
		    r->image->shms[f->shm].rec->flags & CKPT_SHM_FILE)
			continue;
		/* Another description of it was here before. */
		if ((uint32_t)fcntl(r->shm_fds[f->shm], F_GET_SEALS) != f->rec->seals &&
		    fcntl(r->shm_fds[f->shm], F_ADD_SEALS, f->rec->seals) < 0)
			return fail_errno(errno, "cannot seal %s", f->path);
	}
	return CK_OK;
}

const struct state_ops state_objects = {
	.name = "removed files",
	.saved = "removed files and memfds that are open: contents, mode, seals, offset, flags",
	.refused = "more than 256 MiB that are not mapped where the image's file system cannot clone "
		   "them, except with --stop; files of which another name is left",
	.check = objects_check,
	.dump = objects_dump,
	.prepare = objects_prepare,
	.commit = objects_commit,
};
