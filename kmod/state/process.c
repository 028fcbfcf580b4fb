// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: ids, name and the few flags of struct ckpt_rec_process.
 *
 * Refused: what is not simply running (traced, stopped, ending), what shares a
 * table with another process, and what a skeleton cannot be given: namespaces
 * other than the tool's, a seccomp filter, threads of the kernel's.
 */
#include "state/process.h"
#include <linux/fdtable.h>
#include <linux/fs_struct.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seccomp.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include "compat/task.h"
#include "report.h"
#include "state/state.h"

static const char *thread_obstacle(const struct task_struct *t, const struct task_struct *leader)
{
	if (t->flags & PF_EXITING || READ_ONCE(t->exit_state))
		return "it is ending: try again";
	if (t->flags & CKPT_PF_KERNEL_WORKER)
		return "it is a worker of io_uring, which cannot be saved";
	if (t->ptrace)
		return "it is being traced: detach the debugger and try again";
	if (t->jobctl & JOBCTL_PENDING_MASK)
		return "it is stopped: send it SIGCONT and try again";
	if (t->seccomp.mode)
		return "it has a seccomp filter, which cannot be saved";
	if (t->files != leader->files || t->fs != leader->fs)
		return "its threads have different file descriptor tables or working directories";
	return NULL;
}

/* Counts of users of the process's tables; every thread is one. */
static bool shares_tables(struct ckpt_process *p)
{
	struct task_struct *t = p->leader;
	struct sighand_struct *sighand;
	bool shares = false;

	task_lock(t);
	if (t->files)
		shares = atomic_read(&t->files->count) > p->nr_threads;
	if (t->fs)
		shares |= READ_ONCE(t->fs->users) > p->nr_threads;
	task_unlock(t);
	rcu_read_lock();
	sighand = rcu_dereference(t->sighand);
	if (sighand)
		shares |= refcount_read(&sighand->count) > p->nr_threads;
	rcu_read_unlock();
	return shares;
}

static bool same_namespaces(const struct nsproxy *a, const struct nsproxy *b)
{
	return a->mnt_ns == b->mnt_ns && a->uts_ns == b->uts_ns && a->ipc_ns == b->ipc_ns &&
	       a->net_ns == b->net_ns && a->time_ns == b->time_ns;
}

/*
 * The image knows nothing of namespaces: what is restored lives in those of
 * the tool.  The copy of the owner's that is compared with cannot go away while
 * its lock is held.
 */
static const char *namespace_obstacle(struct ckpt_session *s, struct task_struct *leader)
{
	struct task_struct *owner;
	const char *why = NULL;
	struct nsproxy ns = {};

	if (task_active_pid_ns(leader) != s->pid_ns)
		return "it lives in another pid namespace than the tool: run the tool inside of it";
	owner = get_pid_task(s->owner, PIDTYPE_TGID);
	if (!owner)
		return NULL;
	task_lock(owner);
	if (owner->nsproxy)
		ns = *owner->nsproxy;
	task_unlock(owner);
	put_task_struct(owner);

	task_lock(leader);
	if (ns.mnt_ns && leader->nsproxy && !same_namespaces(leader->nsproxy, &ns))
		why = "it lives in other namespaces than the tool: run the tool inside of them";
	task_unlock(leader);
	return why;
}

static int process_check(struct ckpt_session *s, struct ckpt_process *p)
{
	struct task_struct *t = p->leader;
	const char *why;
	unsigned int i;

	if (t->signal->flags & SIGNAL_GROUP_EXIT) {
		why = "it is ending: try again";
		goto refuse;
	}
	if (t->signal->flags & SIGNAL_STOP_STOPPED || t->signal->group_stop_count) {
		why = "it is stopped: send it SIGCONT and try again";
		goto refuse;
	}
	why = namespace_obstacle(s, t);
	if (why)
		goto refuse;
	for (i = 0; i < p->nr_threads; i++) {
		t = p->threads[i];
		why = thread_obstacle(t, p->leader);
		if (why)
			goto refuse;
	}
	t = p->leader;
	why = "it shares file descriptors, working directory or signal handlers with another process";
	if (shares_tables(p))
		goto refuse;
	return 0;

refuse:
	return ckpt_fail(s, -EOPNOTSUPP, CKPT_REASON_UNSUPPORTED, t, "%s", why);
}

static int compare_mm(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

/**
 * ckpt_process_check_sharing() - refuse processes of the job that share memory
 * @s: the session
 *
 * A vfork(2) child that has not yet called exec, for one.  Tasks outside of the
 * job are looked at when it is frozen.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_process_check_sharing(struct ckpt_session *s)
{
	unsigned long *mms = kvmalloc_array(s->nr_procs, sizeof(*mms), GFP_KERNEL);
	unsigned long shared = 0;
	unsigned int i;

	if (!mms)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for the task list");
	for (i = 0; i < s->nr_procs; i++)
		mms[i] = (unsigned long)s->procs[i].mm;
	sort(mms, s->nr_procs, sizeof(*mms), compare_mm, NULL);
	for (i = 1; i < s->nr_procs && !shared; i++)
		if (mms[i] == mms[i - 1])
			shared = mms[i];
	kvfree(mms);
	if (!shared)
		return 0;
	for (i = 0; (unsigned long)s->procs[i].mm != shared; i++)
		;
	return ckpt_fail(s, -EOPNOTSUPP, CKPT_REASON_UNSUPPORTED, s->procs[i].leader,
			 "it shares its memory with another process of the job (vfork?): try again");
}

static int process_dump(struct ckpt_session *s, struct ckpt_process *p)
{
	struct task_struct *t = p->leader;
	struct ckpt_rec_process *rec;

	rec = ckpt_records_add(&s->records, CKPT_REC_PROCESS, sizeof(*rec));
	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t, "no memory for its records");
	rcu_read_lock();
	rec->pid = task_tgid_nr_ns(t, s->pid_ns);
	rec->ppid = task_tgid_nr_ns(rcu_dereference(t->real_parent), s->pid_ns);
	rec->pgid = task_pgrp_nr_ns(t, s->pid_ns);
	rec->sid = task_session_nr_ns(t, s->pid_ns);
	rcu_read_unlock();
	rec->nr_threads = p->nr_threads;
	rec->exit_signal = t->exit_signal;
	rec->personality = t->personality;
	if (t->signal->is_child_subreaper)
		rec->flags |= CKPT_PROCESS_CHILD_SUBREAPER;
	rec->oom_score_adj = t->signal->oom_score_adj;
	get_task_comm(rec->comm, t);
	return 0;
}

const struct ckpt_state_ops ckpt_process_ops = {
	.name = "process",
	.check = process_check,
	.dump = process_dump,
};
