// SPDX-License-Identifier: GPL-2.0
#include "tasks.h"
#include <linux/cgroup.h>
#include <linux/pid_namespace.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sort.h>
#include <net/genetlink.h>
#include "access.h"
#include "report.h"
#include "session.h"

/* The FROZEN event names all processes in one attribute. */
#define CKPT_MAX_PROCESSES	1536

/**
 * ckpt_task_in() - is a task in a cgroup or below it?
 * @t: the task
 * @cgroup: of the v2 hierarchy
 *
 * Context: RCU read lock held.
 *
 * Return: true or false.
 */
bool ckpt_task_in(struct task_struct *t, struct cgroup *cgroup)
{
	return cgroup_is_descendant(task_dfl_cgroup(t), cgroup);
}

/**
 * ckpt_tasks_allowed() - may the owner stop all tasks of the cgroup?
 * @s: the session
 * @extack: why not; NULL when the session's failure is to say it
 *
 * Return: 0, -EPERM for somebody else's task, -ESRCH for an empty cgroup,
 * -EINVAL when the owner itself is in it.
 */
int ckpt_tasks_allowed(struct ckpt_session *s, struct netlink_ext_ack *extack)
{
	struct task_struct *p, *t;
	unsigned int nr = 0;
	int ret = 0;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		if (!ckpt_task_in(t, s->cgroup) || (t->flags & PF_EXITING))
			continue;
		nr++;
		if (!ckpt_access_owns(s, t))
			ret = -EPERM;
		else if (task_tgid(t) == s->owner && !ret)
			ret = -EINVAL;
	}
	rcu_read_unlock();
	if (!nr)
		ret = -ESRCH;
	if (ret == -EPERM)
		NL_SET_ERR_MSG(extack, "not permitted: a task of this job belongs to another user");
	else if (ret == -EINVAL)
		NL_SET_ERR_MSG(extack, "the tool itself runs inside this cgroup: start it outside of it");
	else if (ret)
		NL_SET_ERR_MSG(extack, "no task runs in this cgroup");
	return ret;
}

static int cmp_pid(const void *a, const void *b)
{
	const struct ckpt_process *pa = a, *pb = b;

	return pa->pid - pb->pid;
}

/* Under RCU: count the processes that have a task in the cgroup. */
static unsigned int count_processes(struct ckpt_session *s)
{
	struct task_struct *p;
	unsigned int nr = 0;

	for_each_process(p)
		nr += ckpt_task_in(p, s->cgroup);
	return nr;
}

/* Under RCU: take up to @room processes, with a reference on each leader. */
static unsigned int take_processes(struct ckpt_session *s, struct ckpt_process *procs,
				   unsigned int room)
{
	struct task_struct *p;
	unsigned int nr = 0;

	for_each_process(p) {
		if (!ckpt_task_in(p, s->cgroup))
			continue;
		if (nr < room) {
			procs[nr].leader = get_task_struct(p);
			procs[nr].pid = task_tgid_nr_ns(p, s->pid_ns);
		}
		nr++;
	}
	return nr;
}

static int collect_threads(struct ckpt_session *s, struct ckpt_process *p)
{
	unsigned int room = get_nr_threads(p->leader), nr = 0;
	struct task_struct *t;
	bool split = false;

	if (!room || room > CKPT_MAX_THREADS)
		return -EAGAIN;
	p->threads = kvcalloc(room, sizeof(*p->threads), GFP_KERNEL_ACCOUNT);
	if (!p->threads)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for the task list");
	rcu_read_lock();
	for_each_thread(p->leader, t) {
		split |= !ckpt_task_in(t, s->cgroup);
		if (nr < room)
			p->threads[nr] = get_task_struct(t);
		nr++;
	}
	rcu_read_unlock();
	p->nr_threads = min(nr, room);
	if (split)
		return ckpt_fail(s, -EOPNOTSUPP, CKPT_REASON_UNSUPPORTED, p->leader,
				 "its threads are in different cgroups");
	return nr == room ? 0 : -EAGAIN;
}

/**
 * ckpt_tasks_collect() - list the frozen processes and threads
 * @s: the session, cgroup frozen
 *
 * Return: 0, -EAGAIN when the list changed under us, or a noted failure.
 */
int ckpt_tasks_collect(struct ckpt_session *s)
{
	unsigned int room, nr, i;
	int ret;

	ckpt_tasks_release(s);
	rcu_read_lock();
	room = count_processes(s);
	rcu_read_unlock();
	if (!room)
		return ckpt_fail(s, -ESRCH, CKPT_REASON_EMPTY, NULL, "the job has ended");
	if (room > CKPT_MAX_PROCESSES)
		return ckpt_fail(s, -E2BIG, CKPT_REASON_UNSUPPORTED, NULL,
				 "the job has %u processes on this node, more than %u",
				 room, CKPT_MAX_PROCESSES);
	s->procs = kvcalloc(room, sizeof(*s->procs), GFP_KERNEL_ACCOUNT);
	if (!s->procs)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for the task list");
	rcu_read_lock();
	nr = take_processes(s, s->procs, room);
	rcu_read_unlock();
	s->nr_procs = min(nr, room);
	if (nr != room)
		return -EAGAIN;
	sort(s->procs, nr, sizeof(*s->procs), cmp_pid, NULL);
	for (i = 0; i < nr; i++) {
		if (!s->procs[i].pid)
			return ckpt_fail(s, -EPERM, CKPT_REASON_PERM, NULL,
					 "a process of the job is outside of the caller's pid namespace");
		ret = collect_threads(s, &s->procs[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * ckpt_tasks_running() - find a task that is not frozen
 * @s: the session
 *
 * Return: one with a reference, or NULL when all are frozen.
 */
struct task_struct *ckpt_tasks_running(struct ckpt_session *s)
{
	struct task_struct *p, *t, *found = NULL;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		if (!ckpt_task_in(t, s->cgroup) || (t->flags & PF_EXITING) || t->frozen)
			continue;
		found = get_task_struct(t);
		goto out;
	}
out:
	rcu_read_unlock();
	return found;
}

static bool shares_mm(struct ckpt_session *s, struct mm_struct *mm)
{
	unsigned int i;

	for (i = 0; i < s->nr_procs; i++)
		if (READ_ONCE(s->procs[i].leader->mm) == mm)
			return true;
	return false;
}

/**
 * ckpt_tasks_outsiders() - refuse when a task outside runs in a frozen mm
 * @s: the session, processes collected
 *
 * Sharing pages copy-on-write needs that no CPU uses the address space: a vfork
 * child moved elsewhere, or a kernel thread that has borrowed it, would.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_tasks_outsiders(struct ckpt_session *s)
{
	struct task_struct *p, *t, *found = NULL;
	int ret;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		struct mm_struct *mm = READ_ONCE(t->mm);

		if (mm && !ckpt_task_in(t, s->cgroup) && shares_mm(s, mm)) {
			found = get_task_struct(t);
			goto out;
		}
	}
out:
	rcu_read_unlock();
	if (!found)
		return 0;
	ret = ckpt_fail(s, -EOPNOTSUPP, CKPT_REASON_UNSUPPORTED, found,
			"it is outside of the job but shares memory with it");
	put_task_struct(found);
	return ret;
}

/**
 * ckpt_tasks_release_mms() - let go of the address spaces
 * @s: the session
 *
 * Context: may sleep.
 */
void ckpt_tasks_release_mms(struct ckpt_session *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_procs; i++) {
		if (s->procs[i].mm)
			mmput(s->procs[i].mm);
		s->procs[i].mm = NULL;
	}
}

/**
 * ckpt_tasks_release() - forget the processes
 * @s: the session
 *
 * Context: may sleep.
 */
void ckpt_tasks_release(struct ckpt_session *s)
{
	unsigned int i, j;

	ckpt_tasks_release_mms(s);
	for (i = 0; i < s->nr_procs; i++) {
		struct ckpt_process *p = &s->procs[i];

		for (j = 0; j < p->nr_threads; j++)
			put_task_struct(p->threads[j]);
		kvfree(p->threads);
		put_task_struct(p->leader);
	}
	kvfree(s->procs);
	s->procs = NULL;
	s->nr_procs = 0;
}
