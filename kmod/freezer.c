// SPDX-License-Identifier: GPL-2.0
#include "freezer.h"
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernfs.h>
#include <linux/magic.h>
#include <linux/sched/task.h>
#include <net/genetlink.h>
#include "report.h"
#include "session.h"
#include "sleepers.h"
#include "tasks.h"

/* How often to look whether the cgroup is frozen: there is no event in the kernel to wait for. */
#define CKPT_POLL_MIN_US	50
#define CKPT_POLL_MAX_US	100

/* In a mount namespace of their own, callers mount over it what they like. */
static bool is_own_file(const struct file *file, const struct file *dir)
{
	return file->f_path.mnt == dir->f_path.mnt &&
	       file->f_path.dentry->d_parent == dir->f_path.dentry;
}

/*
 * Opened with the kernel's credentials: permission was judged task by task,
 * and the file belongs to root wherever nothing is delegated.  So it is only
 * looked up at first: opening a device can do something, too.
 */
static struct file *open_control(struct file *dir)
{
	struct file *found, *file;
	const struct cred *old;
	struct cred *cred;

	cred = prepare_kernel_cred(&init_task);
	if (!cred)
		return ERR_PTR(-ENOMEM);
	old = override_creds(cred);
	found = file_open_root(&dir->f_path, "cgroup.freeze", O_PATH, 0);
	file = found;
	if (!IS_ERR(found)) {
		file = is_own_file(found, dir) ? dentry_open(&found->f_path, O_WRONLY, cred) :
						 ERR_PTR(-EXDEV);
		fput(found);
	}
	revert_creds(old);
	put_cred(cred);
	return file;
}

/*
 * The descriptor is looked up twice, by us and by cgroup_get_from_fd(): another
 * thread could have changed it in between, so compare.
 */
static bool same_cgroup(const struct file *dir, const struct cgroup *cgroup)
{
	const struct inode *inode = file_inode(dir);
	const struct kernfs_node *kn = inode->i_private;

	return inode->i_sb->s_magic == CGROUP2_SUPER_MAGIC && S_ISDIR(inode->i_mode) &&
	       kn && READ_ONCE(kn->priv) == cgroup;
}

/**
 * ckpt_freezer_open() - take hold of the cgroup that a request names
 * @s: a new session
 * @fd: directory of a v2 cgroup, open in current
 * @extack: why not
 *
 * Return: 0 or a negative errno.
 */
int ckpt_freezer_open(struct ckpt_session *s, int fd, struct netlink_ext_ack *extack)
{
	struct cgroup *cgroup;
	struct file *dir, *file;
	int ret;

	dir = fget(fd);
	if (!dir) {
		NL_SET_ERR_MSG(extack, "the cgroup's descriptor is not open");
		return -EBADF;
	}
	cgroup = cgroup_get_from_fd(fd);
	if (IS_ERR(cgroup) || !same_cgroup(dir, cgroup)) {
		NL_SET_ERR_MSG(extack, "not a directory of the cgroup v2 hierarchy");
		ret = IS_ERR(cgroup) ? PTR_ERR(cgroup) : -EBADF;
		goto err_cgroup;
	}
	ret = -EINVAL;
	if (!cgroup_parent(cgroup)) {
		NL_SET_ERR_MSG(extack, "the root cgroup cannot be frozen");
		goto err_cgroup;
	}
	/* Before the claim: that would keep those out for a moment who may. */
	ret = ckpt_tasks_allowed(s, cgroup, extack);
	if (ret)
		goto err_cgroup;
	ret = ckpt_session_claim(s, cgroup, extack);
	if (ret)
		goto err_cgroup;
	file = open_control(dir);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		if (ret == -EXDEV)
			NL_SET_ERR_MSG(extack, "something is mounted over this cgroup's freezer");
		else
			NL_SET_ERR_MSG(extack, "this cgroup has no freezer");
		goto err_dir;
	}
	s->freeze_file = file;
	s->frozen_at = ktime_get_ns();
	fput(dir);
	return 0;

err_cgroup:
	if (!IS_ERR(cgroup))
		cgroup_put(cgroup);
err_dir:
	fput(dir);
	return ret;
}

static int write_control(struct ckpt_session *s, const char *value)
{
	loff_t pos = 0;
	ssize_t n = kernel_write(s->freeze_file, value, 1, &pos);

	return n < 0 ? n : 0;
}

static bool is_frozen(const struct ckpt_session *s)
{
	return test_bit(CGRP_FROZEN, &s->cgroup->flags);
}

static int timed_out(struct ckpt_session *s)
{
	struct task_struct *t = ckpt_tasks_running(s);
	int ret;

	ret = ckpt_fail(s, -ETIMEDOUT, CKPT_REASON_TIMEOUT, t,
			"it could not be stopped within %u ms (%s); the job runs on", s->freeze_ms,
			t && (READ_ONCE(t->__state) & TASK_UNINTERRUPTIBLE) ?
			"it is in uninterruptible sleep" : "it never came to rest");
	if (t)
		put_task_struct(t);
	return ret;
}

/* Between two looks at what may take until @end. */
static int pause(struct ckpt_session *s, unsigned long end)
{
	if (ckpt_session_stopped(s))
		return -ECANCELED;
	if (time_after(jiffies, end))
		return timed_out(s);
	usleep_range(CKPT_POLL_MIN_US, CKPT_POLL_MAX_US);
	return 0;
}

/* Until all are frozen, and what is ending has ended, which does not count as not frozen. */
static int wait_frozen(struct ckpt_session *s)
{
	unsigned long end = jiffies + msecs_to_jiffies(s->freeze_ms);
	int ret;

	for (;;) {
		ret = is_frozen(s) ? ckpt_tasks_collect(s) : -EAGAIN;
		if (ret != -EAGAIN)
			return ret;
		ret = pause(s, end);
		if (ret)
			return ret;
	}
}

/* Off its CPU, and not woken: of a woken one nobody knows when it gets there. */
static bool is_at_rest(const struct task_struct *t)
{
	return (READ_ONCE(t->__state) & (TASK_NORMAL | __TASK_STOPPED | __TASK_TRACED)) &&
	       !smp_load_acquire(&t->on_cpu);
}

/*
 * A task counts as frozen a moment before it leaves its CPU: its registers and
 * the CPU's TLB are only ours after that.  Signals wake it, and so does a thaw
 * before the freeze; it goes to sleep again, and is frozen meanwhile.
 */
static int wait_at_rest(struct ckpt_session *s, struct task_struct *t, unsigned long end)
{
	int ret = 0;

	while (!ret && t->frozen && !is_at_rest(t))
		ret = pause(s, end);
	return ret;
}

/**
 * ckpt_freezer_check() - is everybody still frozen and off the CPU?
 * @s: the session
 *
 * Frozen is not a lock: a task can be killed, and whoever may write the
 * cgroup's control file can let it run.
 *
 * Context: may sleep, until all are off the CPU.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_freezer_check(struct ckpt_session *s)
{
	unsigned long end = jiffies + msecs_to_jiffies(s->freeze_ms);
	unsigned int i, j;
	int ret;

	for (i = 0; i < s->nr_procs; i++) {
		for (j = 0; j < s->procs[i].nr_threads; j++) {
			struct task_struct *t = s->procs[i].threads[j];

			ret = wait_at_rest(s, t, end);
			if (ret)
				return ret;
			if (t->flags & PF_EXITING)
				return ckpt_fail(s, -ESRCH, CKPT_REASON_VANISHED, t,
						 "it was killed during the checkpoint");
			if (!t->frozen)
				return ckpt_fail(s, -EAGAIN, CKPT_REASON_THAWED, t,
						 "it was let run by somebody else during the checkpoint");
		}
	}
	if (!is_frozen(s))
		return ckpt_fail(s, -EAGAIN, CKPT_REASON_THAWED, NULL,
				 "the job was let run by somebody else during the checkpoint");
	return 0;
}

/**
 * ckpt_freezer_freeze() - stop all tasks of the cgroup and list them
 * @s: the session
 *
 * Return: 0 with every task frozen and off its CPU, or a noted failure.
 */
int ckpt_freezer_freeze(struct ckpt_session *s)
{
	int ret = 0;

	ckpt_sleepers_watch(s);
	mutex_lock(&s->walk_lock);
	if (!ckpt_session_stopped(s)) {
		s->was_frozen = is_frozen(s);
		s->mended = false;
		ret = write_control(s, "1");
		s->froze = !ret;
	}
	mutex_unlock(&s->walk_lock);
	if (ret)
		return ckpt_fail(s, ret, CKPT_REASON_NONE, NULL,
				 "the cgroup refused to be frozen (error %d)", -ret);
	ret = wait_frozen(s);
	if (!ret && ckpt_tasks_allowed(s, s->cgroup, NULL))
		ret = ckpt_fail(s, -EPERM, CKPT_REASON_PERM, NULL,
				"a task of this job belongs to another user");
	if (!ret)
		ret = ckpt_freezer_check(s);
	if (!ret) {
		ckpt_sleepers_mend(s);
		s->mended = true;
		s->monotonic_ns = ktime_get_ns();
		s->boottime_ns = ktime_get_boottime_ns();
	}
	return ret;
}

/**
 * ckpt_freezer_thaw() - let the tasks run, once
 * @s: the session
 * @leave: end the stand-still on our side but leave the cgroup frozen
 *
 * Waits for a page walk to notice that it is over: between write-protecting
 * and the TLB's invalidation nobody may run.
 *
 * Context: may sleep; idempotent.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_freezer_thaw(struct ckpt_session *s, bool leave)
{
	int ret = 0;

	if (!s->freeze_file)
		return 0;
	mutex_lock(&s->walk_lock);
	if (s->froze) {
		/* Also when the freeze never came to its end. */
		if (!s->mended)
			ckpt_sleepers_mend(s);
		if (!leave)
			ret = write_control(s, "0");
		/* Who was refused is asked for once more when the session ends. */
		s->froze = ret;
		if (!ret)
			s->standstill_ns = ktime_get_ns() - s->frozen_at;
	}
	mutex_unlock(&s->walk_lock);
	if (ret)
		return ckpt_fail(s, ret, CKPT_REASON_NONE, NULL,
				 "the cgroup refused to be thawed (error %d)", -ret);
	return 0;
}
