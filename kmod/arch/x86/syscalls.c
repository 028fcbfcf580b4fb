// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel makes most system calls again after a stop that ran no handler.
 * Those here it ends with EINTR (signal(7), "Interruption of system calls and
 * library functions by stop signals", and what is not told there), and programs
 * that were never stopped before do not expect it.
 *
 * Each of them has done nothing when it says EINTR.  So the cure is to say
 * ERESTARTNOHAND for it: the kernel makes the call again from its arguments, and
 * where a handler runs first it turns that into EINTR as ever.
 *
 * Not here: calls that have done a part and return it (a long write into a pipe,
 * recv with MSG_WAITALL), close, and ioctls.
 */
#include "arch/x86/syscalls.h"
#include <linux/audit.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/time.h>
#include <linux/uaccess.h>
#include <asm/syscall.h>
#include <asm/unistd.h>

/* Below the stack pointer a program may keep data without telling. */
#define RED_ZONE	128

enum timeout_kind {
	TIMEOUT_NONE,		/* has none, or one that is not an argument */
	TIMEOUT_MS,		/* in the register */
	TIMEOUT_TIMESPEC,	/* in memory, NULL for none */
	TIMEOUT_TIMEVAL,
};

static bool is_fragile(const struct pt_regs *regs)
{
	switch (regs->orig_ax) {
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
	case __NR_epoll_pwait2:
	case __NR_rt_sigtimedwait:
	case __NR_semop:
	case __NR_semtimedop:
	case __NR_io_getevents:
	/* EINTR only where the kernel cannot write the time left to its place. */
	case __NR_select:
	case __NR_pselect6:
	case __NR_ppoll:
	/* On a socket with SO_RCVTIMEO or SO_SNDTIMEO, and some file systems. */
	case __NR_read:
	case __NR_readv:
	case __NR_recvfrom:
	case __NR_recvmsg:
	case __NR_recvmmsg:
	case __NR_accept:
	case __NR_accept4:
	case __NR_write:
	case __NR_writev:
	case __NR_sendto:
	case __NR_sendmsg:
	case __NR_sendmmsg:
	case __NR_connect:
	case __NR_sendfile:
	case __NR_splice:
	/* On tmpfs and huge pages. */
	case __NR_fallocate:
		return true;
	default:
		return false;
	}
}

/* Where a call has its timeout.  Time of a socket's own does not count here. */
static unsigned long *find_timeout(struct pt_regs *regs, enum timeout_kind *kind)
{
	switch (regs->orig_ax) {
	case __NR_epoll_wait:
	case __NR_epoll_pwait:
		*kind = TIMEOUT_MS;
		return &regs->r10;
	case __NR_epoll_pwait2:
	case __NR_semtimedop:
		*kind = TIMEOUT_TIMESPEC;
		return &regs->r10;
	case __NR_rt_sigtimedwait:
	case __NR_ppoll:
		*kind = TIMEOUT_TIMESPEC;
		return &regs->dx;
	case __NR_io_getevents:
	case __NR_pselect6:
		*kind = TIMEOUT_TIMESPEC;
		return &regs->r8;
	case __NR_select:
		*kind = TIMEOUT_TIMEVAL;
		return &regs->r8;
	default:
		*kind = TIMEOUT_NONE;
		return NULL;
	}
}

/**
 * ckpt_syscall_is_fragile() - would an interruption end the call that a thread is in?
 * @t: current, or a thread whose stack is held
 *
 * Return: true or false; not safe from the thread's going on.
 */
bool ckpt_syscall_is_fragile(struct task_struct *t)
{
	return syscall_get_arch(t) == AUDIT_ARCH_X86_64 && is_fragile(task_pt_regs(t));
}

/**
 * ckpt_syscall_again() - have a call made again that an interruption has ended
 * @t: current, or a frozen thread whose stack is held, that has not yet come to
 *	the kernel's own decision about this
 *
 * Return: true when there was one.
 */
bool ckpt_syscall_again(struct task_struct *t)
{
	struct pt_regs *regs = task_pt_regs(t);

	if (!ckpt_syscall_is_fragile(t) || (long)regs->ax != -EINTR)
		return false;
	regs->ax = -ERESTARTNOHAND;
	return true;
}

/* Into current's memory, where a signal frame could be as well. */
static void put_below_stack(struct pt_regs *regs, const void *what, size_t size, unsigned long *arg)
{
	unsigned long at = ALIGN_DOWN(regs->sp - RED_ZONE - size, 16);

	if (!copy_to_user((void __user *)at, what, size))
		*arg = at;
}

/**
 * ckpt_syscall_set_timeout() - give the call that current makes again what is left of its time
 * @ns: time left
 *
 * Rounded up: it may be late, never early.  What cannot be written leaves the
 * whole time, as on a busy machine.
 *
 * Context: as a task work; may fault.
 */
void ckpt_syscall_set_timeout(u64 ns)
{
	struct pt_regs *regs = current_pt_regs();
	enum timeout_kind kind;
	unsigned long *arg = find_timeout(regs, &kind);

	switch (kind) {
	case TIMEOUT_MS:
		if ((int)*arg > 0)
			*arg = DIV_ROUND_UP_ULL(ns, NSEC_PER_MSEC);
		break;
	case TIMEOUT_TIMESPEC:
		if (*arg) {
			struct timespec64 ts = ns_to_timespec64(ns);
			struct __kernel_timespec left = { ts.tv_sec, ts.tv_nsec };

			put_below_stack(regs, &left, sizeof(left), arg);
		}
		break;
	case TIMEOUT_TIMEVAL:
		if (*arg) {
			struct timespec64 ts = ns_to_timespec64(ns + NSEC_PER_USEC - 1);
			struct __kernel_old_timeval left = {
				ts.tv_sec, ts.tv_nsec / NSEC_PER_USEC,
			};

			put_below_stack(regs, &left, sizeof(left), arg);
		}
		break;
	case TIMEOUT_NONE:
		break;
	}
}
