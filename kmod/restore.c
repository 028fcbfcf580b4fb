// SPDX-License-Identifier: GPL-2.0
#include "restore.h"
#include <linux/delay.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/netlink.h>
#include <linux/net.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/rcupdate_wait.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/xarray.h>
#include <net/sock.h>
#include "access.h"
#include "arch/x86/regs.h"
#include "compat/task.h"
#include "park.h"
#include "report.h"
#include "session.h"
#include "state/process.h"
#include "state/thread.h"
#include "state/timers.h"

/* How long SET waits for a thread that is just falling asleep. */
#define SETTLE_MS	1000

/* All tickets of all sessions by pid: a thread can have one. */
DEFINE_XARRAY(ckpt_tickets);

/**
 * ckpt_restore_open() - make a new session one of a restart
 * @s: the session
 * @nr_threads: that will park
 *
 * Return: 0 or -ENOMEM.
 */
int ckpt_restore_open(struct ckpt_session *s, u32 nr_threads)
{
	struct ckpt_restore *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);

	if (!r)
		return -ENOMEM;
	mutex_init(&r->lock);
	xa_init(&r->tickets);
	xa_init(&r->groups);
	r->nr_threads = nr_threads;
	/* Found by id from now on, by skeletons that do not exist yet. */
	smp_store_release(&s->restore, r);
	return 0;
}

/**
 * ckpt_restore_free() - with a session's last reference: no ticket is left
 * @s: the session; one of a checkpoint is fine
 */
void ckpt_restore_free(struct ckpt_session *s)
{
	struct ckpt_restore *r = s->restore;
	struct ckpt_group *group;
	unsigned long tgid;

	if (!r)
		return;
	xa_for_each(&r->groups, tgid, group)
		kfree(group);
	xa_destroy(&r->groups);
	xa_destroy(&r->tickets);
	mutex_destroy(&r->lock);
	kfree(r);
	s->restore = NULL;
}

/**
 * ckpt_restore_abort() - kill everything parked or on its way
 * @s: the session; after COMMIT, or in a checkpoint, nothing happens
 *
 * Context: may sleep.
 */
void ckpt_restore_abort(struct ckpt_session *s)
{
	struct ckpt_restore *r = smp_load_acquire(&s->restore);
	unsigned long pid;
	struct ckpt_ticket *t;

	if (!r)
		return;
	mutex_lock(&r->lock);
	if (!r->go) {
		r->aborted = true;
		xa_for_each(&r->tickets, pid, t)
			send_sig(SIGKILL, t->task, 1);
	}
	mutex_unlock(&r->lock);
}

/* Is @file the socket that the session belongs to? */
static int is_owner_socket(const void *data, struct file *file, unsigned int fd)
{
	const struct ckpt_session *s = data;
	struct socket *sock = sock_from_file(file);

	return sock && sock->sk == s->sk;
}

static const char *sender_fault(const struct ckpt_session *s, struct sk_buff *skb, u64 plan_addr)
{
	const char *why;

	if (current->flags & (PF_KTHREAD | CKPT_PF_KERNEL_WORKER) || !ckpt_regs_in_send())
		return "this must be sent by the thread itself with sendmsg or sendto";
	why = ckpt_access_skeleton(s, skb);
	if (why)
		return why;
	if (task_tgid(current) == s->owner)
		return "the owner of the session cannot be restarted into";
	if (current->ptrace)
		return "a traced thread cannot be restarted into";
	if (!task_pid_nr_ns(current, s->pid_ns))
		return "the sender is outside of the session's pid namespace";
	if (!plan_addr != !thread_group_leader(current))
		return "a leader sends RESTORE, its other threads PARK";
	if (iterate_fd(current->files, 0, is_owner_socket, s))
		return "the sender holds the session's own socket: close it first";
	return NULL;
}

static struct ckpt_group *get_group(struct ckpt_restore *r)
{
	unsigned long tgid = task_tgid_nr(current);
	struct ckpt_group *group, *other;

	group = xa_load(&r->groups, tgid);
	if (group)
		return group;
	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group)
		return NULL;
	init_waitqueue_head(&group->wait);
	other = xa_cmpxchg(&r->groups, tgid, NULL, group, GFP_KERNEL_ACCOUNT);
	if (!other)
		return group;
	kfree(group);
	return xa_is_err(other) ? NULL : other;
}

/* Put the ticket among the session's; from here on an abort finds it. */
static int enter(struct ckpt_restore *r, struct ckpt_ticket *t, struct netlink_ext_ack *extack)
{
	int ret;

	ret = xa_reserve(&r->tickets, t->pid, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	mutex_lock(&r->lock);
	if (r->aborted || r->go) {
		NL_SET_ERR_MSG(extack, "the session is over");
		ret = -ECANCELED;
	} else if (r->nr_tickets == r->nr_threads) {
		NL_SET_ERR_MSG(extack, "more threads than the session was opened for");
		ret = -E2BIG;
	} else {
		r->nr_tickets++;
		/* Into the place reserved: needs no memory. */
		xa_store(&r->tickets, t->pid, t, GFP_NOWAIT);
	}
	mutex_unlock(&r->lock);
	if (ret)
		xa_release(&r->tickets, t->pid);
	return ret;
}

static void leave(struct ckpt_restore *r, struct ckpt_ticket *t)
{
	mutex_lock(&r->lock);
	r->nr_tickets--;
	xa_erase(&r->tickets, t->pid);
	mutex_unlock(&r->lock);
}

/**
 * ckpt_restore_park() - PARK and RESTORE: give the sender a ticket
 * @s: the session
 * @skb: the request
 * @plan_addr: of struct ckpt_plan in the sender's memory; 0 for PARK
 * @extack: why not
 *
 * The sender gets its acknowledgement and then does the rest on its way out of
 * the system call, outside of netlink's locks.
 *
 * Return: 0 or a negative errno.
 */
int ckpt_restore_park(struct ckpt_session *s, struct sk_buff *skb, u64 plan_addr,
		      struct netlink_ext_ack *extack)
{
	struct ckpt_restore *r = smp_load_acquire(&s->restore);
	const char *why;
	struct ckpt_ticket *t;
	int ret;

	if (!r) {
		NL_SET_ERR_MSG(extack, "this is not a restart's session");
		return -EINVAL;
	}
	why = sender_fault(s, skb, plan_addr);
	if (why) {
		extack->_msg = why;
		return -EPERM;
	}
	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return -ENOMEM;
	ret = -ENOMEM;
	t->group = get_group(r);
	if (!t->group)
		goto err_free;
	t->session = s;
	t->task = current;
	t->key = task_pid_nr(current);
	t->pid = task_pid_nr_ns(current, s->pid_ns);
	t->plan_addr = plan_addr;
	init_task_work(&t->work, ckpt_park_arrive);
	/* Two requests in one message: the second one comes too late. */
	ret = xa_insert(&ckpt_tickets, t->key, t, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_free;
	ret = enter(r, t, extack);
	if (ret)
		goto err_erase;
	get_task_struct(current);
	ckpt_session_get(s);
	ret = task_work_add(current, &t->work, TWA_RESUME);
	if (!ret)
		return 0;
	leave(r, t);
	put_task_struct(current);
	ckpt_session_put(s);
err_erase:
	xa_erase(&ckpt_tickets, t->key);
err_free:
	kfree(t);
	return ret;
}

/*
 * Give a thread its state if it sleeps.  It cannot end while we hold the lock,
 * but it may wake for a moment, after a suspend of the machine, say, and write
 * its own fs base over ours: then try again, too.
 */
static int try_set(struct ckpt_restore *r, const struct ckpt_thread_state *state,
		   const struct ckpt_thread_set *set, struct netlink_ext_ack *extack)
{
	struct ckpt_ticket *t;
	unsigned long switches;
	int ret;

	lockdep_assert_held(&r->lock);
	t = xa_load(&r->tickets, state->pid);
	if (!t || t->state == TICKET_COMING || r->go || __fatal_signal_pending(t->task)) {
		NL_SET_ERR_MSG(extack, "no such thread is parked in this session");
		return -ESRCH;
	}
	switches = READ_ONCE(t->task->nvcsw) + READ_ONCE(t->task->nivcsw);
	if (!ckpt_task_asleep(t->task))
		return -EAGAIN;
	ret = ckpt_regs_set(t->task, state->regs, state->regs_len,
			    state->xstate_len ? state->xstate : NULL, state->xstate_len, extack);
	if (ret)
		return ret;
	if (!ckpt_task_asleep(t->task) ||
	    switches != READ_ONCE(t->task->nvcsw) + READ_ONCE(t->task->nivcsw))
		return -EAGAIN;
	t->set = *set;
	if (state->stopped && thread_group_leader(t->task))
		ckpt_process_stop(t->task, state->stop_signal);
	if (t->state == TICKET_PARKED)
		r->nr_set++;
	t->state = TICKET_SET;
	return 0;
}

/**
 * ckpt_restore_set() - SET: give a parked thread its state
 * @s: the session, all threads parked
 * @state: what to give to whom
 * @extack: why not
 *
 * Return: 0, -EINVAL for a state that is refused, -ESRCH when there is no such
 * thread any more.
 */
int ckpt_restore_set(struct ckpt_session *s, const struct ckpt_thread_state *state,
		     struct netlink_ext_ack *extack)
{
	struct ckpt_restore *r = smp_load_acquire(&s->restore);
	unsigned long end = jiffies + msecs_to_jiffies(SETTLE_MS);
	struct ckpt_thread_set set = {
		.sigmask = state->sigmask,
		.rseq_addr = state->rseq_addr,
		.rseq_len = state->rseq_len,
		.rseq_sig = state->rseq_sig,
	};
	int ret;

	if (!r)
		return -EINVAL;
	ret = ckpt_thread_check_set(&set, extack);
	if (ret)
		return ret;
	for (;;) {
		mutex_lock(&r->lock);
		ret = try_set(r, state, &set, extack);
		mutex_unlock(&r->lock);
		if (ret != -EAGAIN || time_after(jiffies, end))
			return ret;
		/* It has said that it parks, and will be asleep in a moment. */
		usleep_range(10, 50);
	}
}

/* Under r->lock: is anybody about to die? */
static bool is_dying(struct ckpt_restore *r)
{
	unsigned long pid;
	struct ckpt_ticket *t;

	xa_for_each(&r->tickets, pid, t)
		if (__fatal_signal_pending(t->task) ||
		    READ_ONCE(t->task->signal->flags) & SIGNAL_GROUP_EXIT)
			return true;
	return false;
}

/**
 * ckpt_restore_commit() - COMMIT: let all threads go at one instant
 * @s: the session
 *
 * Return: 0, or a noted failure after which the session must be stopped.
 */
int ckpt_restore_commit(struct ckpt_session *s)
{
	struct ckpt_restore *r = smp_load_acquire(&s->restore);
	const char *why = NULL;
	unsigned long pid;
	struct ckpt_ticket *t;

	if (!r)
		return -EINVAL;
	mutex_lock(&r->lock);
	if (r->aborted || r->nr_ended || is_dying(r)) {
		why = "a thread was killed while it was being restarted";
	} else if (r->nr_parked != r->nr_threads || r->nr_set != r->nr_threads) {
		why = "not every thread was given its registers";
	} else {
		/* None of them can get past this lock, so all stay as they are. */
		xa_for_each(&r->tickets, pid, t)
			ckpt_timers_start(t->task, t->timers_ns);
		smp_store_release(&r->go, true);
		xa_for_each(&r->tickets, pid, t)
			wake_up_process(t->task);
	}
	mutex_unlock(&r->lock);
	return why ? ckpt_fail(s, -ESRCH, CKPT_REASON_VANISHED, NULL, "%s", why) : 0;
}

/**
 * ckpt_restore_exit() - wait for the last instructions of task works
 *
 * A thread that has dropped the last reference on its session, and with it the
 * module, may still be on its way out of our code.
 */
void ckpt_restore_exit(void)
{
	synchronize_rcu_tasks();
}
