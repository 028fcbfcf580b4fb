/* SPDX-License-Identifier: GPL-2.0 */
/* Mappings and their files: what later kernels renamed. */
#ifndef CKPT_COMPAT_MAPPING_H
#define CKPT_COMPAT_MAPPING_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/version.h>

#ifndef VM_SEALED			/* mseal(2), since 6.10 */
#define VM_SEALED		VM_NONE
#endif
#ifndef VM_DROPPABLE			/* MAP_DROPPABLE, since 6.11 */
#define VM_DROPPABLE		VM_NONE
#endif
#ifndef VM_SHADOW_STACK			/* since 6.6 */
#define VM_SHADOW_STACK		VM_NONE
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	lockdep_assert_held_write(&vma->vm_mm->mmap_lock);
	vma->vm_flags |= flags;
}
#endif

/* The path that the user gave: overlayfs maps a file of a lower layer, since 6.8 openly. */
static inline const struct path *ckpt_user_path(const struct file *file)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	return &file->f_path;
#else
	return file_user_path((struct file *)file);
#endif
}

/*
 * Pin up to @nr pages of the private memory of @mm for writing, whatever the
 * mapping's protection; its mmap lock is held.
 */
static inline long ckpt_pin_pages(struct mm_struct *mm, unsigned long addr, unsigned long nr,
				  struct page **pages)
{
	unsigned int flags = FOLL_WRITE | FOLL_FORCE;

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return pin_user_pages_remote(mm, addr, nr, flags, pages, NULL, NULL);
#else
	return pin_user_pages_remote(mm, addr, nr, flags, pages, NULL);
#endif
}

/*
 * Exchange the program file of current; the reference on @file becomes the
 * mm's.  A running program cannot be written to, so the write counts go along.
 */
static inline int ckpt_exe_file_replace(struct file *file)
{
	struct mm_struct *mm = current->mm;
	struct file *old;
	int ret;

	ret = deny_write_access(file);
	if (ret)
		return ret;
	mmap_write_lock(mm);
	old = rcu_dereference_protected(mm->exe_file, lockdep_is_held(&mm->mmap_lock));
	rcu_assign_pointer(mm->exe_file, file);
	mmap_write_unlock(mm);
	if (old) {
		allow_write_access(old);
		fput(old);
	}
	return 0;
}

#endif
