// SPDX-License-Identifier: GPL-2.0
/*
 * The contents of files, holes left out: copied while the job stands still, or
 * cloned if they are large and the file system of the image can do that.
 */
#include "contents.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "out.h"
#include "proc.h"

/* Ids of temporary files, out of the way of those of the module. */
#define FIRST_ID	(1ULL << 32)

struct dump_content *content_add(struct dump *d, const char *path)
{
	struct dump_contents *all = &d->files->contents;
	struct dump_content *c = path ? dump_alloc(d, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	if (!all->end)
		all->end = &all->first;
	*all->end = c;
	all->end = &c->next;
	all->nr++;
	c->path = path;
	c->fd = -1;
	return c;
}

void content_of_file(struct dump_content *c, const struct dump_file *f)
{
	c->file = f;
	c->rec.size = f->rec.size;
	c->rec.mode = f->rec.mode;
	c->rec.dev = f->rec.dev;
	c->rec.ino = f->rec.ino;
}

int content_has_name(struct dump *d, struct dump_content *c, const struct statx *st)
{
	c->temp = dump_alloc(d, sizeof(*c->temp));
	if (!c->temp)
		return CK_FAILED;
	c->rec.id = c->temp->object = FIRST_ID + d->files->contents.nr;
	c->rec.flags = CKPT_SHM_NAMED;
	c->temp->uid = st->stx_uid;
	if (st->stx_mask & STATX_BTIME) {
		c->temp->btime_sec = st->stx_btime.tv_sec;
		c->temp->btime_nsec = st->stx_btime.tv_nsec;
	}
	return CK_OK;
}

int content_open(const struct dump_file *f)
{
	char name[32];

	snprintf(name, sizeof(name), "fd/%d", f->fd);
	return openat(f->proc->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* ---- while the job stands still ---- */

/* From @pos on, the next that is no hole, of whole pages: 1; 0 at the end, -1 and errno. */
static int next_data(int fd, off_t pos, off_t *from, off_t *to)
{
	*from = lseek(fd, pos, SEEK_DATA);
	*to = *from < 0 ? -1 : lseek(fd, *from, SEEK_HOLE);
	if (*to < 0)
		return errno == ENXIO ? 0 : -1;
	if (*to <= *from)
		return 0;
	*from &= ~(off_t)(CKPT_PAGE_SIZE - 1);
	*to = (*to + CKPT_PAGE_SIZE - 1) & ~(off_t)(CKPT_PAGE_SIZE - 1);
	if (*from < pos)
		*from = pos;
	return 1;
}

uint64_t content_bytes(const struct dump_content *c)
{
	uint64_t bytes = 0;
	off_t from, to;

	/* Who reads them meets the error. */
	for (to = 0; next_data(c->fd, to, &from, &to) > 0; )
		bytes += (uint64_t)(to - from);
	return bytes;
}

/* A file of our own in memory; -1 and errno. */
static int copy(int fd, uint64_t size)
{
	int copy = memfd_create("ckpt", MFD_CLOEXEC), err;
	off_t from, to = 0, at;
	int more;

	if (copy < 0 || ftruncate(copy, (off_t)size) < 0)
		goto failed;
	while ((more = next_data(fd, to, &from, &to))) {
		if (more < 0 || lseek(copy, from, SEEK_SET) < 0)
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

static int clone(struct image_writer *w, int fd)
{
	int clone = w ? image_scratch(w) : -1;

	if (clone >= 0 && ioctl(clone, FICLONE, fd) == 0)
		return clone;
	if (clone >= 0)
		close(clone);
	return -1;
}

enum content_taken content_take(struct dump *d, struct dump_content *c, struct image_writer *w,
				bool held)
{
	uint64_t *copied = &d->files->contents.copied, bytes;
	int fd;

	c->ours = true;
	if (held)
		return CONTENT_TAKEN;
	bytes = content_bytes(c);
	fd = bytes >= CONTENTS_LARGE ? clone(w, c->fd) : -1;
	if (fd < 0 && bytes > CONTENTS_MAX_COPY - *copied) {
		c->ours = false;
		return CONTENT_TOO_LARGE;
	}
	if (fd < 0) {
		fd = copy(c->fd, c->rec.size);
		*copied += bytes;
	}
	if (fd < 0) {
		c->ours = false;
		return CONTENT_FAILED;
	}
	close(c->fd);
	c->fd = fd;
	return CONTENT_TAKEN;
}

void contents_rehearse(struct dump *d, struct image_writer *w)
{
	const struct dump_content *c = d->files ? d->files->contents.first : NULL;
	int fd;

	for (; c; c = c->next) {
		if (c->fd < 0 || content_bytes(c) < CONTENTS_LARGE)
			continue;
		fd = clone(w, c->fd);
		if (fd >= 0)
			close(fd);
	}
}

/* ---- later ---- */

static int write_one(const struct dump_content *c, struct image_writer *w, uint64_t *bytes)
{
	struct image_content *content;
	/* Others may have made it longer since. */
	const off_t end = (off_t)((c->rec.size + CKPT_PAGE_SIZE - 1) & ~(uint64_t)(CKPT_PAGE_SIZE - 1));
	off_t from, to = 0;
	int more = 1, rc = image_content_begin(&content, w, c->rec.id);

	while (!rc && (more = next_data(c->fd, to, &from, &to)) > 0 && from < end) {
		if (to > end)
			to = end;
		rc = image_content_add(content, c->fd, (uint64_t)from, (uint64_t)(to - from));
	}
	if (more < 0)
		rc = fail_errno(errno, "cannot find the data of %s", c->path);
	return image_content_end(content, rc, bytes);
}

int contents_write(struct dump *d, struct image_writer *w, uint64_t *bytes)
{
	const struct dump_content *c = d->files ? d->files->contents.first : NULL;
	int rc = CK_OK;

	for (; c && !rc; c = c->next)
		if (c->ours)
			rc = write_one(c, w, bytes);
	return rc;
}

int contents_dump(struct dump *d)
{
	struct dump_content *c;
	int rc = CK_OK;

	for (c = d->files->contents.first; c && !rc; c = c->next) {
		if (!c->ours)
			continue;
		c->rec.name_len = (uint32_t)strlen(c->path);
		rc = image_put(d->writer, CKPT_REC_SHM, &c->rec, sizeof(c->rec), c->path,
			       c->rec.name_len);
	}
	return rc;
}

void contents_free(struct dump *d)
{
	const struct dump_content *c = d->files ? d->files->contents.first : NULL;

	for (; c; c = c->next)
		if (c->fd >= 0)
			close(c->fd);
}
