// SPDX-License-Identifier: GPL-2.0
#include "tasks.h"
#include <linux/bsearch.h>
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
 * @cgroup: which
 * @extack: why not; NULL when the session's failure is to say it
 *
 * Return: 0, -EPERM for somebody else's task, -ESRCH for an empty cgroup,
 * -EINVAL when the owner itself is in it.
 */
int ckpt_tasks_allowed(struct ckpt_session *s, struct cgroup *cgroup,
		       struct netlink_ext_ack *extack)
{
	struct task_struct *p, *t;
	unsigned int nr = 0;
	int ret = 0;

	rcu_read_lock();
	for_each_process_thread(p, t) {
		if (!ckpt_task_in(t, cgroup) || (t->flags & PF_EXITING))
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

enum kind {
	FOREIGN,
	PROCESS,
	ZOMBIE,			/* dead, and a process of the job is to wait for it */
	ENDING,			/* about to be that: the freezer does not count it any more */
};

/* Under RCU: what a thread group is to the job. */
static enum kind kind_of(struct ckpt_session *s, struct task_struct *p)
{
	int exit_state = READ_ONCE(p->exit_state);
	struct task_struct *parent;

	if (!exit_state) {
		if (!ckpt_task_in(p, s->cgroup))
			return FOREIGN;
		return p->flags & PF_EXITING ? ENDING : PROCESS;
	}
	if (exit_state != EXIT_ZOMBIE)
		return FOREIGN;
	/* The first thread may end before the others. */
	if (!thread_group_empty(p))
		return ckpt_task_in(p, s->cgroup) ? PROCESS : FOREIGN;
	parent = rcu_dereference(p->real_parent);
	return ckpt_task_in(parent, s->cgroup) && !READ_ONCE(parent->exit_state) ? ZOMBIE : FOREIGN;
}

/**
 * struct census - what is there, and what of it was taken
 * @procs: room for @room_procs
 * @zombies: room for @room_zombies
 * @room_procs: how many
 * @room_zombies: how many
 * @nr_procs: found
 * @nr_zombies: found
 * @nr_ending: found
 */
struct census {
	struct ckpt_process *procs;
	struct task_struct **zombies;
	unsigned int room_procs, room_zombies;
	unsigned int nr_procs, nr_zombies, nr_ending;
};

/* Count, and take as many as there is room for, with a reference on each leader. */
static void take_census(struct ckpt_session *s, struct census *c)
{
	struct task_struct *p;

	c->nr_procs = c->nr_zombies = c->nr_ending = 0;
	rcu_read_lock();
	for_each_process(p) {
		switch (kind_of(s, p)) {
		case PROCESS:
			if (c->nr_procs < c->room_procs) {
				c->procs[c->nr_procs].leader = get_task_struct(p);
				c->procs[c->nr_procs].pid = task_tgid_nr_ns(p, s->pid_ns);
			}
			c->nr_procs++;
			break;
		case ZOMBIE:
			if (c->nr_zombies < c->room_zombies)
				c->zombies[c->nr_zombies] = get_task_struct(p);
			c->nr_zombies++;
			break;
		case ENDING:
			c->nr_ending++;
			break;
		case FOREIGN:
			break;
		}
	}
	rcu_read_unlock();
}

/* Lists of the right length; their lengths count only what is in them. */
static int take_all(struct ckpt_session *s)
{
	struct census c = {};

	take_census(s, &c);
	if (c.nr_ending)
		return -EAGAIN;
	if (!c.nr_procs)
		return ckpt_fail(s, -ESRCH, CKPT_REASON_EMPTY, NULL, "the job has ended");
	if (c.nr_procs > CKPT_MAX_PROCESSES)
		return ckpt_fail(s, -E2BIG, CKPT_REASON_UNSUPPORTED, NULL,
				 "the job has %u processes on this node, more than %u",
				 c.nr_procs, CKPT_MAX_PROCESSES);
	if (c.nr_zombies > CKPT_MAX_THREADS)
		return ckpt_fail(s, -E2BIG, CKPT_REASON_UNSUPPORTED, NULL,
				 "the job has %u dead processes, more than %u",
				 c.nr_zombies, CKPT_MAX_THREADS);
	c.room_procs = c.nr_procs;
	c.room_zombies = c.nr_zombies;
	c.procs = s->procs = kvcalloc(c.room_procs, sizeof(*s->procs), GFP_KERNEL_ACCOUNT);
	if (c.room_zombies)
		c.zombies = s->zombies = kvcalloc(c.room_zombies, sizeof(*s->zombies),
						  GFP_KERNEL_ACCOUNT);
	if (!s->procs || (c.room_zombies && !s->zombies))
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for the task list");
	take_census(s, &c);
	s->nr_procs = min(c.nr_procs, c.room_procs);
	s->nr_zombies = min(c.nr_zombies, c.room_zombies);
	return c.nr_procs == c.room_procs && c.nr_zombies == c.room_zombies && !c.nr_ending ?
	       0 : -EAGAIN;
}

/* A first thread that has ended before the others; it holds nothing any more. */
static bool is_ended_leader(const struct ckpt_process *p, const struct task_struct *t)
{
	return t == p->leader && READ_ONCE(t->exit_state);
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
		if (is_ended_leader(p, t)) {
			room--;
			continue;
		}
		split |= !ckpt_task_in(t, s->cgroup);
		if (nr < room)
			p->threads[nr] = get_task_struct(t);
		nr++;
	}
	rcu_read_unlock();
	p->nr_threads = min(nr, room);
	p->alive = p->threads[0];
	if (split)
		return ckpt_fail(s, -EOPNOTSUPP, CKPT_REASON_UNSUPPORTED, p->leader,
				 "its threads are in different cgroups");
	return nr && nr == room ? 0 : -EAGAIN;
}

/**
 * ckpt_tasks_collect() - list the frozen processes and threads, and their dead children
 * @s: the session, cgroup frozen
 *
 * Return: 0, -EAGAIN when the list changed under us, or a noted failure.
 */
int ckpt_tasks_collect(struct ckpt_session *s)
{
	unsigned int i;
	int ret;

	ckpt_tasks_release(s);
	ret = take_all(s);
	if (ret)
		return ret;
	sort(s->procs, s->nr_procs, sizeof(*s->procs), cmp_pid, NULL);
	for (i = 0; i < s->nr_procs; i++) {
		ret = collect_threads(s, &s->procs[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * ckpt_tasks_find() - the process of the job that a task belongs to
 * @s: the session, processes collected
 * @t: the task
 *
 * Context: RCU read lock held.
 *
 * Return: it; NULL for none, or one that the owner does not see.
 */
const struct ckpt_process *ckpt_tasks_find(struct ckpt_session *s, struct task_struct *t)
{
	struct ckpt_process key = { .pid = task_tgid_nr_ns(t, s->pid_ns) };
	const struct ckpt_process *p;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the task may go away");
	if (!key.pid)
		return NULL;
	p = bsearch(&key, s->procs, s->nr_procs, sizeof(key), cmp_pid);
	return p && p->leader == t->group_leader ? p : NULL;
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
		if (READ_ONCE(s->procs[i].alive->mm) == mm)
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
	for (i = 0; i < s->nr_zombies; i++)
		put_task_struct(s->zombies[i]);
	kvfree(s->zombies);
	s->zombies = NULL;
	s->nr_zombies = 0;
}
