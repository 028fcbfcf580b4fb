/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Page bytes out: one iterator over the held pages makes checked runs of them;
 * two ways out: into files (transport.c), or through netlink (stream.c).
 */
#ifndef CKPT_TRANSPORT_H
#define CKPT_TRANSPORT_H

#include <linux/bvec.h>
#include <linux/ckpt_image.h>

struct ckpt_session;
struct ckpt_pageset;

/**
 * struct ckpt_batch - runs that leave together, up to CKPT_RUN_MAX_PAGES pages
 * @set: whose they are
 * @pos: of the first page in the page file
 * @nr_pages: not counting zero pages
 * @nr_runs: runs in @runs
 * @nr_bvecs: bvecs in @bvecs
 * @runs: complete but for the last one's hash
 * @bvecs: the page data in order
 */
struct ckpt_batch {
	struct ckpt_pageset *set;
	u64 pos;
	unsigned int nr_pages;
	unsigned int nr_runs;
	unsigned int nr_bvecs;
	struct ckpt_run runs[CKPT_RUN_MAX_PAGES];
	struct bio_vec bvecs[CKPT_RUN_MAX_PAGES];
};

int ckpt_transport_write(struct ckpt_session *s);
int ckpt_stream_batch(struct ckpt_session *s, const struct ckpt_batch *batch);

#endif
