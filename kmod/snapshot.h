/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pages of a job at one instant: taken in one walk over the page tables
 * while everybody is frozen, written later.
 */
#ifndef CKPT_SNAPSHOT_H
#define CKPT_SNAPSHOT_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/ckpt_image.h>

struct ckpt_session;

/**
 * struct ckpt_hold - consecutive pages that we hold
 * @addr: virtual address or offset in the shared object
 * @page: the first; the others follow it in physical memory
 * @nr: how many
 * @flags: CKPT_HOLD_*
 */
struct ckpt_hold {
	unsigned long addr;
	struct page *page;
	unsigned int nr;
	unsigned int flags;
};

#define CKPT_HOLD_ONE_REF	(1U << 0)	/* one reference for all: a huge page */
#define CKPT_HOLD_COPY		(1U << 1)	/* cannot be shared: to be copied at once */

struct ckpt_holds {
	struct list_head node;
	unsigned int nr;
	struct ckpt_hold hold[];
};

/**
 * struct ckpt_pageset - the pages of one address space or shared object
 * @node: in ckpt_snapshot.sets
 * @holds: struct ckpt_holds, ascending by address
 * @pages: what WRITE says of it
 */
struct ckpt_pageset {
	struct list_head node;
	struct list_head holds;
	struct ckpt_rec_pages pages;
};

/**
 * struct ckpt_snapshot - all pages of a session
 * @sets: struct ckpt_pageset
 * @nr_pages: in all
 * @nr_shared: held copy-on-write
 * @nr_copied: copied while frozen
 * @nr_bytes: written so far
 * @nr_zero: found to be all zeros and not written
 */
struct ckpt_snapshot {
	struct list_head sets;
	u64 nr_pages;
	u64 nr_shared;
	u64 nr_copied;
	u64 nr_bytes;
	u64 nr_zero;
};

int ckpt_snapshot_take(struct ckpt_session *s);
void ckpt_snapshot_free(struct ckpt_session *s);

struct ckpt_pageset *ckpt_pageset_add(struct ckpt_session *s, enum ckpt_pages_owner kind,
				      u64 owner);
int ckpt_pageset_reserve(struct ckpt_pageset *set, unsigned int nr);
void ckpt_pageset_hold(struct ckpt_pageset *set, unsigned long addr, struct page *page,
		       unsigned int nr, unsigned int flags);


#endif
