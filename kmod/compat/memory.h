/* SPDX-License-Identifier: GPL-2.0 */
/* Memory management: what later kernels renamed.  Core code is written for 6.12. */
#ifndef CKPT_COMPAT_MEMORY_H
#define CKPT_COMPAT_MEMORY_H

#include <linux/fs.h>
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

/* Since 6.8 vfs_iter_write() keeps a freeze of the file system out by itself. */
static inline ssize_t ckpt_iter_write(struct file *file, struct iov_iter *iter, loff_t *pos)
{
	ssize_t n;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	if (S_ISREG(file_inode(file)->i_mode))
		file_start_write(file);
	n = vfs_iter_write(file, iter, pos, 0);
	if (S_ISREG(file_inode(file)->i_mode))
		file_end_write(file);
#else
	n = vfs_iter_write(file, iter, pos, 0);
#endif
	return n;
}

#endif
