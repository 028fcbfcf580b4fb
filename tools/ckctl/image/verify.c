// SPDX-License-Identifier: GPL-2.0
/* Proving page data: threads take runs from one queue and hash what is in the file. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "dir.h"
#include "out.h"

#define MAX_THREADS	16
#define QUEUE		64	/* runs that wait: a bound, not a tuning */
#define RUN_BYTES	((size_t)CKPT_RUN_MAX_PAGES * CKPT_PAGE_SIZE)

struct job {
	struct ckpt_run run;
	const struct image_generation *gen;
};

struct verify {
	pthread_mutex_t lock;
	pthread_cond_t filled, emptied;
	struct job queue[QUEUE];
	unsigned int first, nr;
	bool closed;			/* no more jobs come, or none are wanted */
	uint64_t done;			/* bytes */
	struct progress *progress;
	/* The first problem; err < 0: the data is not what was written, else errno. */
	bool failed;
	int err;
	struct job bad;
};

static bool take(struct verify *v, struct job *job)
{
	bool got;

	pthread_mutex_lock(&v->lock);
	while (!v->nr && !v->closed)
		pthread_cond_wait(&v->filled, &v->lock);
	got = v->nr && !v->failed;
	if (got) {
		*job = v->queue[v->first];
		v->first = (v->first + 1) % QUEUE;
		v->nr--;
		pthread_cond_signal(&v->emptied);
	}
	pthread_mutex_unlock(&v->lock);
	return got;
}

static void finish(struct verify *v, const struct job *job, int err)
{
	pthread_mutex_lock(&v->lock);
	v->done += (uint64_t)job->run.nr_pages * CKPT_PAGE_SIZE;
	if (err && !v->failed) {
		v->failed = true;
		v->err = err;
		v->bad = *job;
		pthread_cond_broadcast(&v->filled);
		pthread_cond_broadcast(&v->emptied);
	}
	progress_update(v->progress, v->done);
	pthread_mutex_unlock(&v->lock);
}

static int check(const struct job *job, char *buf)
{
	size_t len = (size_t)job->run.nr_pages * CKPT_PAGE_SIZE, got = 0;

	while (got < len) {
		ssize_t n = pread(job->gen->page_fd, buf + got, len - got,
				  (off_t)(job->run.pos + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			return -1;
		got += (size_t)n;
	}
	return XXH64(buf, len, 0) == job->run.xxh64 ? 0 : -1;
}

static void *worker(void *arg)
{
	struct verify *v = arg;
	struct job job = { .gen = NULL };
	char *buf = malloc(RUN_BYTES);

	while (take(v, &job))
		finish(v, &job, buf ? check(&job, buf) : ENOMEM);
	free(buf);
	return NULL;
}

static int put(const struct ckpt_run *run, const struct image_generation *gen, void *arg)
{
	struct verify *v = arg;
	bool failed;

	if (run->flags & CKPT_RUN_ZERO)
		return 0;
	/* It was written around the page cache, and will be read once more. */
	posix_fadvise(gen->page_fd, (off_t)run->pos, (off_t)run->nr_pages * CKPT_PAGE_SIZE,
		      POSIX_FADV_WILLNEED);
	pthread_mutex_lock(&v->lock);
	while (v->nr == QUEUE && !v->failed)
		pthread_cond_wait(&v->emptied, &v->lock);
	failed = v->failed;
	if (!failed) {
		v->queue[(v->first + v->nr++) % QUEUE] = (struct job){ *run, gen };
		pthread_cond_signal(&v->filled);
	}
	pthread_mutex_unlock(&v->lock);
	return failed ? CK_DAMAGED : CK_OK;
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
	return rc;
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
	const struct job *job = &v->bad;

	if (v->err > 0)
		return fail_errno(v->err, "cannot read %s/%s at byte %" PRIu64, job->gen->path,
				  DIR_PAGES, (uint64_t)job->run.pos);
	return fail(CK_DAMAGED, "%s is damaged: %s, bytes %" PRIu64 " to %" PRIu64
		    " are not what was written (memory at %" PRIx64 ")", job->gen->path, DIR_PAGES,
		    (uint64_t)job->run.pos,
		    (uint64_t)(job->run.pos + job->run.nr_pages * CKPT_PAGE_SIZE - 1),
		    (uint64_t)job->run.addr);
}

int image_verify_pages(const struct image *img, unsigned int threads)
{
	struct verify v = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.filled = PTHREAD_COND_INITIALIZER,
		.emptied = PTHREAD_COND_INITIALIZER,
	};
	pthread_t ids[MAX_THREADS];
	unsigned int nr = 0;
	int err = 0, rc;

	if (threads < 1)
		threads = 1;
	v.progress = progress_start("verifying", all_bytes(img));
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
