// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: ids, name and the few flags of struct ckpt_rec_process; whether it is
 * stopped, and whether its parent knows.  Not saved: that it was let go on and
 * its parent does not yet know (WCONTINUED).
 *
 * Refused: what is not simply running or stopped (traced, ending), what shares a
 * table with another process, and what a skeleton cannot be given: namespaces
 * other than the tool's, a seccomp filter, credentials by thread, threads of
 * the kernel's.
 *
 * Restored here: a stopped process, before it ever runs.  Sent a SIGSTOP, it
 * would tell its parent once more.
 */
#include "state/process.h"
#include <linux/cred.h>
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
#include "clock.h"
#include "compat/task.h"
#include "report.h"
#include "state/sighand.h"
#include "state/state.h"

static bool same_groups(const struct group_info *a, const struct group_info *b)
{
	return a->ngroups == b->ngroups && !memcmp(a->gid, b->gid, a->ngroups * sizeof(a->gid[0]));
}

static bool same_cred(const struct cred *a, const struct cred *b)
{
	return uid_eq(a->uid, b->uid) && uid_eq(a->euid, b->euid) &&
	       uid_eq(a->suid, b->suid) && uid_eq(a->fsuid, b->fsuid) &&
	       gid_eq(a->gid, b->gid) && gid_eq(a->egid, b->egid) &&
	       gid_eq(a->sgid, b->sgid) && gid_eq(a->fsgid, b->fsgid) &&
	       !memcmp(&a->cap_inheritable, &b->cap_inheritable, sizeof(a->cap_inheritable)) &&
	       !memcmp(&a->cap_permitted, &b->cap_permitted, sizeof(a->cap_permitted)) &&
	       !memcmp(&a->cap_effective, &b->cap_effective, sizeof(a->cap_effective)) &&
	       !memcmp(&a->cap_bset, &b->cap_bset, sizeof(a->cap_bset)) &&
	       !memcmp(&a->cap_ambient, &b->cap_ambient, sizeof(a->cap_ambient)) &&
	       a->securebits == b->securebits &&
	       same_groups(a->group_info, b->group_info);
}

/* The tool saves the leader's credentials as those of all threads. */
static const char *cred_obstacle(const struct ckpt_session *s, struct task_struct *t,
				 struct task_struct *leader)
{
	const struct cred *cred, *leaders;
	const char *why = NULL;

	rcu_read_lock();
	cred = __task_cred(t);
	leaders = __task_cred(leader);
	if (cred->user_ns != s->cred->user_ns)
		why = "it lives in another user namespace than the tool: run the tool inside of it";
	else if ((cred != leaders && !same_cred(cred, leaders)) ||
		 task_no_new_privs(t) != task_no_new_privs(leader))
		why = "its threads have different credentials, which cannot be saved";
	rcu_read_unlock();
	return why;
}

/* Gone in a moment, or when its parent waits for it: EAGAIN lets the tool try again. */
static bool is_ending(const struct task_struct *t)
{
	return t->flags & PF_EXITING || READ_ONCE(t->exit_state) ||
	       t->signal->flags & SIGNAL_GROUP_EXIT;
}

/* Some threads have stopped, the others are about to. */
static bool is_stopping(const struct task_struct *t)
{
	return t->jobctl & JOBCTL_STOP_PENDING || READ_ONCE(t->signal->group_stop_count);
}

static const char *thread_obstacle(const struct task_struct *t, const struct task_struct *leader)
{
	if (is_ending(t))
		return "it is ending: try again";
	if (t->flags & CKPT_PF_KERNEL_WORKER)
		return "it is a worker of io_uring, which cannot be saved";
	if (t->ptrace)
		return "it is being traced: detach the debugger and try again";
	if (is_stopping(t))
		return "it is just being stopped: try again";
	if (t->seccomp.mode)
		return "it has a seccomp filter, which cannot be saved";
	if (t->files != leader->files || t->fs != leader->fs)
		return "its threads have different file descriptor tables or working directories";
	return NULL;
}

/* Counts of users of the process's tables; every thread is one. */
static bool shares_tables(struct ckpt_process *p)
{
	struct task_struct *t = p->alive;
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
		/* Which a first thread that has ended keeps. */
		shares |= refcount_read(&sighand->count) > p->nr_threads + (t != p->leader);
	rcu_read_unlock();
	return shares;
}

static bool same_namespaces(const struct nsproxy *a, const struct nsproxy *b)
{
	return a->mnt_ns == b->mnt_ns && a->uts_ns == b->uts_ns && a->ipc_ns == b->ipc_ns &&
	       a->net_ns == b->net_ns && a->time_ns == b->time_ns &&
	       a->pid_ns_for_children == b->pid_ns_for_children &&
	       a->time_ns_for_children == b->time_ns_for_children;
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
	struct task_struct *t = p->alive;
	const char *why;
	unsigned int i;

	why = namespace_obstacle(s, p->alive);
	if (why)
		ckpt_obstacle(s, -EOPNOTSUPP, t, "%s", why);
	for (i = 0, why = NULL; i < p->nr_threads && !why; i++) {
		t = p->threads[i];
		why = thread_obstacle(t, p->alive);
	}
	if (why)
		ckpt_obstacle(s, is_ending(t) || is_stopping(t) ? -EAGAIN : -EOPNOTSUPP, t, "%s", why);
	for (i = 0, why = NULL; i < p->nr_threads && !why; i++) {
		t = p->threads[i];
		why = cred_obstacle(s, t, p->alive);
	}
	if (why)
		ckpt_obstacle(s, -EOPNOTSUPP, t, "%s", why);
	if (shares_tables(p))
		ckpt_obstacle(s, -EOPNOTSUPP, p->alive,
			      "it shares file descriptors, working directory or signal handlers with another process");
	return 0;
}

static int compare_mm(const void *a, const void *b)
{
	const struct ckpt_process *x = *(struct ckpt_process *const *)a;
	const struct ckpt_process *y = *(struct ckpt_process *const *)b;

	return x->mm < y->mm ? -1 : x->mm > y->mm;
}

/**
 * ckpt_process_check_sharing() - refuse processes of the job that share memory
 * @s: the session
 *
 * A vfork(2) child that has not yet called exec, for one.  Tasks outside of the
 * job are looked at when it is frozen.  Only those that are all left out may.
 *
 * Return: 0 or a noted failure; obstacles are kept.
 */
int ckpt_process_check_sharing(struct ckpt_session *s)
{
	struct ckpt_process **by_mm, *shares;
	struct mm_struct *named = NULL;
	unsigned int i;

	by_mm = kvmalloc_array(s->nr_procs, sizeof(*by_mm), GFP_KERNEL);
	if (!by_mm)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for the task list");
	for (i = 0; i < s->nr_procs; i++)
		by_mm[i] = &s->procs[i];
	sort(by_mm, s->nr_procs, sizeof(*by_mm), compare_mm, NULL);
	for (i = 1; i < s->nr_procs; i++) {
		if (by_mm[i]->mm != by_mm[i - 1]->mm || by_mm[i]->mm == named ||
		    (by_mm[i]->omitted && by_mm[i - 1]->omitted))
			continue;
		shares = by_mm[i]->omitted ? by_mm[i - 1] : by_mm[i];
		named = shares->mm;
		ckpt_obstacle(s, -EAGAIN, shares->leader,
			      "it shares its memory with another process of the job (vfork?): try again");
	}
	kvfree(by_mm);
	return 0;
}

static int process_dump(struct ckpt_session *s, struct ckpt_process *p)
{
	struct task_struct *t = p->leader;
	struct ckpt_rec_process *rec;
	s64 monotonic, boottime;

	rec = ckpt_records_add(&s->records, CKPT_REC_PROCESS, sizeof(*rec));
	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t, "no memory for its records");
	rcu_read_lock();
	rec->pid = task_tgid_nr_ns(t, s->pid_ns);
	rec->ppid = task_tgid_nr_ns(rcu_dereference(t->real_parent), s->pid_ns);
	rec->pgid = task_pgrp_nr_ns(t, s->pid_ns);
	rec->sid = task_session_nr_ns(t, s->pid_ns);
	rec->securebits = __task_cred(p->alive)->securebits;
	rcu_read_unlock();
	rec->nr_threads = p->nr_threads + (p->alive != t);
	rec->exit_signal = t->exit_signal;
	if (t->signal->is_child_subreaper)
		rec->flags |= CKPT_PROCESS_CHILD_SUBREAPER;
	/* One that is not ending has this code only while nobody has waited for its stop. */
	if (READ_ONCE(t->signal->flags) & SIGNAL_STOP_STOPPED) {
		rec->flags |= CKPT_PROCESS_STOPPED;
		rec->stop_signal = READ_ONCE(t->signal->group_exit_code) & 0x7f;
	}
	rec->oom_score_adj = t->signal->oom_score_adj;
	ckpt_clock_offsets(p->alive, &monotonic, &boottime);
	rec->monotonic_ns = s->monotonic_ns + monotonic;
	rec->boottime_ns = s->boottime_ns + boottime;
	get_task_comm(rec->comm, t);
	return 0;
}

/**
 * ckpt_process_stop() - have a parked process begin its life stopped
 * @leader: its leader; it cannot be released meanwhile
 * @signal: that the parent has yet to be told of by wait(2), 0 for none
 *
 * From now on its parent sees it stopped, and a SIGCONT is not in vain.
 */
void ckpt_process_stop(struct task_struct *leader, unsigned int signal)
{
	struct sighand_struct *sighand = ckpt_sighand_try_lock(leader);

	if (!sighand)
		return;
	if (!(leader->signal->flags & SIGNAL_GROUP_EXIT)) {
		signal_set_stop_flags(leader->signal, SIGNAL_STOP_STOPPED);
		leader->signal->group_exit_code = signal;
	}
	ckpt_sighand_unlock(sighand);
}

/**
 * ckpt_process_stop_self() - current joins the stop of its process, if there still is one
 *
 * It does so in the kernel's signal code, on its way to user mode.
 */
void ckpt_process_stop_self(void)
{
	struct sighand_struct *sighand = ckpt_sighand_try_lock(current);

	if (!sighand)
		return;
	if (current->signal->flags & SIGNAL_STOP_STOPPED && !(current->jobctl & JOBCTL_STOP_PENDING))
		current->jobctl |= JOBCTL_STOP_PENDING | SIGSTOP;
	ckpt_sighand_unlock(sighand);
}

const struct ckpt_state_ops ckpt_process_ops = {
	.name = "process",
	.check = process_check,
	.dump = process_dump,
};
