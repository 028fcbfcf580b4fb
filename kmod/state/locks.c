// SPDX-License-Identifier: GPL-2.0
/*
 * Locks of fcntl(F_SETLK) and lockf(3) belong to a process, which loses those on a
 * file with any descriptor of it that is closed.  So they are taken when everything
 * that served the restart has been closed, which only the module sees.
 *
 * /proc/PID/fdinfo shows them: ckctl saves them.
 */
#include "locks.h"
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/ckpt.h>
#include "../compat/file.h"
#include "../report.h"
#include "../session.h"

/* The rule of fcntl(2): the file must be open for what is locked. */
static bool may_lock(const struct file *file, const struct ckpt_plan_lock *lock)
{
	return file->f_mode & (lock->exclusive ? FMODE_WRITE : FMODE_READ);
}

static int take(struct ckpt_session *s, const struct ckpt_plan_lock *lock)
{
	struct file_lock fl;
	struct file *file;
	int ret = -EBADF;

	if (lock->start < 0 || lock->end < lock->start || lock->exclusive > 1)
		return ckpt_fail(s, -EINVAL, CKPT_REASON_IMAGE, current,
				 "a file lock of the restart plan is not valid");
	file = fget(lock->fd);
	if (file && may_lock(file, lock)) {
		ckpt_posix_lock_init(&fl, file, lock->exclusive, lock->start, lock->end);
		ret = vfs_lock_file(file, F_SETLK, &fl, NULL);
	}
	if (ret == -EAGAIN || ret == -EACCES)
		ckpt_fail(s, ret, CKPT_REASON_BUSY, current,
			  "%pD, which it had locked, is locked by somebody else", file);
	else if (ret)
		ckpt_fail(s, ret, CKPT_REASON_IMAGE, current,
			  "descriptor %d, of a file that it had locked, cannot be locked (error %d)",
			  lock->fd, -ret);
	if (file)
		fput(file);
	return ret;
}

/**
 * ckpt_locks_take() - lock files for current
 * @s: the session
 * @locks: of the restart plan
 * @nr: how many
 *
 * Context: a task work of the only running thread of the process; may sleep.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_locks_take(struct ckpt_session *s, const struct ckpt_plan_lock *locks, u32 nr)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < nr && !ret; i++) {
		ret = take(s, &locks[i]);
		cond_resched();
	}
	return ret;
}
