/* SPDX-License-Identifier: GPL-2.0 */
/* Writing to files: what later kernels changed.  Core code is written for 6.12. */
#ifndef CKPT_COMPAT_FILE_H
#define CKPT_COMPAT_FILE_H

#include <linux/fs.h>
#include <linux/uio.h>
#include <linux/version.h>

#ifndef ITER_DEST			/* since 6.2 */
#define ITER_DEST		READ
#define ITER_SOURCE		WRITE
#endif

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

/* Arguments of kiocb.ki_complete that went away in 5.16. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 16, 0)
#define CKPT_KIOCB_RESULT2	, long result2
#define CKPT_KIOCB_ZERO2	, 0
#else
#define CKPT_KIOCB_RESULT2
#define CKPT_KIOCB_ZERO2
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
