// SPDX-License-Identifier: GPL-2.0
#include "sink.h"
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include "compat/file.h"
#include "transport.h"

#define DEPTH	4

/**
 * struct flight - one batch, being filled or on its way
 * @iocb: its write
 * @iter: what is left of it
 * @done: the file system is through with it
 * @result: bytes written or a negative errno
 * @flying: sent and not waited for
 * @batch: what it carries
 */
struct flight {
	struct kiocb iocb;
	struct iov_iter iter;
	struct completion done;
	ssize_t result;
	bool flying;
	struct ckpt_batch batch;
};

/**
 * struct ckpt_sink - see sink.h
 * @file: NULL for none: batches are only lent
 * @next: of @flights, which go round
 * @err: of the first batch that failed
 * @flights: of which only the first is there without a file
 */
struct ckpt_sink {
	struct file *file;
	unsigned int next;
	int err;
	struct flight *flights[DEPTH];
};

static void note_error(struct ckpt_sink *sink, ssize_t err)
{
	if (!sink->err)
		sink->err = err ?: -ENOSPC;
}

/* What the file system took only a part of. */
static void write_rest(struct ckpt_sink *sink, struct flight *f)
{
	loff_t pos = f->batch.pos + ((u64)f->batch.nr_pages << PAGE_SHIFT) - iov_iter_count(&f->iter);
	ssize_t n;

	while (iov_iter_count(&f->iter)) {
		n = ckpt_iter_write(sink->file, &f->iter, &pos);
		if (n <= 0) {
			note_error(sink, n);
			return;
		}
	}
}

static void wait_for(struct ckpt_sink *sink, struct flight *f)
{
	size_t len = (size_t)f->batch.nr_pages << PAGE_SHIFT;

	if (!f->flying)
		return;
	wait_for_completion(&f->done);
	f->flying = false;
	if (f->result <= 0) {
		note_error(sink, f->result);
	} else if (f->result < len) {
		iov_iter_bvec(&f->iter, ITER_SOURCE, f->batch.bvecs, f->batch.nr_bvecs, len);
		iov_iter_advance(&f->iter, f->result);
		write_rest(sink, f);
	}
}

static void wait_for_all(struct ckpt_sink *sink)
{
	unsigned int i;

	for (i = 0; i < DEPTH; i++)
		if (sink->flights[i])
			wait_for(sink, sink->flights[i]);
}

static void land(struct flight *f, ssize_t result)
{
	f->result = result;
	ckpt_kiocb_end(&f->iocb);
	complete(&f->done);
}

static CKPT_KIOCB_COMPLETE(landed)
{
	land(container_of(iocb, struct flight, iocb), result);
}

/**
 * ckpt_sink_send() - write a batch; its end is waited for when it is needed again
 * @sink: the sink, with a file
 * @batch: from ckpt_sink_batch(), with pages
 *
 * The pages must not change or go away before ckpt_sink_close().
 */
void ckpt_sink_send(struct ckpt_sink *sink, struct ckpt_batch *batch)
{
	struct flight *f = container_of(batch, struct flight, batch);
	ssize_t ret;

	iov_iter_bvec(&f->iter, ITER_SOURCE, batch->bvecs, batch->nr_bvecs,
		      (size_t)batch->nr_pages << PAGE_SHIFT);
	f->iocb = (struct kiocb){
		.ki_filp = sink->file,
		.ki_pos = batch->pos,
		.ki_flags = iocb_flags(sink->file),
		.ki_ioprio = get_current_ioprio(),
		.ki_complete = landed,
	};
	reinit_completion(&f->done);
	/* Whoever freezes the file system waits for what is on its way. */
	ckpt_kiocb_start(&f->iocb);
	f->flying = true;
	ret = sink->file->f_op->write_iter(&f->iocb, &f->iter);
	if (ret != -EIOCBQUEUED)
		land(f, ret);
}

/**
 * ckpt_sink_batch() - an empty batch to fill
 * @sink: the sink
 * @batch: the batch, which stays the sink's
 *
 * Return: 0, or what became of a former one.
 */
int ckpt_sink_batch(struct ckpt_sink *sink, struct ckpt_batch **batch)
{
	struct flight *f = sink->flights[sink->next];

	wait_for(sink, f);
	if (sink->file)
		sink->next = (sink->next + 1) % DEPTH;
	f->batch.nr_pages = 0;
	f->batch.nr_runs = 0;
	f->batch.nr_bvecs = 0;
	*batch = &f->batch;
	return sink->err;
}

/**
 * ckpt_sink_close() - wait for all batches and free the sink
 * @sink: the sink
 *
 * Return: 0 or the errno of the first batch that could not be written.
 */
int ckpt_sink_close(struct ckpt_sink *sink)
{
	int err, i;

	wait_for_all(sink);
	err = sink->err;
	for (i = 0; i < DEPTH; i++)
		kvfree(sink->flights[i]);
	kfree(sink);
	return err;
}

/**
 * ckpt_sink_open() - begin to write
 * @file: open for writing, or NULL when batches go elsewhere; it outlives the sink
 *
 * Return: the sink or NULL.
 */
struct ckpt_sink *ckpt_sink_open(struct file *file)
{
	struct ckpt_sink *sink = kzalloc(sizeof(*sink), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!sink)
		return NULL;
	sink->file = file;
	for (i = 0; i < (file ? DEPTH : 1); i++) {
		sink->flights[i] = kvzalloc(sizeof(*sink->flights[i]), GFP_KERNEL_ACCOUNT);
		if (!sink->flights[i]) {
			ckpt_sink_close(sink);
			return NULL;
		}
		init_completion(&sink->flights[i]->done);
	}
	return sink;
}
