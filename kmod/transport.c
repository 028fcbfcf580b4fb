// SPDX-License-Identifier: GPL-2.0
#include "transport.h"
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/xxhash.h>
#include "freezer.h"
#include "report.h"
#include "session.h"
#include "sink.h"
#include "snapshot.h"

/* How often the owner hears of progress. */
#define CKPT_PROGRESS_BYTES	(16UL << 20)

/**
 * struct writer - one WRITE under way
 * @s: the session
 * @sink: where batches of pages go
 * @batch: being filled
 * @hash: of the last run in @batch
 * @pos: where the next page goes in the page file
 * @index_pos: where the next run goes in the index
 * @reported: bytes at the last progress event
 */
struct writer {
	struct ckpt_session *s;
	struct ckpt_sink *sink;
	struct ckpt_batch *batch;
	struct xxh64_state hash;
	u64 pos;
	u64 index_pos;
	u64 reported;
};

static int write_failed(struct writer *w, const char *what, ssize_t err)
{
	return ckpt_fail(w->s, err, CKPT_REASON_IO, NULL, "writing the %s failed: %s (error %zd)",
			 what, err == -ENOSPC ? "no space left" : err == -EDQUOT ?
			 "disk quota exceeded" : "the file system reported an error", -err);
}

static int write_runs(struct writer *w)
{
	struct ckpt_batch *b = w->batch;
	size_t len = b->nr_runs * sizeof(b->runs[0]), done = 0;
	loff_t pos = w->index_pos;
	ssize_t n;

	while (done < len) {
		n = kernel_write(w->s->req.index_file, (void *)b->runs + done, len - done, &pos);
		if (n <= 0)
			return write_failed(w, "index of pages", n ?: -ENOSPC);
		done += n;
	}
	return 0;
}

static bool is_zero_run(const struct ckpt_run *run)
{
	return run->flags & CKPT_RUN_ZERO;
}

static struct ckpt_run *last_run(struct ckpt_batch *b)
{
	return b->nr_runs ? &b->runs[b->nr_runs - 1] : NULL;
}

static void close_run(struct writer *w)
{
	struct ckpt_run *run = last_run(w->batch);

	if (run && !is_zero_run(run))
		run->xxh64 = xxh64_digest(&w->hash);
}

static int next_batch(struct writer *w, struct ckpt_pageset *set)
{
	int ret = ckpt_sink_batch(w->sink, &w->batch);

	if (ret)
		return write_failed(w, "pages", ret);
	w->batch->set = set;
	w->batch->pos = w->pos;
	return 0;
}

/* Send the batch on its way and begin an empty one. */
static int flush_batch(struct writer *w)
{
	struct ckpt_snapshot *snap = w->s->snapshot;
	struct ckpt_batch *b = w->batch;
	int ret = 0;

	if (!b->nr_runs)
		return 0;
	close_run(w);
	if (!w->s->req.page_file)
		ret = ckpt_stream_batch(w->s, b);
	else
		ret = write_runs(w);
	if (ret)
		return ret;
	b->set->pages.nr_runs += b->nr_runs;
	w->index_pos += b->nr_runs * sizeof(b->runs[0]);
	snap->nr_bytes += (u64)b->nr_pages << PAGE_SHIFT;
	if (snap->nr_bytes - w->reported >= CKPT_PROGRESS_BYTES) {
		w->reported = snap->nr_bytes;
		ckpt_report_progress(w->s, w->reported);
	}
	if (w->s->req.page_file && b->nr_pages)
		ckpt_sink_send(w->sink, b);
	return next_batch(w, b->set);
}

/* The run that takes a page at @addr: the last one if it fits, else a new one. */
static int open_run(struct writer *w, u64 addr, u32 flags)
{
	struct ckpt_run *run = last_run(w->batch);
	int ret;

	if (run && run->flags == flags && run->addr + run->nr_pages * (u64)PAGE_SIZE == addr)
		return 0;
	if (w->batch->nr_runs == ARRAY_SIZE(w->batch->runs)) {
		ret = flush_batch(w);
		if (ret)
			return ret;
	}
	close_run(w);
	run = &w->batch->runs[w->batch->nr_runs++];
	*run = (struct ckpt_run){ .addr = addr, .flags = flags };
	if (!(flags & CKPT_RUN_ZERO)) {
		run->pos = w->pos;
		xxh64_reset(&w->hash, 0);
	}
	return 0;
}

static void add_bvec(struct ckpt_batch *b, struct page *page)
{
	struct bio_vec *last = b->nr_bvecs ? &b->bvecs[b->nr_bvecs - 1] : NULL;

	if (last && page_to_pfn(last->bv_page) + (last->bv_len >> PAGE_SHIFT) == page_to_pfn(page))
		last->bv_len += PAGE_SIZE;
	else
		b->bvecs[b->nr_bvecs++] = (struct bio_vec){ .bv_page = page, .bv_len = PAGE_SIZE };
}

static int write_page(struct writer *w, u64 addr, struct page *page)
{
	void *data = kmap_local_page(page);
	bool zero = !memchr_inv(data, 0, PAGE_SIZE);
	int ret = 0;

	if (!zero && w->batch->nr_pages == CKPT_RUN_MAX_PAGES)
		ret = flush_batch(w);
	if (!ret)
		ret = open_run(w, addr, zero ? CKPT_RUN_ZERO : 0);
	if (ret)
		goto out;
	last_run(w->batch)->nr_pages++;
	w->batch->set->pages.nr_pages++;
	if (zero) {
		w->s->snapshot->nr_zero++;
		goto out;
	}
	xxh64_update(&w->hash, data, PAGE_SIZE);
	add_bvec(w->batch, page);
	w->batch->nr_pages++;
	w->pos += PAGE_SIZE;
out:
	kunmap_local(data);
	return ret;
}

static int write_set(struct writer *w, struct ckpt_pageset *set)
{
	struct ckpt_holds *holds;
	unsigned int i, j;
	int ret;

	ret = next_batch(w, set);
	if (ret)
		return ret;
	set->pages.index_pos = w->index_pos;
	set->pages.nr_runs = 0;
	set->pages.nr_pages = 0;
	list_for_each_entry(holds, &set->holds, node) {
		for (i = 0; i < holds->nr; i++) {
			const struct ckpt_hold *hold = &holds->hold[i];

			if (ckpt_session_stopped(w->s))
				return -ECANCELED;
			for (j = 0; j < hold->nr; j++) {
				ret = write_page(w, hold->addr + j * PAGE_SIZE, hold->page + j);
				if (ret)
					return ret;
			}
			cond_resched();
		}
	}
	return flush_batch(w);
}

/* For DUMP_PAGES. */
static int record_sets(struct ckpt_session *s)
{
	const struct ckpt_pageset *set;
	struct ckpt_rec_pages *rec;

	ckpt_records_free(&s->page_records);
	list_for_each_entry(set, &s->snapshot->sets, node) {
		rec = ckpt_records_add(&s->page_records, CKPT_REC_PAGES, sizeof(*rec));
		if (!rec)
			return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL,
					 "no memory for the records of pages");
		*rec = set->pages;
	}
	return 0;
}

/**
 * ckpt_transport_write() - hand all held pages to the files or the stream
 * @s: the session, with a snapshot
 *
 * Return: 0 or a noted failure.
 */
int ckpt_transport_write(struct ckpt_session *s)
{
	struct writer w = { .s = s };
	struct ckpt_pageset *set;
	int ret = 0, err;

	w.sink = ckpt_sink_open(s->req.page_file);
	if (!w.sink)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for writing pages");
	s->snapshot->nr_bytes = 0;
	s->snapshot->nr_zero = 0;
	list_for_each_entry(set, &s->snapshot->sets, node) {
		ret = write_set(&w, set);
		if (ret)
			break;
	}
	err = ckpt_sink_close(w.sink);
	if (!ret && err)
		ret = write_failed(&w, "pages", err);
	ret = ret ?: record_sets(s);
	/* Held pages were referenced, not protected: were they left alone all the time? */
	if (!ret && s->mode == CKPT_MODE_HELD)
		ret = ckpt_freezer_check(s);
	return ret;
}
