/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A window of a process's private memory that is being read in.  A page that
 * is not there yet is allocated, filled while nobody else knows it, and then
 * becomes the process's: no fault, no clearing, no copy.  What is there, or
 * may be a part of a huge page, is the process's own, pinned.
 */
#ifndef CKPT_WINDOW_H
#define CKPT_WINDOW_H

#include <linux/bitmap.h>
#include <linux/ckpt_image.h>

#define CKPT_WINDOW_PAGES	CKPT_RUN_MAX_PAGES

struct bio_vec;
struct mm_struct;
struct page;

/**
 * struct ckpt_window - pages to be filled next
 * @mm: whose memory; it does not go away
 * @nr: how many pages
 * @huge_end: below this address pages have been found to be part of a huge one
 * @fresh: which of them are allocated, not pinned
 * @addr: where each belongs
 * @page: the pages
 * @src: of migrate_vma_setup()
 * @dst: likewise
 */
struct ckpt_window {
	struct mm_struct *mm;
	unsigned int nr;
	unsigned long huge_end;
	DECLARE_BITMAP(fresh, CKPT_WINDOW_PAGES);
	unsigned long addr[CKPT_WINDOW_PAGES];
	struct page *page[CKPT_WINDOW_PAGES];
	unsigned long src[CKPT_WINDOW_PAGES];
	unsigned long dst[CKPT_WINDOW_PAGES];
};

long ckpt_window_zero(struct ckpt_window *w, unsigned long addr, unsigned long nr);
long ckpt_window_add(struct ckpt_window *w, unsigned long addr, unsigned long nr);
unsigned int ckpt_window_bvecs(const struct ckpt_window *w, struct bio_vec *bvecs);
int ckpt_window_install(struct ckpt_window *w);
void ckpt_window_drop(struct ckpt_window *w);

#endif
