/* SPDX-License-Identifier: GPL-2.0 */
/* Per-task state: what later kernels moved.  Core code is written for 6.12. */
#ifndef CKPT_COMPAT_TASK_H
#define CKPT_COMPAT_TASK_H

#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#include <linux/rseq.h>
#endif

/* Threads that the kernel runs inside of a process: io_uring's, since 6.4 vhost's, too. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define CKPT_PF_KERNEL_WORKER	PF_IO_WORKER
#else
#define CKPT_PF_KERNEL_WORKER	(PF_IO_WORKER | PF_USER_WORKER)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#define task_is_runnable(t)	READ_ONCE((t)->on_rq)
#endif

/*
 * Off its CPU, and off the run queue or, since 6.12, on it only to be taken off
 * when its turn comes: nothing but a wake-up can change that.
 */
static inline bool ckpt_task_asleep(struct task_struct *t)
{
	return READ_ONCE(t->__state) && !task_is_runnable(t) && !smp_load_acquire(&t->on_cpu);
}

/* The original size of struct rseq, and the only one before 6.3. */
#define CKPT_RSEQ_LEN		32

static inline u32 ckpt_rseq_len(const struct task_struct *t)
{
	if (!t->rseq)
		return 0;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return CKPT_RSEQ_LEN;
#else
	return t->rseq_len;
#endif
}

/* Of current, so that nobody else sees it half written; 0 for none. */
static inline void ckpt_rseq_set(u64 addr, u32 len, u32 sig)
{
	preempt_disable();
	current->rseq = (struct rseq __user *)(unsigned long)addr;
	current->rseq_sig = sig;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	current->rseq_len = len;
#endif
	/* Has the CPU number written and a critical section aborted on the way to user mode. */
	if (addr)
		rseq_preempt(current);
	preempt_enable();
}

/* signal->posix_timers, under siglock. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#define ckpt_for_each_posix_timer(timer, sig) \
	list_for_each_entry(timer, &(sig)->posix_timers, list)
#else
#define ckpt_for_each_posix_timer(timer, sig) \
	hlist_for_each_entry(timer, &(sig)->posix_timers, list)
#endif

#endif
