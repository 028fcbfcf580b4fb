// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: what a dead child still has: its ids, and how it ended.
 *
 * Not saved: the resources that it used.  Nor a dead child whose parent is
 * outside of the job: that one lives on and waits for it; or whose parent is left
 * out of the image.
 *
 * Restored by a skeleton that ends in the same way.
 */
#include "state/zombie.h"
#include <linux/cred.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include "report.h"
#include "session.h"
#include "tasks.h"

static bool is_left_out(struct ckpt_session *s, struct task_struct *t)
{
	const struct ckpt_process *parent;
	bool ret;

	rcu_read_lock();
	parent = ckpt_tasks_find(s, rcu_dereference(t->real_parent));
	ret = !parent || parent->omitted;
	rcu_read_unlock();
	return ret;
}

static int dump_one(struct ckpt_session *s, struct task_struct *t)
{
	struct ckpt_rec_zombie *rec;

	if (is_left_out(s, t))
		return 0;
	rec = ckpt_records_add(&s->records, CKPT_REC_ZOMBIE, sizeof(*rec));
	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t, "no memory for its records");
	rcu_read_lock();
	rec->pid = task_tgid_nr_ns(t, s->pid_ns);
	rec->ppid = task_tgid_nr_ns(rcu_dereference(t->real_parent), s->pid_ns);
	rec->pgid = task_pgrp_nr_ns(t, s->pid_ns);
	rec->sid = task_session_nr_ns(t, s->pid_ns);
	rec->uid = from_kuid_munged(s->cred->user_ns, task_uid(t));
	rcu_read_unlock();
	rec->exit_signal = t->exit_signal;
	rec->status = t->signal->flags & SIGNAL_GROUP_EXIT ? t->signal->group_exit_code :
							     t->exit_code;
	get_task_comm(rec->comm, t);
	if (!rec->pid)
		return ckpt_fail(s, -ESRCH, CKPT_REASON_VANISHED, t,
				 "its parent waited for it during the checkpoint");
	return 0;
}

/**
 * ckpt_zombies_check() - can the dead children of the job be saved?
 * @s: the session, its tasks collected
 *
 * Return: 0; obstacles are kept.
 */
int ckpt_zombies_check(struct ckpt_session *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_zombies; i++)
		if (s->zombies[i]->ptrace && !is_left_out(s, s->zombies[i]))
			ckpt_obstacle(s, -EOPNOTSUPP, s->zombies[i],
				      "it was being traced when it ended: detach the debugger and try again");
	return 0;
}

/**
 * ckpt_zombies_dump() - record the dead children of the job
 * @s: the session, its tasks collected
 *
 * Their parents are frozen: nobody waits for them meanwhile, unless it is killed.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_zombies_dump(struct ckpt_session *s)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < s->nr_zombies && !ret; i++)
		ret = dump_one(s, s->zombies[i]);
	return ret;
}
