// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: what struct ckpt_rec_thread has.  Of a thread frozen inside of
 * sigsuspend(2), ppoll(2) and their like the mask saved is the one that the
 * system call replaced for its duration: the call is restarted and replaces it
 * again.  Of a sleep on the CPU time of a process nothing is saved: it ends with
 * EINTR and the time left, which the kernel has already told the program.
 *
 * Restored here, by the thread itself as its last acts before user mode: the
 * signal mask, for until then it blocks everything, and rseq, because the
 * kernel writes there on every way out.  robust_list and clear_child_tid are
 * set by the thread's skeleton with system calls; while it is parked they are
 * hidden, so that a restart that is given up writes to nobody's memory.  A first
 * thread that has ended is let go to end once more.
 */
#include "state/thread.h"
#include <linux/mutex.h>	/* not included by futex.h, which needs it */
#include <linux/futex.h>
#include <linux/ktime.h>
#include <linux/netlink.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/signal.h>
#include <linux/uaccess.h>
#include <asm/unistd.h>
#include "arch/x86/regs.h"
#include "compat/task.h"
#include "report.h"
#include "state/process.h"
#include "state/sighand.h"
#include "state/state.h"

static u64 time_left(u64 expires_ns, clockid_t clock)
{
	ktime_t now;

	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_ALARM:
		now = ktime_get_real();
		break;
	case CLOCK_TAI:
		now = ktime_get_clocktai();
		break;
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		now = ktime_get_boottime();
		break;
	default:
		now = ktime_get();
		break;
	}
	return expires_ns > (u64)now ? expires_ns - now : 0;
}

/* What is left of the timeout of a system call that sleeps in a restart block. */
static void dump_restart(struct ckpt_rec_thread *rec, struct task_struct *t)
{
	const struct restart_block *rb = &t->restart_block;

	switch (ckpt_regs_sleeping_call(t)) {
	case __NR_nanosleep:
	case __NR_clock_nanosleep:
		if (rb->nanosleep.clockid < 0)
			break;
		rec->restart_kind = CKPT_RESTART_NANOSLEEP;
		rec->restart_clock = rb->nanosleep.clockid;
		rec->restart_ns = time_left(rb->nanosleep.expires, rb->nanosleep.clockid);
		break;
	case __NR_poll:
		rec->restart_kind = CKPT_RESTART_POLL;
		rec->restart_clock = CLOCK_MONOTONIC;
		rec->restart_ns = !rb->poll.has_timeout ? ~0ULL :
				  time_left(rb->poll.tv_sec * NSEC_PER_SEC + rb->poll.tv_nsec,
					    CLOCK_MONOTONIC);
		break;
	case __NR_futex:
		rec->restart_kind = CKPT_RESTART_FUTEX;
		/* The operation is the second argument; without a timeout there is no block. */
		rec->restart_clock = task_pt_regs(t)->si & FUTEX_CLOCK_REALTIME ?
				     CLOCK_REALTIME : CLOCK_MONOTONIC;
		rec->restart_ns = time_left(rb->futex.time, rec->restart_clock);
		break;
	}
}

static int thread_dump(struct ckpt_session *s, struct ckpt_process *p, struct task_struct *t)
{
	struct sighand_struct *sighand;
	struct ckpt_rec_thread *rec;

	rec = ckpt_records_add(&s->records, CKPT_REC_THREAD, sizeof(*rec));
	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t, "no memory for its records");
	rec->tid = task_pid_nr_ns(t, s->pid_ns);
	rec->sigmask = test_tsk_restore_sigmask(t) ? t->saved_sigmask.sig[0] : t->blocked.sig[0];
	rec->sas_sp = t->sas_ss_sp;
	rec->sas_size = t->sas_ss_size;
	rec->sas_flags = t->sas_ss_flags | (t->sas_ss_size ? 0 : SS_DISABLE);
	rec->pdeath_signal = t->pdeath_signal;
	rec->robust_list = (unsigned long)t->robust_list;
	rec->clear_child_tid = (unsigned long)t->clear_child_tid;
	rec->rseq_addr = (unsigned long)t->rseq;
	rec->rseq_len = ckpt_rseq_len(t);
	rec->rseq_sig = t->rseq_sig;
	rec->timer_slack_ns = t->timer_slack_ns;
	rec->personality = t->personality;
	if (t->flags & PF_MCE_PROCESS)
		rec->flags |= t->flags & PF_MCE_EARLY ? CKPT_THREAD_MCE_EARLY : CKPT_THREAD_MCE_LATE;
	get_task_comm(rec->comm, t);
	sighand = ckpt_sighand_lock_frozen(s, t);
	if (!sighand)
		return -ESRCH;
	dump_restart(rec, t);
	ckpt_sighand_unlock(sighand);
	return 0;
}

/**
 * ckpt_thread_dump_ended() - record a first thread that has ended before the others
 * @s: the session
 * @leader: the thread
 *
 * Its id is that of the process; and its end is that of the process, if the
 * others end like it.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_thread_dump_ended(struct ckpt_session *s, struct task_struct *leader)
{
	struct ckpt_rec_thread *rec = ckpt_records_add(&s->records, CKPT_REC_THREAD, sizeof(*rec));

	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, leader, "no memory for its records");
	rec->tid = task_pid_nr_ns(leader, s->pid_ns);
	rec->flags = CKPT_THREAD_ENDED;
	rec->exit_status = leader->exit_code;
	rec->sas_flags = SS_DISABLE;
	get_task_comm(rec->comm, leader);
	return 0;
}

/**
 * ckpt_thread_check_set() - may a thread be given this?
 * @set: what it is to put in place
 * @extack: why not
 *
 * Return: 0 or -EINVAL.
 */
int ckpt_thread_check_set(const struct ckpt_thread_set *set, struct netlink_ext_ack *extack)
{
	if (!set->rseq_addr)
		return 0;
	/* What rseq(2) would have checked; the length of the original ABI only. */
	if (set->rseq_len == CKPT_RSEQ_LEN && IS_ALIGNED(set->rseq_addr, CKPT_RSEQ_LEN) &&
	    access_ok((void __user *)(unsigned long)set->rseq_addr, set->rseq_len))
		return 0;
	NL_SET_ERR_MSG(extack, "the address or size of the thread's rseq area is not valid here");
	return -EINVAL;
}

/**
 * ckpt_thread_hide() - keep the kernel from writing to current's user memory
 * @hidden: what ckpt_thread_restore() will need
 */
void ckpt_thread_hide(struct ckpt_thread_hidden *hidden)
{
	ckpt_rseq_set(0, 0, 0);
	hidden->robust_list = current->robust_list;
	hidden->clear_child_tid = current->clear_child_tid;
	current->robust_list = NULL;
	current->clear_child_tid = NULL;
}

/**
 * ckpt_thread_restore() - the last touch before current goes to user mode
 * @hidden: from ckpt_thread_hide()
 * @set: checked by ckpt_thread_check_set()
 */
void ckpt_thread_restore(const struct ckpt_thread_hidden *hidden, const struct ckpt_thread_set *set)
{
	sigset_t mask = { .sig = { set->sigmask } };

	current->robust_list = hidden->robust_list;
	current->clear_child_tid = hidden->clear_child_tid;
	if (set->rseq_addr)
		ckpt_rseq_set(set->rseq_addr, set->rseq_len, set->rseq_sig);
	sigdelsetmask(&mask, sigmask(SIGKILL) | sigmask(SIGSTOP));
	sigprocmask(SIG_SETMASK, &mask, NULL);
	ckpt_process_stop_self();
}

const struct ckpt_state_ops ckpt_thread_ops = {
	.name = "thread",
	.dump_thread = thread_dump,
};
