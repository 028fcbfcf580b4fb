// SPDX-License-Identifier: GPL-2.0
#include "snapshot.h"
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include "arch/x86/tlb.h"
#include "compat/mapping.h"
#include "compat/memory.h"
#include "freezer.h"
#include "report.h"
#include "session.h"
#include "shm.h"

/**
 * struct walk - one address space being walked
 * @s: the session
 * @mm: its lock is held for reading
 * @set: where the pages go
 * @to_copy: holds at the set's end that are marked CKPT_HOLD_COPY
 */
struct walk {
	struct ckpt_session *s;
	struct mm_struct *mm;
	struct ckpt_pageset *set;
	unsigned int to_copy;
};

/*
 * May this page be held copy-on-write?  Not when anybody could write into it
 * behind the page tables' back: a pinned page (RDMA, registered buffers), or
 * one with references that no mapping explains (direct I/O under way).
 */
static bool share_pte(struct walk *w, unsigned long addr, pte_t *ptep, pte_t pte, struct page *page)
{
	bool exclusive = PageAnonExclusive(page);

	if (!PageCompound(page) &&
	    page_count(page) != atomic_read(&page->_mapcount) + 1 + folio_test_swapcache(page_folio(page)))
		return false;
	if (exclusive && folio_try_share_anon_rmap_pte(page_folio(page), page))
		return false;
	if (pte_write(pte))
		ptep_set_wrprotect(w->mm, addr, ptep);
	return true;
}

static void count_held(struct walk *w, unsigned int nr, bool shared)
{
	w->s->snapshot->nr_pages += nr;
	if (shared)
		w->s->snapshot->nr_shared += nr;
	else
		w->to_copy += nr;
}

/* Under the page table's lock: -EAGAIN when the page must be faulted in first. */
static int take_pte(struct walk *w, unsigned long addr, pte_t *ptep)
{
	pte_t pte = *ptep;
	struct page *page;
	bool shared;

	if (pte_none(pte))
		return 0;
	if (!pte_present(pte))
		return -EAGAIN;
	if (pte_special(pte))		/* the zero page */
		return 0;
	page = pte_page(pte);
	if (!PageAnon(page))
		return 0;
	shared = w->s->mode == CKPT_MODE_HELD || share_pte(w, addr, ptep, pte, page);
	get_page(page);
	ckpt_pageset_hold(w->set, addr, page, 1, shared ? 0 : CKPT_HOLD_COPY);
	count_held(w, 1, shared);
	return 0;
}

/*
 * pte_offset_map_lock() is out of line and not exported since 6.5; for private
 * memory under the mmap lock, a page table does not go away under its lock.
 */
static int take_table(struct walk *w, pmd_t *pmdp, unsigned long *addr, unsigned long end)
{
	spinlock_t *ptl = pte_lockptr(w->mm, pmdp);
	pmd_t pmd;
	pte_t *ptep;
	int ret = 0;

	spin_lock(ptl);
	pmd = READ_ONCE(*pmdp);
	if (pmd_none(pmd) || pmd_leaf(pmd) || !pmd_present(pmd)) {
		ret = pmd_none(pmd) ? 0 : -ERESTART;
		goto out;
	}
	for (ptep = pte_offset_kernel(pmdp, *addr); *addr < end; ptep++, *addr += PAGE_SIZE) {
		ret = take_pte(w, *addr, ptep);
		if (ret)
			break;
	}
out:
	spin_unlock(ptl);
	return ret;
}

/* A huge page, or the part of it that lies in [addr, end). */
static int take_huge(struct walk *w, pmd_t *pmdp, unsigned long addr, unsigned long end)
{
	unsigned int nr = (end - addr) >> PAGE_SHIFT, i;
	spinlock_t *ptl = pmd_lockptr(w->mm, pmdp);
	bool shared = true;
	struct page *page;
	pmd_t pmd;
	int ret = 0;

	spin_lock(ptl);
	pmd = READ_ONCE(*pmdp);
	if (!pmd_trans_huge(pmd) || !pmd_present(pmd)) {
		ret = -ERESTART;
		goto out;
	}
	page = pmd_page(pmd);
	if (!PageAnon(page))		/* the huge zero page */
		goto out;
	if (w->s->mode == CKPT_MODE_COW) {
		if (PageAnonExclusive(page))
			shared = !folio_try_share_anon_rmap_pmd(page_folio(page), page);
		if (shared && pmd_write(pmd))
			pmdp_set_wrprotect(w->mm, addr & HPAGE_PMD_MASK, pmdp);
	}
	page += (addr & ~HPAGE_PMD_MASK) >> PAGE_SHIFT;
	if (shared) {
		get_page(page);
		ckpt_pageset_hold(w->set, addr, page, nr, CKPT_HOLD_ONE_REF);
	} else {
		for (i = 0; i < nr; i++) {
			get_page(page + i);
			ckpt_pageset_hold(w->set, addr + i * PAGE_SIZE, page + i, 1, CKPT_HOLD_COPY);
		}
	}
	count_held(w, nr, shared);
out:
	spin_unlock(ptl);
	return ret;
}

/* Replace what could not be shared by copies, outside of the page table's lock. */
static int copy_holds(struct walk *w)
{
	struct ckpt_holds *holds;
	unsigned int i;

	list_for_each_entry_reverse(holds, &w->set->holds, node) {
		for (i = holds->nr; w->to_copy && i-- > 0;) {
			struct ckpt_hold *hold = &holds->hold[i];
			struct page *copy;

			if (!(hold->flags & CKPT_HOLD_COPY))
				continue;
			copy = alloc_page(GFP_HIGHUSER | __GFP_ACCOUNT);
			if (!copy)
				return ckpt_fail(w->s, -ENOMEM, CKPT_REASON_NOMEM, NULL,
						 "no memory for copies of pinned pages");
			copy_highpage(copy, hold->page);
			put_page(hold->page);
			hold->page = copy;
			hold->flags = 0;
			w->to_copy--;
			w->s->snapshot->nr_copied++;
		}
		if (!w->to_copy)
			break;
	}
	return 0;
}

/* One PMD's range [addr, end). */
static int take_pmd(struct walk *w, pmd_t *pmdp, unsigned long addr, unsigned long end)
{
	int ret = 0;

	while (addr < end) {
		pmd_t pmd = READ_ONCE(*pmdp);

		if (pmd_none(pmd))
			return 0;
		if (ckpt_session_stopped(w->s))
			return -ECANCELED;
		if (ckpt_pageset_reserve(w->set, PTRS_PER_PTE))
			return ckpt_fail(w->s, -ENOMEM, CKPT_REASON_NOMEM, NULL,
					 "no memory for the list of pages");
		if (!pmd_present(pmd)) {
			ret = -EAGAIN;
		} else if (pmd_trans_huge(pmd)) {
			ret = take_huge(w, pmdp, addr, end);
			if (!ret)
				addr = end;
		} else if (pmd_leaf(pmd)) {	/* of a file on memory of its own, DAX */
			return 0;
		} else {
			ret = take_table(w, pmdp, &addr, end);
			if (!ret)
				addr = end;
		}
		if (ret == -EAGAIN)	/* swapped out, or being migrated */
			ret = ckpt_fault_in(w->mm, addr);
		else if (ret == -ERESTART)
			ret = 0;
		if (ret)
			return ckpt_fail(w->s, ret, CKPT_REASON_IO, NULL,
					 "memory at 0x%lx cannot be read in (error %d)", addr, -ret);
		ret = copy_holds(w);
		if (ret)
			return ret;
		cond_resched();
	}
	return 0;
}

static int take_vma(struct walk *w, struct vm_area_struct *vma)
{
	unsigned long addr = vma->vm_start, next;
	int ret = 0;

	for (; addr < vma->vm_end && !ret; addr = next) {
		pgd_t *pgd = pgd_offset(w->mm, addr);
		p4d_t *p4d;
		pud_t *pud;

		next = pgd_addr_end(addr, vma->vm_end);
		if (pgd_none(*pgd))
			continue;
		p4d = p4d_offset(pgd, addr);
		next = p4d_addr_end(addr, vma->vm_end);
		if (p4d_none(*p4d))
			continue;
		pud = pud_offset(p4d, addr);
		next = pud_addr_end(addr, vma->vm_end);
		if (pud_none(*pud) || pud_leaf(*pud))
			continue;
		next = pmd_addr_end(addr, vma->vm_end);
		ret = take_pmd(w, pmd_offset(pud, addr), addr, next);
	}
	return ret;
}

/*
 * Only memory that holds anonymous pages: the rest is in files or the kernel's.
 * What the kernel may drop at any time is not saved either: it is where the
 * random numbers of the vDSO come from, which must not come a second time.
 */
static bool wanted(const struct vm_area_struct *vma)
{
	return vma->anon_vma && !(vma->vm_flags & (VM_SHARED | VM_PFNMAP | VM_IO | VM_HUGETLB | VM_DROPPABLE));
}

static int take_mm(struct ckpt_session *s, struct ckpt_process *p)
{
	struct walk w = { .s = s, .mm = p->mm };
	struct vm_area_struct *vma;
	int ret = 0;

	w.set = ckpt_pageset_add(s, CKPT_PAGES_MM, p->pid);
	if (!w.set)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for the list of pages");
	mmap_read_lock(p->mm);
	for (vma = find_vma(p->mm, 0); vma && !ret; vma = find_vma(p->mm, vma->vm_end))
		if (wanted(vma))
			ret = take_vma(&w, vma);
	mmap_read_unlock(p->mm);
	ckpt_tlb_outdate(p->mm);
	return ret;
}

/*
 * Somebody let the job run while its pages were being write-protected: CPUs
 * that run it did not look at the TLB's generation.  Two generations behind,
 * unmapping anything makes the kernel flush them completely.
 */
static void flush_running(struct ckpt_session *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_procs; i++) {
		struct mm_struct *mm = s->procs[i].mm;
		unsigned long addr;

		if (!mm || s->procs[i].omitted)
			continue;
		ckpt_tlb_outdate(mm);
		kthread_use_mm(mm);
		addr = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, 0);
		if (!IS_ERR_VALUE(addr)) {
			if (put_user(0, (char __user *)addr))
				pr_debug("ckpt: a page for flushing was not mapped\n");
			vm_munmap(addr, PAGE_SIZE);
		}
		kthread_unuse_mm(mm);
	}
}

static int take_private(struct ckpt_session *s)
{
	unsigned int i;
	int ret;

	ret = ckpt_freezer_check(s);
	for (i = 0; i < s->nr_procs && !ret; i++)
		if (!s->procs[i].omitted)
			ret = take_mm(s, &s->procs[i]);
	if (!ret)
		ret = ckpt_freezer_check(s);
	if (ret && s->mode == CKPT_MODE_COW)
		flush_running(s);
	return ret;
}

/**
 * ckpt_snapshot_take() - hold all pages of the job as they are now
 * @s: the session, frozen and proved, shared objects listed
 *
 * In copy-on-write mode every private page that can be shared is made so: a
 * later write of the job copies it, our reference keeps what it was.  A thaw
 * waits until this is complete.  It does not wait for shared memory: that can be
 * a file's, and reading it take for ever, of a file system in user space, say,
 * whose server is in the job.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_snapshot_take(struct ckpt_session *s)
{
	int ret;

	s->snapshot = kzalloc(sizeof(*s->snapshot), GFP_KERNEL_ACCOUNT);
	if (!s->snapshot)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for a snapshot");
	INIT_LIST_HEAD(&s->snapshot->sets);
	mutex_lock(&s->walk_lock);
	ret = ckpt_session_stopped(s) || !s->froze ? -ECANCELED : take_private(s);
	mutex_unlock(&s->walk_lock);
	if (!ret)
		ret = ckpt_shm_take(s);
	return ret ?: ckpt_freezer_check(s);
}
