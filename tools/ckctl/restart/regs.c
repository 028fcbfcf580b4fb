// SPDX-License-Identifier: GPL-2.0
/*
 * A thread that was frozen inside of a system call has its number in orig_rax
 * and a "restart me" code in rax.  The module lets it go through the kernel's
 * own code for that, which restarts the call from its arguments, or makes it
 * end with EINTR when a handler runs first.
 *
 * Left to do here are timeouts.  Of some calls with a relative one the kernel
 * remembers the time left in memory that is gone: they get it as argument
 * instead, placed below the stack, where a signal frame could be as well.  And
 * deadlines on a clock that begins with each boot are moved: by what this clock
 * differs now from what it was at the checkpoint.
 *
 * Deadlines that a program has only in its variables cannot be seen from here.
 */
#include "restart.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <time.h>

#include "clock.h"
#include "out.h"

/* linux/errno.h of the kernel: never seen by programs. */
#define ERESTARTSYS		512
#define ERESTARTNOHAND		514
#define ERESTART_RESTARTBLOCK	516

#define RED_ZONE		128
#define NSEC_PER_SEC		1000000000ULL
#define NO_SYSCALL		(~0ULL)

/* From the arguments, but EINTR when a handler runs, as it was before. */
static void again(struct user_regs_struct *regs, unsigned long long nr)
{
	regs->orig_rax = nr;
	regs->rax = (unsigned long long)-ERESTARTNOHAND;
}

/* @ns into the thread's memory, its address into @arg; what cannot be written
 * leaves the whole time, which no program can tell from a busy machine. */
static void put_timespec(const struct image_thread *t, const struct user_regs_struct *regs,
			 uint64_t ns, unsigned long long *arg)
{
	struct timespec ts = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};
	uint64_t at = (regs->rsp - RED_ZONE - sizeof(ts)) & ~(uint64_t)15;
	struct iovec from = { &ts, sizeof(ts) }, to = { (void *)at, sizeof(ts) };

	if (process_vm_writev(t->rec->tid, &from, 1, &to, 1, 0) == sizeof(ts))
		*arg = at;
}

static void futex_again(const struct image_thread *t, struct user_regs_struct *regs)
{
	const struct ckpt_rec_thread *rec = t->rec;
	int op = (int)regs->rsi & FUTEX_CMD_MASK;

	/* A time of day stays what it is; the other clocks begin anew with each boot. */
	if (op == FUTEX_WAIT)
		put_timespec(t, regs, rec->restart_ns, &regs->r10);
	else if (op == FUTEX_WAIT_BITSET && rec->restart_clock == CLOCK_MONOTONIC)
		put_timespec(t, regs, clock_ns(CLOCK_MONOTONIC) + rec->restart_ns, &regs->r10);
	again(regs, SYS_futex);
}

/* A call that was restarted before has the number of restart_syscall(2). */
static void timeout_again(const struct image_thread *t, struct user_regs_struct *regs)
{
	const struct ckpt_rec_thread *rec = t->rec;

	switch (rec->restart_kind) {
	case CKPT_RESTART_NANOSLEEP:
		/* A clock is a small number, nanosleep's first argument an address. */
		if (regs->orig_rax == SYS_clock_nanosleep || regs->rdi < CKPT_PAGE_SIZE) {
			put_timespec(t, regs, rec->restart_ns, &regs->rdx);
			again(regs, SYS_clock_nanosleep);
		} else {
			put_timespec(t, regs, rec->restart_ns, &regs->rdi);
			again(regs, SYS_nanosleep);
		}
		return;
	case CKPT_RESTART_POLL:
		if (rec->restart_ns != ~0ULL)
			regs->rdx = (rec->restart_ns + 999999) / 1000000;
		again(regs, SYS_poll);
		return;
	case CKPT_RESTART_FUTEX:
		if (rec->restart_ns != ~0ULL)
			futex_again(t, regs);
		else
			again(regs, SYS_futex);
		return;
	}
}

/* Code of this kernel's vdso is the only one that is known in every process. */
static uint64_t find_syscall(const struct restart *r, const struct image_process *p)
{
	static const unsigned char insn[] = { 0x0f, 0x05 };
	const unsigned char *code;
	struct vdso_place place;

	if (!p->mm->vdso_end || vdso_old_place(&r->vdso_old, p, &r->vdso, &place) || !r->code.end)
		return 0;
	code = memmem((const void *)r->code.start, r->code.end - r->code.start, insn, sizeof(insn));
	return code ? place.own + ((uint64_t)code - r->vdso.start) : 0;
}

int regs_end(const struct restart *r, const struct image_process *p, struct user_regs_struct *regs)
{
	uint64_t at = find_syscall(r, p);

	if (!at)
		return fail(CK_REFUSED, "the first thread of process %d (%.15s) had ended before the "
			    "others, which takes a vdso to make again, and it has none", p->rec->pid,
			    p->rec->comm);
	/* exit(2), of this thread only; no signal comes in between, all are blocked. */
	*regs = *(const struct user_regs_struct *)p->threads[1].regs;
	regs->rip = at;
	regs->rax = SYS_exit;
	regs->rdi = p->threads[0].rec->exit_status >> 8;
	regs->orig_rax = NO_SYSCALL;
	return CK_OK;
}

/* The timespec at @arg is a deadline on @clock. */
static void move_deadline(const struct image_process *p, const struct image_thread *t,
			  const struct user_regs_struct *regs, unsigned long long clock,
			  unsigned long long *arg)
{
	struct timespec ts;
	struct iovec to = { &ts, sizeof(ts) }, from = { (void *)*arg, sizeof(ts) };
	uint64_t then, deadline;

	switch (clock) {
	case CLOCK_MONOTONIC:
		then = p->rec->monotonic_ns;
		break;
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		clock = CLOCK_BOOTTIME;
		then = p->rec->boottime_ns;
		break;
	default:
		return;
	}
	if (!*arg || process_vm_readv(t->rec->tid, &to, 1, &from, 1, 0) != sizeof(ts))
		return;
	/* One that is as good as never, or that the kernel will refuse, stays. */
	if (ts.tv_sec < 0 || (uint64_t)ts.tv_sec >= INT64_MAX / NSEC_PER_SEC / 2 || ts.tv_nsec < 0 ||
	    (uint64_t)ts.tv_nsec >= NSEC_PER_SEC)
		return;
	deadline = (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
	put_timespec(t, regs, clock_ns((clockid_t)clock) + (deadline > then ? deadline - then : 0), arg);
}

/* A call that is made again from its arguments, whose timeout is a deadline. */
static void deadline_again(const struct image_process *p, const struct image_thread *t,
			   struct user_regs_struct *regs)
{
	int op = (int)regs->rsi & FUTEX_CMD_MASK;

	switch (regs->orig_rax) {
	case SYS_clock_nanosleep:
		if (regs->rsi & TIMER_ABSTIME)
			move_deadline(p, t, regs, regs->rdi, &regs->rdx);
		return;
	case SYS_futex_waitv:
		move_deadline(p, t, regs, regs->r8, &regs->r10);
		return;
	case SYS_futex:
		if ((op == FUTEX_LOCK_PI2 || op == FUTEX_WAIT_REQUEUE_PI) &&
		    !(regs->rsi & FUTEX_CLOCK_REALTIME))
			move_deadline(p, t, regs, CLOCK_MONOTONIC, &regs->r10);
		return;
	}
}

int regs_restart(const struct image_process *p, const struct image_thread *t,
		 struct user_regs_struct *regs)
{
	unsigned long long code;

	if (t->regs_len != sizeof(*regs))
		return fail(CK_DAMAGED, "the image has registers of an impossible size for thread %d",
			    t->rec->tid);
	memcpy(regs, t->regs, sizeof(*regs));
	code = -regs->rax;
	if (regs->orig_rax == NO_SYSCALL)
		return CK_OK;
	if (code == ERESTART_RESTARTBLOCK)
		timeout_again(t, regs);
	else if (code >= ERESTARTSYS && code <= ERESTARTNOHAND)
		deadline_again(p, t, regs);
	return CK_OK;
}
