/* SPDX-License-Identifier: GPL-2.0 */
/* Writing to files: what later kernels changed.  Core code is written for 6.12. */
#ifndef CKPT_COMPAT_FILE_H
#define CKPT_COMPAT_FILE_H

#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/uio.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#include <linux/filelock.h>
#endif

#ifndef ITER_DEST			/* since 6.2 */
#define ITER_DEST		READ
#define ITER_SOURCE		WRITE
#endif

/* A lock of current on bytes @start to @end, as fcntl(F_SETLK). */
static inline void ckpt_posix_lock_init(struct file_lock *fl, struct file *file, bool exclusive,
					loff_t start, loff_t end)
{
	locks_init_lock(fl);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
	fl->fl_file = file;
	fl->fl_owner = current->files;
	fl->fl_pid = current->tgid;
	fl->fl_flags = FL_POSIX;
	fl->fl_type = exclusive ? F_WRLCK : F_RDLCK;
#else
	fl->c.flc_file = file;
	fl->c.flc_owner = current->files;
	fl->c.flc_pid = current->tgid;
	fl->c.flc_flags = FL_POSIX;
	fl->c.flc_type = exclusive ? F_WRLCK : F_RDLCK;
#endif
	fl->fl_start = start;
	fl->fl_end = end;
}

/* Take a reference unless the last one has gone. */
static inline bool ckpt_file_get_live(struct file *file)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return atomic_long_inc_not_zero(&file->f_count);
#else
	return file_ref_get(&file->f_ref);
#endif
}

/*
 * Keep a freeze of the file system out until the write is over, whoever ends it.
 * Stable kernels have kiocb_start_write() at different versions.
 */
static inline void ckpt_kiocb_start(struct kiocb *iocb)
{
	struct super_block *sb = file_inode(iocb->ki_filp)->i_sb;

	sb_start_write(sb);
	__sb_writers_release(sb, SB_FREEZE_WRITE);
}

static inline void ckpt_kiocb_end(struct kiocb *iocb)
{
	struct super_block *sb = file_inode(iocb->ki_filp)->i_sb;

	__sb_writers_acquired(sb, SB_FREEZE_WRITE);
	sb_end_write(sb);
}

/* The head of a kiocb.ki_complete, which had one more argument before 5.16. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 16, 0)
#define CKPT_KIOCB_COMPLETE(name) \
	void name(struct kiocb *iocb, long result, long unused)
#else
#define CKPT_KIOCB_COMPLETE(name) \
	void name(struct kiocb *iocb, long result)
#endif

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
