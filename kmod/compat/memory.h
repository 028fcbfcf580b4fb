/* SPDX-License-Identifier: GPL-2.0 */
/* Memory management: what later kernels renamed.  Core code is written for 6.12. */
#ifndef CKPT_COMPAT_MEMORY_H
#define CKPT_COMPAT_MEMORY_H

#include <linux/gfp.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/rmap.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
/* One page, mapped by a PTE: may it be shared copy-on-write from now on? */
#define folio_try_share_anon_rmap_pte(folio, page)	page_try_share_anon_rmap(page)
/* The same for a huge page mapped by a PMD. */
#define folio_try_share_anon_rmap_pmd(folio, page)	page_try_share_anon_rmap(page)
#endif

/* Fault one page of a foreign address space in for reading; its mmap lock is held. */
static inline int ckpt_fault_in(struct mm_struct *mm, unsigned long addr)
{
	struct page *page;
	long n;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	n = get_user_pages_remote(mm, addr, 1, FOLL_FORCE, &page, NULL, NULL);
#else
	n = get_user_pages_remote(mm, addr, 1, FOLL_FORCE, &page, NULL);
#endif
	if (n == 1)
		put_page(page);
	return n < 0 ? n : n == 1 ? 0 : -EFAULT;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
#define alloc_pages_bulk_array(gfp, nr, pages)	alloc_pages_bulk(gfp, nr, pages)
#endif

/* Allocate up to @nr pages for user space, contents undefined.  Return: how many. */
static inline unsigned long ckpt_alloc_pages(unsigned long nr, struct page **pages)
{
	unsigned long n = 0;

	memset(pages, 0, nr * sizeof(*pages));
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 13, 0)
	n = alloc_pages_bulk_array(GFP_HIGHUSER_MOVABLE, nr, pages);
#endif
	for (; n < nr; n++) {
		pages[n] = alloc_page(GFP_HIGHUSER_MOVABLE);
		if (!pages[n])
			break;
	}
	return n;
}

/*
 * Can pages be put where there are none?  What does that comes with a kernel for
 * device memory, as distributions' kernels are.
 */
#if IS_ENABLED(CONFIG_DEVICE_MIGRATION) || \
	(LINUX_VERSION_CODE < KERNEL_VERSION(6, 0, 0) && IS_ENABLED(CONFIG_DEVICE_PRIVATE))
#define CKPT_CAN_INSTALL	true
#else
#define CKPT_CAN_INSTALL	false
#define migrate_vma_setup(m)	(-EOPNOTSUPP)
#define migrate_vma_pages(m)	((void)(m))
#define migrate_vma_finalize(m)	((void)(m))
#endif

/* What migrate_vma_pages() takes for a locked page. */
static inline unsigned long ckpt_migrate_pfn(struct page *page)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 17, 0)
	return migrate_pfn(page_to_pfn(page)) | MIGRATE_PFN_LOCKED;
#else
	return migrate_pfn(page_to_pfn(page));
#endif
}

#endif
