// SPDX-License-Identifier: GPL-2.0
#include "window.h"
#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/huge_mm.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include "compat/mapping.h"
#include "compat/memory.h"

/* The mapping at @addr, if its memory is the process's own to be written to. */
static struct vm_area_struct *find_private(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	lockdep_assert_held(&mm->mmap_lock);
	if (!vma || vma->vm_start > addr ||
	    vma->vm_flags & (VM_SHARED | VM_MAYSHARE | VM_IO | VM_PFNMAP | VM_HUGETLB))
		return NULL;
	return vma;
}

/* Up to @nr pages that are the process's own. */
static long add_pinned(struct ckpt_window *w, unsigned long addr, unsigned long nr)
{
	long n = ckpt_pin_pages(w->mm, addr, nr, w->page + w->nr), i;

	for (i = 0; i < n; i++)
		w->addr[w->nr++] = addr + i * PAGE_SIZE;
	return n;
}

static long add_fresh(struct ckpt_window *w, unsigned long addr, unsigned long nr)
{
	unsigned long n = ckpt_alloc_pages(nr, w->page + w->nr), i;

	for (i = 0; i < n; i++) {
		__set_bit(w->nr, w->fresh);
		w->addr[w->nr++] = addr + i * PAGE_SIZE;
	}
	return n ?: -ENOMEM;
}

/*
 * Where the kernel may give a huge page, touch the first one and see.  Locked
 * memory was faulted in when it was mapped.
 */
static long add_anonymous(struct ckpt_window *w, const struct vm_area_struct *vma,
			  unsigned long addr, unsigned long nr)
{
	unsigned long start = addr & HPAGE_PMD_MASK, end = start + HPAGE_PMD_SIZE;
	long n;

	if (!CKPT_CAN_INSTALL || vma->vm_flags & VM_LOCKED)
		return add_pinned(w, addr, nr);
	if (addr < w->huge_end)
		return add_pinned(w, addr, min(nr, (w->huge_end - addr) >> PAGE_SHIFT));
	if (vma->vm_flags & VM_NOHUGEPAGE || start < vma->vm_start || end > vma->vm_end)
		return add_fresh(w, addr, nr);
	if (addr != start)
		return add_fresh(w, addr, min(nr, (end - addr) >> PAGE_SHIFT));
	n = add_pinned(w, addr, 1);
	if (n == 1 && PageTransCompound(w->page[w->nr - 1]))
		w->huge_end = end;
	return n;
}

/**
 * ckpt_window_zero() - how many pages are zeros as they are?
 * @w: the window
 * @addr: of the first
 * @nr: at most; no further than to the end of the mapping
 *
 * Context: may sleep.
 *
 * Return: how many; 0 where the mapping shows a file; -EFAULT where there is no
 * private memory, -EINTR.
 */
long ckpt_window_zero(struct ckpt_window *w, unsigned long addr, unsigned long nr)
{
	struct vm_area_struct *vma;
	long ret = -EFAULT;

	if (mmap_read_lock_killable(w->mm))
		return -EINTR;
	vma = find_private(w->mm, addr);
	if (vma)
		ret = vma_is_anonymous(vma) ? min(nr, (vma->vm_end - addr) >> PAGE_SHIFT) : 0;
	mmap_read_unlock(w->mm);
	return ret;
}

/**
 * ckpt_window_add() - add consecutive pages
 * @w: the window, with room
 * @addr: of the first
 * @nr: at most; no further than to the end of the mapping, nor than there is room
 *
 * Context: may sleep.
 *
 * Return: how many; -EFAULT where there is no private memory, -ENOMEM, -EINTR.
 */
long ckpt_window_add(struct ckpt_window *w, unsigned long addr, unsigned long nr)
{
	struct vm_area_struct *vma;
	long ret = -EFAULT;

	if (mmap_read_lock_killable(w->mm))
		return -EINTR;
	vma = find_private(w->mm, addr);
	if (vma) {
		nr = min3(nr, (vma->vm_end - addr) >> PAGE_SHIFT,
			  (unsigned long)CKPT_WINDOW_PAGES - w->nr);
		ret = vma_is_anonymous(vma) ? add_anonymous(w, vma, addr, nr) :
					      add_pinned(w, addr, nr);
	}
	mmap_read_unlock(w->mm);
	return ret;
}

/**
 * ckpt_window_bvecs() - the window as pieces of physical memory
 * @w: the window
 * @bvecs: room for CKPT_WINDOW_PAGES
 *
 * Return: how many pieces: pages of a huge page lie side by side.
 */
unsigned int ckpt_window_bvecs(const struct ckpt_window *w, struct bio_vec *bvecs)
{
	struct bio_vec *last = NULL;
	unsigned int i, nr = 0;

	for (i = 0; i < w->nr; i++) {
		if (last && page_to_pfn(last->bv_page) + (last->bv_len >> PAGE_SHIFT) ==
			    page_to_pfn(w->page[i])) {
			last->bv_len += PAGE_SIZE;
			continue;
		}
		last = &bvecs[nr++];
		last->bv_page = w->page[i];
		last->bv_len = PAGE_SIZE;
		last->bv_offset = 0;
	}
	return nr;
}

/*
 * Put the fresh pages [first, end), whose addresses are consecutive, where nothing
 * is: migrate_vma_*() also move pages from nowhere.
 */
static int install_fresh(struct ckpt_window *w, struct vm_area_struct *vma,
			 unsigned int first, unsigned int end)
{
	struct migrate_vma m = {
		.vma = vma,
		.src = w->src,
		.dst = w->dst,
		.start = w->addr[first],
		.end = w->addr[end - 1] + PAGE_SIZE,
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	unsigned int i, nr = end - first;
	int ret;

	ret = migrate_vma_setup(&m);
	if (ret)
		return ret;
	for (i = 0; i < nr; i++) {
		struct page *page = w->page[first + i];

		/* Something is there already. */
		if (w->src[i] != MIGRATE_PFN_MIGRATE)
			continue;
		lock_page(page);
		SetPageDirty(page);
		w->dst[i] = ckpt_migrate_pfn(page);
		w->page[first + i] = NULL;
	}
	migrate_vma_pages(&m);
	for (i = 0; i < nr; i++)
		if (w->dst[i] && !(w->src[i] & MIGRATE_PFN_MIGRATE))
			ret = -ENOMEM;
	migrate_vma_finalize(&m);
	return ret;
}

/* What was there before gets the contents of the pages that could not take its place. */
static int copy_fresh(struct ckpt_window *w, unsigned int first, unsigned int end)
{
	struct page *page;
	unsigned int i;
	long n;

	for (i = first; i < end; i++) {
		if (!w->page[i])
			continue;
		n = ckpt_pin_pages(w->mm, w->addr[i], 1, &page);
		if (n != 1)
			return n ?: -ENOMEM;
		copy_highpage(page, w->page[i]);
		unpin_user_pages_dirty_lock(&page, 1, true);
	}
	return 0;
}

/* One piece of consecutive fresh pages from @first on; sets *end. */
static int install_piece(struct ckpt_window *w, unsigned int first, unsigned int *end)
{
	unsigned int last = first + 1;
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	while (last < w->nr && test_bit(last, w->fresh) &&
	       w->addr[last] == w->addr[last - 1] + PAGE_SIZE)
		last++;
	mmap_read_lock(w->mm);
	vma = find_private(w->mm, w->addr[first]);
	if (vma) {
		last = min_t(unsigned long, last,
			     first + ((vma->vm_end - w->addr[first]) >> PAGE_SHIFT));
		ret = install_fresh(w, vma, first, last) ?: copy_fresh(w, first, last);
	}
	mmap_read_unlock(w->mm);
	*end = last;
	return ret;
}

/**
 * ckpt_window_install() - the pages have been filled: give them to the process
 * @w: the window, empty afterwards
 *
 * Context: may sleep.
 *
 * Return: 0, or -ENOMEM when the process may have no more memory, or another
 * errno when the memory is not there any more.
 */
int ckpt_window_install(struct ckpt_window *w)
{
	unsigned int i = 0;
	int ret = 0;

	while (i < w->nr && !ret) {
		if (test_bit(i, w->fresh))
			ret = install_piece(w, i, &i);
		else
			i++;
	}
	ckpt_window_drop(w);
	return ret;
}

/**
 * ckpt_window_drop() - let go of all pages
 * @w: the window, empty afterwards
 */
void ckpt_window_drop(struct ckpt_window *w)
{
	unsigned int i, next;

	for (i = 0; i < w->nr; i = next) {
		next = find_next_bit(w->fresh, w->nr, i);
		if (next > i) {
			unpin_user_pages_dirty_lock(w->page + i, next - i, true);
			continue;
		}
		if (w->page[i])
			__free_page(w->page[i]);
		next = i + 1;
	}
	bitmap_zero(w->fresh, CKPT_WINDOW_PAGES);
	w->nr = 0;
}
