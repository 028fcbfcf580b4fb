// SPDX-License-Identifier: GPL-2.0
/*
 * A checkpoint becomes part of an image in one step, the rename of the
 * manifest.  Until then it is a gen-<n> that no manifest names.
 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "dir.h"
#include "manifest.h"
#include "out.h"

struct image_writer {
	char path[4400];		/* of the image */
	char gen_path[4420];
	int parent, dir, gen;		/* descriptors; -1 when not open */
	uint32_t number;		/* of the generation being made */
	bool locked;
	bool committed;			/* the manifest may name the generation */
	struct manifest *former;	/* NULL for none */
	int page_fd, index_fd;
	FILE *records;
	XXH64_state_t *hash;		/* of the records so far */
	uint64_t record_bytes;
	uid_t owner;			/* of the image, to whom root gives the files */
	gid_t group;
};

/* ---- the directory ---- */

/* The opened directory is still the one at its name: an aborting first
 * writer removes its directory while it holds the lock that we waited for. */
static bool still_there(const struct image_writer *w, const char *name)
{
	struct stat ours, there;

	return fstat(w->dir, &ours) == 0 &&
	       fstatat(w->parent, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static int open_and_lock(struct image_writer *w, const char *name)
{
	int rc;

	for (;;) {
		if (dir_make(w->parent, name) < 0 && errno != EEXIST)
			return fail_errno(errno, "cannot make %s", w->path);
		rc = dir_open(&w->dir, w->parent, name, w->path, true, &w->owner);
		if (rc)
			return rc;
		if (flock(w->dir, LOCK_EX | LOCK_NB) < 0)
			return errno == EWOULDBLOCK ?
			       fail(CK_BUSY, "another checkpoint is being written to %s", w->path) :
			       fail_errno(errno, "cannot lock %s", w->path);
		if (still_there(w, name)) {
			w->locked = true;
			return CK_OK;
		}
		close(w->dir);
		w->dir = -1;
	}
}

/* Remove what a writer that died left: generations that no manifest names. */
static int remove_leftovers(const struct image_writer *w)
{
	int rc = CK_OK, fd = openat(w->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		rc = fail_errno(errno, "cannot list %s", w->path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (rc == CK_OK && (entry = readdir(dir))) {
		uint32_t number = dir_generation_number(entry->d_name);

		if (number && !(w->former && manifest_find(w->former, number)) &&
		    dir_remove(w->dir, entry->d_name) < 0)
			rc = fail_errno(errno, "cannot remove %s/%s, which a checkpoint that "
					"died left", w->path, entry->d_name);
	}
	closedir(dir);
	return rc;
}

/* A job must not go without checkpoints because its former image is lost: that
 * manifest steps aside, for whoever wants to look at it. */
static int read_former(struct image_writer *w)
{
	struct capture outer = fail_captured();
	char why[1024] = "";
	int rc;

	fail_capture(why, sizeof(why));
	rc = manifest_read(&w->former, w->dir, w->path);
	fail_capture(outer.buf, outer.size);
	if (rc == CK_OK)
		return CK_OK;
	if (rc != CK_DAMAGED)
		return fail(rc, "%s", why);
	if (renameat(w->dir, DIR_MANIFEST, w->dir, DIR_MANIFEST ".damaged") < 0)
		return fail_errno(errno, "%s, and its manifest cannot be moved aside", why);
	note("%s; this checkpoint replaces it", why);
	return CK_OK;
}

static int open_image(struct image_writer *w, const char *dir, const char *name)
{
	struct stat st;
	int rc;

	w->parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->parent < 0)
		return fail_errno(errno, "cannot open the image directory %s", dir);
	rc = open_and_lock(w, name);
	if (rc)
		return rc;
	if (fstat(w->dir, &st) < 0)
		return fail_errno(errno, "cannot examine %s", w->path);
	w->group = st.st_gid;
	rc = read_former(w);
	if (rc)
		return rc;
	rc = remove_leftovers(w);
	if (rc)
		return rc;
	w->number = 1;
	if (w->former)
		w->number += w->former->generations[w->former->nr_generations - 1].number;
	return w->number ? CK_OK : fail(CK_FAILED, "%s has no generation number left; "
					"checkpoint to another directory", w->path);
}

/* ---- the files of the generation ---- */

static int create_file(struct image_writer *w, const char *name, int flags)
{
	int fd = openat(w->gen, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		return -1;
	if (fchmod(fd, 0600) == 0 &&
	    (w->owner == geteuid() || fchown(fd, w->owner, w->group) == 0))
		return fd;
	close(fd);
	return -1;
}

/*
 * Pages go around the page cache where the file system can do that.  Whether
 * it can, only a write tells: some accept the flag and refuse the data.
 */
static int create_pages(struct image_writer *w)
{
	static const char zeros[CKPT_PAGE_SIZE] __attribute__((aligned(CKPT_PAGE_SIZE)));
	int flags;

	w->page_fd = create_file(w, DIR_PAGES, O_RDWR);
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

static int create_generation(struct image_writer *w)
{
	struct dir_name name = dir_generation_name(w->number);
	struct stat st;
	int fd;

	snprintf(w->gen_path, sizeof(w->gen_path), "%s/%s", w->path, name.text);
	if (dir_make(w->dir, name.text) < 0)
		return fail_errno(errno, "cannot make %s", w->gen_path);
	w->gen = openat(w->dir, name.text, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Where root writes for a user, the user could have put another one there. */
	if (w->gen < 0 || fstat(w->gen, &st) < 0)
		return fail_errno(errno, "cannot open %s", w->gen_path);
	if (st.st_uid != geteuid())
		return fail(CK_PERM, "%s was replaced while it was being made", w->gen_path);
	if (w->owner != geteuid() && fchown(w->gen, w->owner, w->group) < 0)
		return fail_errno(errno, "cannot set the rights of %s", w->gen_path);
	fd = create_file(w, DIR_RECORDS, O_WRONLY);
	w->records = fd < 0 ? NULL : fdopen(fd, "w");
	if (!w->records) {
		int err = errno;

		if (fd >= 0)
			close(fd);
		return fail_errno(err, "cannot make %s/%s", w->gen_path, DIR_RECORDS);
	}
	w->index_fd = create_file(w, DIR_INDEX, O_RDWR);
	if (w->index_fd < 0)
		return fail_errno(errno, "cannot make %s/%s", w->gen_path, DIR_INDEX);
	if (create_pages(w) < 0)
		return fail_errno(errno, "cannot make %s/%s", w->gen_path, DIR_PAGES);
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
	w->parent = w->dir = w->gen = w->page_fd = w->index_fd = -1;
	w->hash = XXH64_createState();
	rc = w->hash ? image_path(w->path, sizeof(w->path), dir, id) :
		       fail(CK_FAILED, "out of memory");
	if (rc == CK_OK) {
		XXH64_reset(w->hash, 0);
		rc = open_image(w, dir, strrchr(w->path, '/') + 1);
	}
	if (rc == CK_OK)
		rc = create_generation(w);
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
	return openat(w->gen, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

uint32_t image_writer_generation(const struct image_writer *w)
{
	return w->number;
}

/* ---- records ---- */

static int append(struct image_writer *w, const void *data, size_t len)
{
	/* fwrite() may not be given NULL, not even for nothing. */
	if (!len)
		return CK_OK;
	errno = 0;
	if (fwrite(data, 1, len, w->records) != len)
		return fail_errno(errno ? errno : EIO, "cannot write %s/%s", w->gen_path, DIR_RECORDS);
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
			pages.generation = w->number;
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

/* All data of the generation on the disk, and what the manifest says of it. */
static int finish_files(struct image_writer *w, struct manifest_generation *g)
{
	struct stat index, pages;

	if (fflush(w->records) == EOF || fsync(fileno(w->records)) < 0)
		return fail_errno(errno, "cannot write %s/%s", w->gen_path, DIR_RECORDS);
	if (fsync(w->page_fd) < 0 || fstat(w->page_fd, &pages) < 0)
		return fail_errno(errno, "cannot write %s/%s", w->gen_path, DIR_PAGES);
	if (fsync(w->index_fd) < 0 || fstat(w->index_fd, &index) < 0)
		return fail_errno(errno, "cannot write %s/%s", w->gen_path, DIR_INDEX);
	if (fsync(w->gen) < 0)
		return fail_errno(errno, "cannot write %s", w->gen_path);
	g->records.bytes = w->record_bytes;
	g->records.xxh64 = XXH64_digest(w->hash);
	g->index.bytes = (uint64_t)index.st_size;
	g->pages.bytes = (uint64_t)pages.st_size;
	return dir_hash_file(w->index_fd, g->index.bytes, w->gen_path, DIR_INDEX, &g->index.xxh64);
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
	if (w->gen >= 0)
		close(w->gen);
	w->page_fd = w->index_fd = w->gen = -1;
}

/* The manifest with the newest @keep generations, the new one included. */
static int publish(struct image_writer *w, const struct manifest_generation *newest,
		   unsigned int keep)
{
	size_t old = w->former ? w->former->nr_generations : 0;
	size_t kept = old < keep ? old : keep ? keep - 1 : 0;
	struct manifest m = { .nr_generations = kept + 1 };
	int rc;

	m.generations = calloc(kept + 1, sizeof(*m.generations));
	if (!m.generations)
		return fail(CK_FAILED, "out of memory");
	/* Shallow copies: @former and the caller own what they point to. */
	if (kept)
		memcpy(m.generations, w->former->generations + old - kept,
		       kept * sizeof(*m.generations));
	m.generations[kept] = *newest;
	rc = manifest_write(&m, w->dir, w->path);
	if (rc == CK_OK) {
		w->committed = true;
		if (fsync(w->dir) < 0 || (!w->former && fsync(w->parent) < 0))
			rc = fail_errno(errno, "cannot make %s durable", w->path);
	}
	for (size_t i = 0; rc == CK_OK && i < old - kept; i++) {
		struct dir_name name = dir_generation_name(w->former->generations[i].number);

		/* The image is complete; the next checkpoint tries again. */
		if (dir_remove(w->dir, name.text) < 0)
			note("cannot remove %s/%s, which is no longer needed: %s", w->path,
			     name.text, strerror(errno));
	}
	free(m.generations);
	return rc;
}

int image_commit(struct image_writer *w, const struct image_meta *meta, unsigned int keep)
{
	struct manifest_generation newest = { .number = w->number, .meta = *meta };
	int rc = finish_files(w, &newest);

	if (rc == CK_OK)
		rc = publish(w, &newest, keep);
	image_abort(w);
	return rc;
}

void image_abort(struct image_writer *w)
{
	if (!w)
		return;
	if (w->gen >= 0 && !w->committed) {
		struct dir_name name = dir_generation_name(w->number);

		if (dir_remove(w->dir, name.text) < 0)
			note("cannot remove %s/%s, which is not part of the image: %s", w->path,
			     name.text, strerror(errno));
	}
	close_files(w);
	/* A first checkpoint that failed leaves nothing. */
	if (w->locked && !w->former && !w->committed)
		unlinkat(w->parent, strrchr(w->path, '/') + 1, AT_REMOVEDIR);
	if (w->dir >= 0)
		close(w->dir);	/* and with it the lock */
	if (w->parent >= 0)
		close(w->parent);
	manifest_free(w->former);
	XXH64_freeState(w->hash);
	free(w);
}
