// SPDX-License-Identifier: GPL-2.0
/* Proving page data: threads take pieces of the file from one queue and hash their runs. */
#include "image.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "dir.h"
#include "io.h"
#include "out.h"

#define MAX_THREADS	16
#define QUEUE		16	/* pieces that wait: a bound, not a tuning */
#define PIECE_RUNS	64
#define PIECE_BYTES	((size_t)4 * CKPT_RUN_MAX_PAGES * CKPT_PAGE_SIZE)
#define HUGE_PAGE	((size_t)2 << 20)

/* Runs that lie one behind the other in a page file, so that one read gets them. */
struct piece {
	struct ckpt_run runs[PIECE_RUNS];
	unsigned int nr;
	size_t bytes;
	const struct image_generation *gen;
};

struct verify {
	pthread_mutex_t lock;
	pthread_cond_t filled, emptied;
	struct piece queue[QUEUE];
	struct piece next;		/* not in the queue yet, as there may be more to it */
	unsigned int first, nr;
	bool closed;			/* no more jobs come, or none are wanted */
	uint64_t done;			/* bytes */
	struct progress *progress;
	/* The first problem; err < 0: the data is not what was written, else errno. */
	bool failed;
	int err;
	struct ckpt_run bad;
	const struct image_generation *bad_gen;
};

static bool take(struct verify *v, struct piece *piece)
{
	bool got;

	pthread_mutex_lock(&v->lock);
	while (!v->nr && !v->closed)
		pthread_cond_wait(&v->filled, &v->lock);
	got = v->nr && !v->failed;
	if (got) {
		*piece = v->queue[v->first];
		v->first = (v->first + 1) % QUEUE;
		v->nr--;
		pthread_cond_signal(&v->emptied);
	}
	pthread_mutex_unlock(&v->lock);
	return got;
}

/* @err is of run @bad of it. */
static void finish(struct verify *v, const struct piece *piece, int err, unsigned int bad)
{
	pthread_mutex_lock(&v->lock);
	v->done += piece->bytes;
	if (err && !v->failed) {
		v->failed = true;
		v->err = err;
		v->bad = piece->runs[bad];
		v->bad_gen = piece->gen;
		pthread_cond_broadcast(&v->filled);
		pthread_cond_broadcast(&v->emptied);
	}
	progress_update(v->progress, v->done);
	pthread_mutex_unlock(&v->lock);
}

/* 0; errno, or -1 for other data, of run *bad. */
static int check(const struct piece *piece, const char *buf, size_t got, unsigned int *bad)
{
	unsigned int i;
	size_t at = 0;

	for (i = 0; i < piece->nr; i++) {
		size_t len = (size_t)piece->runs[i].nr_pages * CKPT_PAGE_SIZE;

		*bad = i;
		if (got < at + len || XXH64(buf + at, len, 0) != piece->runs[i].xxh64)
			return -1;
		at += len;
	}
	return 0;
}

static int read_piece(const struct piece *piece, char *buf, size_t *got)
{
	ssize_t n = io_read(image_bulk_fd(piece->gen), buf, piece->bytes, piece->runs[0].pos);

	*got = n < 0 ? 0 : (size_t)n;
	return n < 0 ? errno : 0;
}

static void *worker(void *arg)
{
	struct verify *v = arg;
	struct piece piece = { .nr = 0 };
	unsigned int bad = 0;
	void *buf = NULL;
	size_t got;
	int err, no_memory = posix_memalign(&buf, HUGE_PAGE, PIECE_BYTES);

	/* In a few pieces of physical memory, for the disk. */
	if (!no_memory)
		madvise(buf, PIECE_BYTES, MADV_HUGEPAGE);
	while (take(v, &piece)) {
		err = no_memory ? no_memory : read_piece(&piece, buf, &got);
		if (!err)
			err = check(&piece, buf, got, &bad);
		finish(v, &piece, err, bad);
	}
	free(buf);
	return NULL;
}

static int put_piece(struct verify *v)
{
	bool failed;

	if (!v->next.nr)
		return CK_OK;
	pthread_mutex_lock(&v->lock);
	while (v->nr == QUEUE && !v->failed)
		pthread_cond_wait(&v->emptied, &v->lock);
	failed = v->failed;
	if (!failed) {
		v->queue[(v->first + v->nr++) % QUEUE] = v->next;
		pthread_cond_signal(&v->filled);
	}
	pthread_mutex_unlock(&v->lock);
	v->next.nr = 0;
	v->next.bytes = 0;
	return failed ? CK_DAMAGED : CK_OK;
}

static int put(const struct ckpt_run *run, const struct image_generation *gen, void *arg)
{
	struct verify *v = arg;
	struct piece *next = &v->next;
	size_t len = (size_t)run->nr_pages * CKPT_PAGE_SIZE;
	int rc = CK_OK;

	if (run->flags & CKPT_RUN_ZERO)
		return CK_OK;
	if (next->nr == PIECE_RUNS || next->bytes + len > PIECE_BYTES || next->gen != gen ||
	    (next->nr && next->runs[0].pos + next->bytes != run->pos))
		rc = put_piece(v);
	next->gen = gen;
	next->runs[next->nr++] = *run;
	next->bytes += len;
	return rc;
}

static int put_all(const struct image *img, struct verify *v)
{
	size_t i, k;
	int rc = CK_OK;

	for (i = 0; i < img->nr_processes; i++)
		for (k = 0; rc == CK_OK && k < img->processes[i].nr_pages; k++)
			rc = image_for_each_run(img, img->processes[i].pages[k], put, v);
	for (i = 0; i < img->nr_shms; i++)
		for (k = 0; rc == CK_OK && k < img->shms[i].nr_pages; k++)
			rc = image_for_each_run(img, img->shms[i].pages[k], put, v);
	return rc ? rc : put_piece(v);
}

static uint64_t all_bytes(const struct image *img)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < img->nr_generations; i++)
		if (img->generations[i].page_fd >= 0)
			bytes += img->generations[i].page_bytes;
	return bytes;
}

static int report(const struct verify *v)
{
	const struct ckpt_run *run = &v->bad;

	if (v->err > 0)
		return fail_errno(v->err, "cannot read %s/%s at byte %" PRIu64, v->bad_gen->path,
				  DIR_PAGES, (uint64_t)run->pos);
	return fail(CK_DAMAGED, "%s is damaged: %s, bytes %" PRIu64 " to %" PRIu64
		    " are not what was written (memory at %" PRIx64 ")", v->bad_gen->path, DIR_PAGES,
		    (uint64_t)run->pos, (uint64_t)(run->pos + run->nr_pages * CKPT_PAGE_SIZE - 1),
		    (uint64_t)run->addr);
}

/* Enough to keep the disk busy while some hash, but no more than there are pieces. */
static unsigned int default_threads(uint64_t bytes)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int threads = cpus > 0 && cpus < MAX_THREADS / 2 ? 2 * (unsigned int)cpus :
								    MAX_THREADS;
	uint64_t pieces = bytes / PIECE_BYTES + 1;

	return pieces < threads ? (unsigned int)pieces : threads;
}

int image_verify_pages(const struct image *img, unsigned int threads)
{
	struct verify v = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.filled = PTHREAD_COND_INITIALIZER,
		.emptied = PTHREAD_COND_INITIALIZER,
	};
	pthread_t ids[MAX_THREADS];
	uint64_t bytes = all_bytes(img);
	unsigned int nr = 0;
	int err = 0, rc;

	if (!threads)
		threads = default_threads(bytes);
	v.progress = progress_start("verifying", bytes);
	while (nr < threads && nr < MAX_THREADS && !err) {
		err = pthread_create(&ids[nr], NULL, worker, &v);
		nr += !err;
	}
	/* Fewer threads than wanted serve as well. */
	rc = nr ? put_all(img, &v) : fail_errno(err, "cannot start a thread");
	pthread_mutex_lock(&v.lock);
	v.closed = true;
	pthread_cond_broadcast(&v.filled);
	pthread_mutex_unlock(&v.lock);
	while (nr)
		pthread_join(ids[--nr], NULL);
	progress_end(v.progress);
	return v.failed ? report(&v) : rc;
}
