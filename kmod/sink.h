/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page file of a checkpoint: batches of pages on their way into it, several
 * at a time, so that the disk has work while the next batch is being hashed.
 */
#ifndef CKPT_SINK_H
#define CKPT_SINK_H

#include <linux/types.h>

struct ckpt_batch;
struct ckpt_sink;
struct file;

struct ckpt_sink *ckpt_sink_open(struct file *file);
int ckpt_sink_batch(struct ckpt_sink *sink, struct ckpt_batch **batch);
void ckpt_sink_send(struct ckpt_sink *sink, struct ckpt_batch *batch);
int ckpt_sink_close(struct ckpt_sink *sink);

#endif
