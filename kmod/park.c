// SPDX-License-Identifier: GPL-2.0
#include "park.h"
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "arch/x86/regs.h"
#include "compat/task.h"
#include "fill.h"
#include "report.h"
#include "session.h"
#include "state/locks.h"
#include "state/mm.h"
#include "state/thread.h"

/* Why a restart ends for which there is no better reason. */
static void note_killed(struct ckpt_session *s)
{
	ckpt_fail(s, -ESRCH, CKPT_REASON_VANISHED, current,
		  "it was killed while it was being restarted");
}

/* The end of a ticket, in its own thread, which goes to user mode or dies. */
static void ticket_end(struct ckpt_ticket *t)
{
	struct ckpt_session *s = t->session;
	struct ckpt_restore *r = s->restore;
	bool lost;

	mutex_lock(&r->lock);
	xa_erase(&r->tickets, t->pid);
	r->nr_ended++;
	lost = !r->go && !r->aborted;
	mutex_unlock(&r->lock);
	xa_erase(&ckpt_tickets, t->key);
	if (lost) {
		note_killed(s);
		ckpt_session_stop(s, CKPT_REASON_VANISHED);
	}
	put_task_struct(t->task);
	kfree(t);
	ckpt_session_put(s);
}

/* After a failure past the point of no return: nobody sees user mode again. */
static void ticket_fail(struct ckpt_ticket *t)
{
	note_killed(t->session);
	ckpt_session_stop(t->session, CKPT_REASON_IMAGE);
	send_sig(SIGKILL, current, 1);
	ticket_end(t);
}

static bool must_leave(const struct ckpt_restore *r)
{
	return smp_load_acquire(&r->go) || READ_ONCE(r->aborted) ||
	       fatal_signal_pending(current);
}

static void sleep_until_commit(const struct ckpt_restore *r)
{
	for (;;) {
		/* Nobody wakes us but COMMIT, a fatal signal, and a thaw after suspend. */
		set_current_state(TASK_KILLABLE | TASK_NOLOAD | TASK_FREEZABLE);
		if (must_leave(r))
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
}

/* Count the thread as parked; whoever is the last one tells the owner. */
static int count_parked(struct ckpt_ticket *t)
{
	struct ckpt_session *s = t->session;
	struct ckpt_restore *r = s->restore;
	bool last;

	mutex_lock(&r->lock);
	if (r->aborted) {
		mutex_unlock(&r->lock);
		return -ECANCELED;
	}
	t->state = TICKET_PARKED;
	last = ++r->nr_parked == r->nr_threads;
	mutex_unlock(&r->lock);

	if (!t->plan_addr) {
		atomic_inc(&t->group->parked);
		wake_up(&t->group->wait);
	}
	if (!last)
		return 0;
	mutex_lock(&s->lock);
	if (s->phase == CKPT_OPENED)
		s->phase = CKPT_PARKED;
	mutex_unlock(&s->lock);
	return ckpt_report_event(s, CKPT_EVENT_PARKED);
}

/* The last stage: the sleep, and the way out of it. */
static void park(struct callback_head *work)
{
	struct ckpt_ticket *t = container_of(work, struct ckpt_ticket, work);
	struct ckpt_restore *r = t->session->restore;

	if (count_parked(t)) {
		ticket_fail(t);
		return;
	}
	sleep_until_commit(r);
	if (smp_load_acquire(&r->go)) {
		ckpt_thread_restore(&t->hidden, &t->set);
		ckpt_regs_resume();
	}
	ticket_end(t);
}

static void next_stage(struct ckpt_ticket *t, task_work_func_t stage)
{
	init_task_work(&t->work, stage);
	if (task_work_add(current, &t->work, TWA_RESUME))
		ticket_fail(t);
}

/*
 * Works queued together run newest first: this one runs before the release of
 * the files that were closed or unmapped, and queues parking behind them.
 */
static void let_release(struct callback_head *work)
{
	next_stage(container_of(work, struct ckpt_ticket, work), park);
}

static int found_fd(const void *unused, struct file *file, unsigned int fd)
{
	return fd + 1;
}

static void close_from(unsigned int fd)
{
	int next;

	while ((next = iterate_fd(current->files, fd, found_fd, NULL)) > 0) {
		close_fd(next - 1);
		fd = next;
		cond_resched();
	}
}

/* All siblings have parked, or are gone, which wakes nobody: look now and then. */
static int wait_for_siblings(struct ckpt_ticket *t)
{
	struct ckpt_restore *r = t->session->restore;
	long ret = 0;

	while (!ret)
		ret = wait_event_killable_timeout(t->group->wait,
						  atomic_read(&t->group->parked) + 1 >=
						  get_nr_threads(current) || READ_ONCE(r->aborted),
						  HZ / 50);
	return ret < 0 || READ_ONCE(r->aborted) ? -EINTR : 0;
}

/* What a plan points to, copied. */
struct plan_arrays {
	struct ckpt_plan_vma *vmas;
	struct ckpt_plan_pages *pages;
	struct ckpt_plan_lock *locks;
};

static void free_arrays(struct plan_arrays *a)
{
	kvfree(a->vmas);
	kvfree(a->pages);
	kvfree(a->locks);
}

static int copy_array(void *array, u64 from, u32 nr, size_t size)
{
	void *copy = nr ? vmemdup_user(u64_to_user_ptr(from), array_size(nr, size)) : NULL;

	if (IS_ERR(copy))
		return PTR_ERR(copy);
	*(void **)array = copy;
	return 0;
}

static int copy_plan(struct ckpt_ticket *t, struct ckpt_plan *plan, struct plan_arrays *a)
{
	struct ckpt_session *s = t->session;
	int ret;

	ret = copy_from_user(plan, u64_to_user_ptr(t->plan_addr), sizeof(*plan)) ? -EFAULT : 0;
	if (!ret && (!plan->nr_vmas || plan->nr_vmas > CKPT_MAX_VMAS ||
		     plan->nr_pages > CKPT_MAX_VMAS || plan->nr_locks > CKPT_MAX_LOCKS))
		return ckpt_fail(s, -EINVAL, CKPT_REASON_IMAGE, current,
				 "the restart plan has no mapping, or too many of something");
	if (!ret)
		ret = copy_array(&a->vmas, plan->vmas, plan->nr_vmas, sizeof(*a->vmas));
	if (!ret)
		ret = copy_array(&a->pages, plan->pages, plan->nr_pages, sizeof(*a->pages));
	if (!ret)
		ret = copy_array(&a->locks, plan->locks, plan->nr_locks, sizeof(*a->locks));
	return !ret ? 0 : ckpt_fail(s, ret, CKPT_REASON_IMAGE, current,
				    "the restart plan cannot be read from its memory");
}

/* From the skeleton to the saved process; any failure is its end. */
static int become(struct ckpt_ticket *t)
{
	struct ckpt_session *s = t->session;
	struct plan_arrays arrays = {};
	struct ckpt_plan plan = {};
	int ret;

	ret = copy_plan(t, &plan, &arrays);
	if (!ret)
		ret = ckpt_mm_check_plan(s, &plan, arrays.vmas);
	if (!ret)
		ret = wait_for_siblings(t);
	if (!ret)
		ret = ckpt_mm_replace(s, &plan, arrays.vmas);
	if (!ret)
		ret = ckpt_fill(s, arrays.pages, plan.nr_pages);
	if (!ret)
		ret = ckpt_mm_set_exe(s, plan.exe_fd);
	if (!ret)
		close_from(plan.close_from);
	if (!ret)
		ret = ckpt_locks_take(s, arrays.locks, plan.nr_locks);
	t->timers_ns = plan.timers_ns;
	free_arrays(&arrays);
	return ret;
}

/**
 * ckpt_park_arrive() - the first stage, of every thread
 * @work: of its ticket
 */
void ckpt_park_arrive(struct callback_head *work)
{
	struct ckpt_ticket *t = container_of(work, struct ckpt_ticket, work);

	/* Run by the exit of a thread killed before: it has no memory any more. */
	if (current->flags & PF_EXITING || !current->mm) {
		ticket_end(t);
		return;
	}
	ckpt_thread_hide(&t->hidden);
	if (!t->plan_addr) {
		park(&t->work);
		return;
	}
	if (become(t)) {
		ticket_fail(t);
		return;
	}
	next_stage(t, let_release);
}
