// SPDX-License-Identifier: GPL-2.0
/* Page data that ckctl itself has, after the module's and in the same form. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "io.h"
#include "out.h"

#define RUN_BYTES	((size_t)CKPT_RUN_MAX_PAGES * CKPT_PAGE_SIZE)

struct image_content {
	struct image_writer *w;
	struct ckpt_rec_pages rec;
	uint64_t page_pos, index_pos;	/* where the next goes */
	unsigned char *buf;		/* aligned for O_DIRECT */
};

int image_content_begin(struct image_content **out, struct image_writer *w, uint64_t id)
{
	struct image_content *c = calloc(1, sizeof(*c));
	struct stat pages, index;

	*out = c;
	if (!c || posix_memalign((void **)&c->buf, CKPT_PAGE_SIZE, RUN_BYTES) != 0)
		return fail(CK_FAILED, "out of memory");
	if (fstat(image_page_fd(w), &pages) < 0 || fstat(image_index_fd(w), &index) < 0)
		return fail_errno(errno, "cannot examine the files of the image");
	c->w = w;
	c->page_pos = CKPT_RECORD_ALIGN((uint64_t)pages.st_size);
	c->page_pos = (c->page_pos + CKPT_PAGE_SIZE - 1) & ~(uint64_t)(CKPT_PAGE_SIZE - 1);
	c->index_pos = (uint64_t)index.st_size;
	c->rec = (struct ckpt_rec_pages){
		.owner = id, .owner_kind = CKPT_PAGES_SHM, .index_pos = c->index_pos,
	};
	return CK_OK;
}

static int put(int fd, const void *data, size_t len, uint64_t pos)
{
	return io_write(fd, data, len, pos) < 0 ?
		fail_errno(errno, "cannot write the contents of a file") : CK_OK;
}

/* What is beyond the end of the file is zero. */
static int get(int fd, unsigned char *buf, size_t len, uint64_t pos)
{
	ssize_t n = io_read(fd, buf, len, pos);

	if (n < 0)
		return fail_errno(errno, "cannot read the contents of a file");
	memset(buf + n, 0, len - (size_t)n);
	return CK_OK;
}

int image_content_add(struct image_content *c, int fd, uint64_t from, uint64_t len)
{
	while (len) {
		size_t bytes = len < RUN_BYTES ? (size_t)len : RUN_BYTES;
		struct ckpt_run run = {
			.addr = from, .pos = c->page_pos,
			.nr_pages = (uint32_t)(bytes / CKPT_PAGE_SIZE),
		};
		int rc = get(fd, c->buf, bytes, from);

		if (rc)
			return rc;
		run.xxh64 = XXH64(c->buf, bytes, 0);
		rc = put(image_page_fd(c->w), c->buf, bytes, c->page_pos);
		if (!rc)
			rc = put(image_index_fd(c->w), &run, sizeof(run), c->index_pos);
		if (rc)
			return rc;
		c->page_pos += bytes;
		c->index_pos += sizeof(run);
		c->rec.nr_runs++;
		c->rec.nr_pages += run.nr_pages;
		from += bytes;
		len -= bytes;
	}
	return CK_OK;
}

int image_content_end(struct image_content *c, int rc, uint64_t *bytes)
{
	if (!rc) {
		*bytes += c->rec.nr_pages * CKPT_PAGE_SIZE;
		rc = image_put(c->w, CKPT_REC_PAGES, &c->rec, sizeof(c->rec), NULL, 0);
	}
	if (c)
		free(c->buf);
	free(c);
	return rc;
}
