// SPDX-License-Identifier: GPL-2.0
/* The image of a cgroup: records, index and pages of one generation. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "dir.h"
#include "out.h"
#include "store.h"

struct image_writer {
	struct store s;
	int page_fd, index_fd;
	FILE *records;
	XXH64_state_t *hash;		/* of the records so far */
	uint64_t record_bytes;
	struct manifest_generation newest;	/* what image_sync() has seen of it */
	bool synced;
};

/* ---- the files of the generation ---- */

/*
 * Pages go around the page cache where the file system can do that.  Whether
 * it can, only a write tells: some accept the flag and refuse the data.
 */
static int create_pages(struct image_writer *w)
{
	static const char zeros[CKPT_PAGE_SIZE] __attribute__((aligned(CKPT_PAGE_SIZE)));
	int flags;

	w->page_fd = store_create(&w->s, w->s.gen, DIR_PAGES, O_RDWR);
	if (w->page_fd < 0)
		return -1;
	flags = fcntl(w->page_fd, F_GETFL);
	if (flags < 0)
		return -1;
	if (fcntl(w->page_fd, F_SETFL, flags | O_DIRECT) < 0)
		return 0;
	if (pwrite(w->page_fd, zeros, sizeof(zeros), 0) != sizeof(zeros) &&
	    fcntl(w->page_fd, F_SETFL, flags) < 0)
		return -1;
	return ftruncate(w->page_fd, 0);
}

static int create_files(struct image_writer *w)
{
	int fd = store_create(&w->s, w->s.gen, DIR_RECORDS, O_WRONLY);

	w->records = fd < 0 ? NULL : fdopen(fd, "w");
	if (!w->records) {
		int err = errno;

		if (fd >= 0)
			close(fd);
		return fail_errno(err, "cannot make %s/%s", w->s.gen_path, DIR_RECORDS);
	}
	w->index_fd = store_create(&w->s, w->s.gen, DIR_INDEX, O_RDWR);
	if (w->index_fd < 0)
		return fail_errno(errno, "cannot make %s/%s", w->s.gen_path, DIR_INDEX);
	if (create_pages(w) < 0)
		return fail_errno(errno, "cannot make %s/%s", w->s.gen_path, DIR_PAGES);
	return CK_OK;
}

int image_begin(struct image_writer **out, const char *dir, const char *id)
{
	struct image_writer *w;
	int rc;

	*out = NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return fail(CK_FAILED, "out of memory");
	w->page_fd = w->index_fd = -1;
	w->hash = XXH64_createState();
	rc = store_begin(&w->s, IMAGE_PLAIN, dir, id);
	if (rc == CK_OK && !w->hash)
		rc = fail(CK_FAILED, "out of memory");
	if (rc == CK_OK) {
		XXH64_reset(w->hash, 0);
		rc = create_files(w);
	}
	if (rc) {
		image_abort(w);
		return rc;
	}
	*out = w;
	return CK_OK;
}

int image_page_fd(struct image_writer *w)
{
	return w->page_fd;
}

int image_index_fd(struct image_writer *w)
{
	return w->index_fd;
}

int image_scratch(struct image_writer *w)
{
	return openat(w->s.gen, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

uint32_t image_writer_generation(const struct image_writer *w)
{
	return w->s.number;
}

uid_t image_writer_owner(const struct image_writer *w)
{
	return w->s.owner;
}

/* ---- records ---- */

static int append(struct image_writer *w, const void *data, size_t len)
{
	/* fwrite() may not be given NULL, not even for nothing. */
	if (!len)
		return CK_OK;
	errno = 0;
	if (fwrite(data, 1, len, w->records) != len)
		return fail_errno(errno ? errno : EIO, "cannot write %s/%s", w->s.gen_path, DIR_RECORDS);
	XXH64_update(w->hash, data, len);
	w->record_bytes += len;
	return CK_OK;
}

int image_put(struct image_writer *w, uint32_t type, const void *head, size_t head_len,
	      const void *tail, size_t tail_len)
{
	static const char padding[8];
	struct ckpt_record record = { .type = type, .len = head_len + tail_len };
	struct ckpt_rec_pages pages;
	int rc;

	if (type == CKPT_REC_PAGES && head_len == sizeof(pages)) {
		/* The module does not know which generation it writes. */
		memcpy(&pages, head, sizeof(pages));
		if (!pages.generation)
			pages.generation = w->s.number;
		head = &pages;
	}
	rc = append(w, &record, sizeof(record));
	if (rc == CK_OK)
		rc = append(w, head, head_len);
	if (rc == CK_OK)
		rc = append(w, tail, tail_len);
	if (rc == CK_OK)
		rc = append(w, padding, CKPT_RECORD_ALIGN(record.len) - record.len);
	return rc;
}

int image_put_raw(struct image_writer *w, const void *records, size_t len)
{
	return append(w, records, len);
}

/* ---- the end ---- */

int image_sync(struct image_writer *w)
{
	struct manifest_generation *g = &w->newest;
	struct stat index, pages;
	int rc;

	if (w->synced)
		return CK_OK;
	if (fflush(w->records) == EOF || fsync(fileno(w->records)) < 0)
		return fail_errno(errno, "cannot write %s/%s", w->s.gen_path, DIR_RECORDS);
	if (fsync(w->page_fd) < 0 || fstat(w->page_fd, &pages) < 0)
		return fail_errno(errno, "cannot write %s/%s", w->s.gen_path, DIR_PAGES);
	if (fsync(w->index_fd) < 0 || fstat(w->index_fd, &index) < 0)
		return fail_errno(errno, "cannot write %s/%s", w->s.gen_path, DIR_INDEX);
	if (fsync(w->s.gen) < 0)
		return fail_errno(errno, "cannot write %s", w->s.gen_path);
	g->records.bytes = w->record_bytes;
	g->records.xxh64 = XXH64_digest(w->hash);
	g->index.bytes = (uint64_t)index.st_size;
	g->pages.bytes = (uint64_t)pages.st_size;
	rc = dir_hash_file(w->index_fd, g->index.bytes, w->s.gen_path, DIR_INDEX, &g->index.xxh64);
	w->synced = rc == CK_OK;
	return rc;
}

static void close_files(struct image_writer *w)
{
	if (w->records)
		fclose(w->records);
	w->records = NULL;
	if (w->page_fd >= 0)
		close(w->page_fd);
	if (w->index_fd >= 0)
		close(w->index_fd);
	w->page_fd = w->index_fd = -1;
}

int image_commit(struct image_writer *w, const struct image_meta *meta, unsigned int keep)
{
	int rc = image_sync(w);

	w->newest.number = w->s.number;
	w->newest.meta = *meta;
	if (rc == CK_OK)
		rc = store_publish(&w->s, &w->newest, keep);
	image_abort(w);
	return rc;
}

void image_abort(struct image_writer *w)
{
	if (!w)
		return;
	close_files(w);
	store_close(&w->s);
	XXH64_freeState(w->hash);
	free(w);
}
