// SPDX-License-Identifier: GPL-2.0
/*
 * A freeze wakes what sleeps.  Most system calls are restarted by the kernel
 * afterwards, the fragile ones of arch/x86/syscalls.c would fail with EINTR
 * because of us: they are marked to be made again.
 *
 * A timeout among their arguments would then count from its beginning, and the
 * only trace of when it ends is a timer that the thread has on its kernel stack
 * while it sleeps.  So before the freeze the armed timers are looked through for
 * those of the job's threads, and each thread that sleeps in such a call gets a
 * witness: a task work, which the thread itself runs when that very call is
 * over, however it ends.  If it was interrupted, the thread puts what is left of
 * the time into the call's arguments, and mends the call.
 *
 * A thread without a witness was not asleep a moment before the freeze: its
 * timeout begins anew, late by that moment.  The same when there is no memory,
 * and for the few calls whose time runs on no such timer (sockets with
 * SO_RCVTIMEO or SO_SNDTIMEO).  The registers of those threads are mended while
 * they are frozen.
 *
 * From the mending on, the registers are right for the process that goes on and
 * for the image.
 */
#include "sleepers.h"
#include <linux/bsearch.h>
#include <linux/cpu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/task_work.h>
#include "access.h"
#include "arch/x86/regs.h"
#include "arch/x86/syscalls.h"
#include "compat/hrtimer.h"
#include "compat/task.h"
#include "session.h"
#include "state/sighand.h"
#include "tasks.h"

/* Timers of one CPU to look at with interrupts off: the rest stay unknown. */
#define CKPT_MAX_TIMERS	16384

/**
 * struct witness - of how the call ends in which a thread sleeps
 * @work: run by the thread on its way out of the call
 * @ref: one by the task work, one by who makes it
 * @expires: when the call's timeout ends, CLOCK_MONOTONIC; 0 for never or unknown
 */
struct witness {
	struct callback_head work;
	refcount_t ref;
	u64 expires;
};

/**
 * struct sleeper - a thread about to be frozen that sleeps in a fragile call
 * @task: referenced
 * @nvcsw: its count of sleeps: the same means that it is the same sleep
 * @expires: as in struct witness
 */
struct sleeper {
	struct task_struct *task;
	unsigned long nvcsw;
	u64 expires;
};

struct sleepers {
	struct ckpt_hrtimers timers;
	unsigned int nr;
	struct sleeper sleeper[];
};

static bool is_asleep(struct task_struct *t)
{
	return (READ_ONCE(t->__state) & TASK_INTERRUPTIBLE) && ckpt_task_asleep(t);
}

/* A signal that ends the call by a handler anyway, or stops the process? */
static bool signal_waits(void)
{
	sigset_t waiting;

	sigorsets(&waiting, &current->pending.signal, &current->signal->shared_pending.signal);
	sigandnsets(&waiting, &waiting, &current->blocked);
	return !sigisemptyset(&waiting);
}

static void testify(struct callback_head *work)
{
	struct witness *w = container_of(work, struct witness, work);
	u64 now = ktime_get_ns(), expires = READ_ONCE(w->expires);

	if (!(current->flags & PF_EXITING) && ckpt_syscall_again(current)) {
		if (expires && !signal_waits())
			ckpt_syscall_set_timeout(expires > now ? expires - now : 0);
		/* The code that restarts it must be gone through, now in any case. */
		ckpt_regs_resume();
	}
	if (refcount_dec_and_test(&w->ref))
		kfree(w);
	/* What runs after this is waited for by the module's exit. */
	module_put(THIS_MODULE);
}

/* The thread is watched from when the timer was seen to when the work is queued, or not at all. */
static void attach(const struct sleeper *sleeper)
{
	struct task_struct *t = sleeper->task;
	struct sighand_struct *sighand;
	struct witness *w;
	int ret = -ESRCH;

	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return;
	refcount_set(&w->ref, 2);
	w->expires = sleeper->expires;
	init_task_work(&w->work, testify);
	__module_get(THIS_MODULE);
	sighand = ckpt_sighand_try_lock(t);
	if (sighand) {
		if (is_asleep(t) && t->nvcsw == sleeper->nvcsw)
			ret = task_work_add(t, &w->work, TWA_RESUME);
		/* If it woke meanwhile, the work may have met another call. */
		if (!is_asleep(t) || t->nvcsw != sleeper->nvcsw)
			WRITE_ONCE(w->expires, 0);
		ckpt_sighand_unlock(sighand);
	}
	if (ret) {
		module_put(THIS_MODULE);
		kfree(w);
	} else if (refcount_dec_and_test(&w->ref)) {
		kfree(w);
	}
}

static int cmp_task(const void *a, const void *b)
{
	const struct sleeper *sa = a, *sb = b;

	return sa->task < sb->task ? -1 : sa->task > sb->task;
}

static void scan_timers(struct sleepers *all, struct hrtimer_cpu_base *base)
{
	unsigned int i, nr = 0;
	unsigned long flags;

	raw_spin_lock_irqsave(&base->lock, flags);
	for (i = 0; i < HRTIMER_MAX_CLOCK_BASES; i++) {
		struct hrtimer_clock_base *clock = &base->clock_base[i];
		struct timerqueue_node *node;

		if (clock->clockid != CLOCK_MONOTONIC)
			continue;
		for (node = timerqueue_getnext(&clock->active); node && nr < CKPT_MAX_TIMERS;
		     node = timerqueue_iterate_next(node), nr++) {
			struct hrtimer *timer = container_of(node, struct hrtimer, node);
			struct sleeper key = { .task = ckpt_hrtimer_task(&all->timers, timer) };
			struct sleeper *found;

			found = bsearch(&key, all->sleeper, all->nr, sizeof(key), cmp_task);
			if (found)
				found->expires = ktime_to_ns(hrtimer_get_softexpires(timer));
		}
	}
	raw_spin_unlock_irqrestore(&base->lock, flags);
}

/* Under RCU: how many threads of the cgroup sleep; up to @room with a reference each. */
static unsigned int take_asleep(struct ckpt_session *s, struct sleepers *all, unsigned int room)
{
	struct task_struct *p, *t;
	unsigned int nr = 0;

	for_each_process_thread(p, t) {
		if (!ckpt_task_in(t, s->cgroup) || !is_asleep(t) || t->frozen ||
		    t->flags & (PF_EXITING | PF_KTHREAD | CKPT_PF_KERNEL_WORKER) ||
		    !ckpt_access_owns(s, t))
			continue;
		if (nr < room)
			all->sleeper[nr].task = get_task_struct(t);
		nr++;
	}
	return min(nr, room);
}

static bool sleeps_in_fragile_call(struct sleeper *sleeper)
{
	struct sighand_struct *sighand = ckpt_sighand_try_lock(sleeper->task);
	bool ret;

	if (!sighand)
		return false;
	sleeper->nvcsw = sleeper->task->nvcsw;
	ret = is_asleep(sleeper->task) && ckpt_syscall_is_fragile(sleeper->task);
	ckpt_sighand_unlock(sighand);
	return ret;
}

static struct sleepers *collect(struct ckpt_session *s)
{
	unsigned int room = 0, i, nr = 0;
	struct sleepers *all;
	struct task_struct *p, *t;

	rcu_read_lock();
	for_each_process_thread(p, t)
		room += ckpt_task_in(t, s->cgroup);
	rcu_read_unlock();
	all = kvzalloc(struct_size(all, sleeper, room), GFP_KERNEL_ACCOUNT);
	if (!all)
		return NULL;
	rcu_read_lock();
	all->nr = take_asleep(s, all, room);
	rcu_read_unlock();
	for (i = 0; i < all->nr; i++) {
		if (sleeps_in_fragile_call(&all->sleeper[i]))
			all->sleeper[nr++] = all->sleeper[i];
		else
			put_task_struct(all->sleeper[i].task);
	}
	all->nr = nr;
	return all;
}

/**
 * ckpt_sleepers_watch() - prepare the threads that a freeze will wake
 * @s: the session, about to freeze
 *
 * Context: may sleep.
 */
void ckpt_sleepers_watch(struct ckpt_session *s)
{
	struct sleepers *all = collect(s);
	unsigned int i;
	int cpu;

	if (!all)
		return;
	if (all->nr) {
		sort(all->sleeper, all->nr, sizeof(all->sleeper[0]), cmp_task, NULL);
		ckpt_hrtimers_init(&all->timers);
		cpus_read_lock();
		for_each_online_cpu(cpu)
			scan_timers(all, ckpt_hrtimers_of_cpu(&all->timers, cpu));
		cpus_read_unlock();
	}
	for (i = 0; i < all->nr; i++) {
		attach(&all->sleeper[i]);
		put_task_struct(all->sleeper[i].task);
	}
	kvfree(all);
}

/* Stopped by a signal or waiting for a vfork child it is asleep, too, but not in the freezer. */
static void mend(struct task_struct *t)
{
	struct sighand_struct *sighand = ckpt_sighand_try_lock(t);

	if (!sighand)
		return;
	if (t->frozen && is_asleep(t))
		ckpt_syscall_again(t);
	ckpt_sighand_unlock(sighand);
}

/**
 * ckpt_sleepers_mend() - have fragile calls made again that the freeze has ended
 * @s: the session, the cgroup frozen as far as it got
 *
 * What sleeps in the freezer has not yet come to the code that restarts calls.
 */
void ckpt_sleepers_mend(struct ckpt_session *s)
{
	struct task_struct *p, *t;

	rcu_read_lock();
	for_each_process_thread(p, t)
		if (ckpt_task_in(t, s->cgroup) && t->frozen && ckpt_access_owns(s, t))
			mend(t);
	rcu_read_unlock();
}
