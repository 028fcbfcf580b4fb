// SPDX-License-Identifier: GPL-2.0
#include "snapshot.h"
#include <linux/mm.h>
#include <linux/slab.h>
#include "session.h"

/* Room of one struct ckpt_holds; a page table has 512 entries. */
#define CKPT_HOLDS_ROOM		1360	/* 32 KiB */
#define CKPT_HOLD_MAX		512

/**
 * ckpt_pageset_add() - begin the pages of one more owner
 * @s: the session
 * @kind: what the owner is
 * @owner: pid or object id
 *
 * Return: the empty set, freed with the snapshot, or NULL.
 */
struct ckpt_pageset *ckpt_pageset_add(struct ckpt_session *s, enum ckpt_pages_owner kind,
				      u64 owner)
{
	struct ckpt_pageset *set = kzalloc(sizeof(*set), GFP_KERNEL_ACCOUNT);

	if (!set)
		return NULL;
	INIT_LIST_HEAD(&set->holds);
	set->pages.owner_kind = kind;
	set->pages.owner = owner;
	list_add_tail(&set->node, &s->snapshot->sets);
	return set;
}

static struct ckpt_holds *last_holds(const struct ckpt_pageset *set)
{
	return list_empty(&set->holds) ? NULL :
	       list_last_entry(&set->holds, struct ckpt_holds, node);
}

/**
 * ckpt_pageset_reserve() - make room before a lock is taken
 * @set: the set
 * @nr: calls of ckpt_pageset_hold() that shall need no memory; up to 512
 *
 * Return: 0 or -ENOMEM.
 */
int ckpt_pageset_reserve(struct ckpt_pageset *set, unsigned int nr)
{
	struct ckpt_holds *holds = last_holds(set);

	if (holds && CKPT_HOLDS_ROOM - holds->nr >= nr)
		return 0;
	holds = kvmalloc(struct_size(holds, hold, CKPT_HOLDS_ROOM), GFP_KERNEL_ACCOUNT);
	if (!holds)
		return -ENOMEM;
	holds->nr = 0;
	list_add_tail(&holds->node, &set->holds);
	return 0;
}

/**
 * ckpt_pageset_hold() - add pages, with the caller's references
 * @set: the set, with room reserved
 * @addr: of the first; above all before it
 * @page: the first of @nr consecutive ones
 * @nr: how many
 * @flags: CKPT_HOLD_*
 *
 * Context: any.
 */
void ckpt_pageset_hold(struct ckpt_pageset *set, unsigned long addr, struct page *page,
		       unsigned int nr, unsigned int flags)
{
	struct ckpt_holds *holds = last_holds(set);
	struct ckpt_hold *last = holds->nr ? &holds->hold[holds->nr - 1] : NULL;

	if (last && !flags && !last->flags && last->nr + nr <= CKPT_HOLD_MAX &&
	    last->addr + last->nr * PAGE_SIZE == addr &&
	    page_to_pfn(last->page) + last->nr == page_to_pfn(page)) {
		last->nr += nr;
		return;
	}
	holds->hold[holds->nr++] = (struct ckpt_hold){
		.addr = addr, .page = page, .nr = nr, .flags = flags,
	};
}

static void put_hold(const struct ckpt_hold *hold)
{
	unsigned int i;

	put_page(hold->page);
	if (hold->flags & CKPT_HOLD_ONE_REF)
		return;
	for (i = 1; i < hold->nr; i++)
		put_page(hold->page + i);
}

/**
 * ckpt_snapshot_free() - let go of all pages
 * @s: the session; without a snapshot nothing happens
 *
 * Context: may sleep.
 */
void ckpt_snapshot_free(struct ckpt_session *s)
{
	struct ckpt_snapshot *snap = s->snapshot;
	struct ckpt_pageset *set, *next_set;
	struct ckpt_holds *holds, *next;
	unsigned int i;

	if (!snap)
		return;
	s->snapshot = NULL;
	list_for_each_entry_safe(set, next_set, &snap->sets, node) {
		list_for_each_entry_safe(holds, next, &set->holds, node) {
			for (i = 0; i < holds->nr; i++)
				put_hold(&holds->hold[i]);
			kvfree(holds);
			cond_resched();
		}
		kfree(set);
	}
	kfree(snap);
}
