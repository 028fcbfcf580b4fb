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
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "contents.h"
#include "files.h"
#include "out.h"
#include "proc.h"

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

	c->fd = content_open(f);
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
	struct dump_content *c = f->object->content;
	size_t len = proc_name_len(f->path);
	int rc = CK_OK, seals;

	/* What is started anew makes its own. */
	if (is_memfd(f) && f->use != DUMP_NEEDED) {
		f->refused = true;
		return CK_OK;
	}
	if (!c) {
		c = f->object->content = content_add(d, f->path);
		if (!c)
			return CK_FAILED;
		content_of_file(c, f);
		c->rec.flags = is_memfd(f) ? 0 : CKPT_SHM_FILE;
		if (f->path[len])
			c->path = dump_strdup(d, f->path, len);
		if (!c->path)
			return CK_FAILED;
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

	for (i = 0; i < fs->nr_files && !rc; i++)
		if (dump_file_saved(fs->files[i]) && object_is(fs->files[i]))
			rc = take(d, fs->files[i]);
	return rc;
}

/* ---- the contents, while the job stands still ---- */

bool objects_any(const struct dump *d)
{
	const struct dump_content *c = d->files ? d->files->contents.first : NULL;

	while (c && c->temp)
		c = c->next;
	return c;
}

static int too_large(struct dump *d, const struct dump_content *c, uint64_t bytes)
{
	const struct dump_file *f = c->file;

	return obstacle(d, f->proc->pid, "descriptor %d is the removed file %s, which holds %s; at "
			"most %s are copied while a job stands still, unless the file system of the "
			"image can clone them: save it with --stop, or let the program keep the file",
			f->fd, f->path, human_bytes(bytes), human_bytes(CONTENTS_MAX_COPY));
}

static int capture(struct dump *d, struct dump_content *c, struct image_writer *w, bool held)
{
	switch (content_take(d, c, w, held)) {
	case CONTENT_TAKEN:
		return CK_OK;
	case CONTENT_TOO_LARGE:
		return too_large(d, c, content_bytes(c));
	default:
		return fail_errno(errno, "pid %d: cannot copy %s, which it has open",
				  c->file->proc->pid, c->file->path);
	}
}

/* What a clone could do nobody knows before it is tried. */
static int look(struct dump *d, const struct dump_content *c)
{
	uint64_t bytes = content_bytes(c);

	if (bytes > CONTENTS_MAX_COPY - d->files->contents.copied)
		return too_large(d, c, bytes);
	d->files->contents.copied += bytes;
	return CK_OK;
}

int objects_capture(struct dump *d, struct image_writer *w, const struct object_id *known, size_t nr,
		    bool held)
{
	struct dump_files *fs = d->files;
	struct dump_content *c;
	uint64_t last = 0;
	size_t i, k;
	int rc = CK_OK;

	for (k = 0; k < nr; k++)
		if (known[k].id > last)
			last = known[k].id;
	for (c = fs->contents.first; c && !rc; c = c->next) {
		if (c->temp || c->fd < 0 || c->file->refused)
			continue;
		for (k = 0; k < nr && !c->rec.id; k++)
			if (known[k].dev == c->rec.dev && known[k].ino == c->rec.ino)
				c->rec.id = known[k].id;
		if (c->rec.id)
			continue;
		c->rec.id = ++last;
		if (w && !d->nr_obstacles)
			rc = capture(d, c, w, held);
		else if (!held)
			rc = look(d, c);
	}
	for (i = 0; i < fs->nr_files; i++)
		if (fs->files[i]->rec.kind == CKPT_FILE_OBJECT)
			fs->files[i]->rec.object = fs->files[i]->object->content->rec.id;
	return rc;
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
		if (!r->image->shms[i].temp && fchmod(r->shm_fds[i], r->image->shms[i].rec->mode & 0777) < 0)
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
	.dump = contents_dump,
	.prepare = objects_prepare,
	.commit = objects_commit,
};
