// SPDX-License-Identifier: GPL-2.0
/*
 * The threads of a skeleton beside its leader.
 *
 * They are made by a bare clone3(2), with their saved ids, and share the
 * leader's thread-local storage, which libc knows nothing of.  So only one
 * thread of a skeleton runs at a time: the leader sleeps until the thread it
 * made is done with libc; all that the thread does then is to send PARK.
 */
#include "restart.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../out.h"
#include "../state/sched.h"
#include "../state/signals.h"
#include "raw.h"

/* At the top of a thread's stack; the leader waits for @done. */
struct thread_start {
	struct restart *r;
	const struct image_process *process;
	const struct image_thread *thread;
	struct request park;
	int socket_fd;
	uint32_t done;
};

extern const struct state_ops state_cred;

int thread_settle(const struct image_thread *t)
{
	const struct ckpt_rec_thread *rec = t->rec;
	uint32_t mce = rec->flags & (CKPT_THREAD_MCE_EARLY | CKPT_THREAD_MCE_LATE);
	stack_t sas = {
		.ss_sp = (void *)rec->sas_sp,
		.ss_size = rec->sas_size,
		.ss_flags = rec->sas_size ? (int)(rec->sas_flags & ~(SS_ONSTACK | SS_DISABLE)) :
					    SS_DISABLE,
	};

	if (sigaltstack(&sas, NULL) < 0)
		return fail_errno(errno, "thread %d (%.15s): cannot set its signal stack", rec->tid,
				  rec->comm);
	if (prctl(PR_SET_NAME, rec->comm, 0, 0, 0) < 0)
		return fail_errno(errno, "thread %d (%.15s): cannot set its name", rec->tid, rec->comm);
	/* 0, which real-time threads have, would mean the default. */
	if (rec->timer_slack_ns && prctl(PR_SET_TIMERSLACK, rec->timer_slack_ns, 0, 0, 0) < 0)
		return fail_errno(errno, "thread %d (%.15s): cannot set its timer slack", rec->tid,
				  rec->comm);
	if (prctl(PR_MCE_KILL, mce ? PR_MCE_KILL_SET : PR_MCE_KILL_CLEAR,
		  mce == CKPT_THREAD_MCE_EARLY ? PR_MCE_KILL_EARLY : 0, 0, 0) < 0)
		return fail_errno(errno, "thread %d (%.15s): cannot set its machine check policy",
				  rec->tid, rec->comm);
	/*
	 * Pointers into memory that is not there yet.  Should this thread die
	 * before, the kernel finds nothing at them, which it takes quietly.
	 */
	if (syscall(SYS_set_robust_list, rec->robust_list, 24) < 0)
		return fail_errno(errno, "thread %d (%.15s): cannot set its robust list", rec->tid,
				  rec->comm);
	syscall(SYS_set_tid_address, rec->clear_child_tid);
	/* From here on the end of the session is what a thread dies with. */
	if (prctl(PR_SET_PDEATHSIG, rec->pdeath_signal, 0, 0, 0) < 0)
		return fail_errno(errno, "thread %d (%.15s): cannot set its parent death signal",
				  rec->tid, rec->comm);
	return CK_OK;
}

int thread_personality(const struct image_thread *t)
{
	if (personality(t->rec->personality) < 0)
		return fail_errno(errno, "thread %d (%.15s): cannot set its personality", t->rec->tid,
				  t->rec->comm);
	return CK_OK;
}

static void __attribute__((noreturn)) thread_main(struct thread_start *start)
{
	const struct image_thread *t = start->thread;
	struct restart *r = start->r;
	int rc;

	rc = signals_queue_thread(start->process, t);
	if (!rc)
		rc = sched_settle(&r->state, t);
	if (!rc)
		rc = state_cred.restore(&r->state, start->process);
	if (!rc)
		rc = thread_settle(t);
	if (!rc)
		rc = thread_personality(t);
	if (rc)
		report_failure(r, t->rec->tid, rc);
	__atomic_store_n(&start->done, 1, __ATOMIC_RELEASE);
	raw_syscall(SYS_futex, (long)&start->done, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
	/* The leader runs: no libc from here on. */
	request_send(r, start->socket_fd, &start->park, t->rec->tid);
	raw_syscall(SYS_exit_group, 1, 0, 0, 0, 0, 0);
	__builtin_unreachable();
}

/* clone3(2) of a thread that begins with @fn(@arg) on the stack in @args. */
static long clone_thread(const struct clone_args *args, void (*fn)(struct thread_start *),
			 struct thread_start *arg)
{
	register void *function __asm__("r12") = (void *)fn;
	register void *argument __asm__("r13") = arg;
	long rc;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "call *%%r12\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(rc)
			 : "0"(SYS_clone3), "D"(args), "S"(sizeof(*args)), "r"(function),
			   "r"(argument)
			 : "rcx", "r11", "memory");
	return rc;
}

static int spawn(struct restart *r, const struct image_process *p, const struct image_thread *t,
		 int socket_fd, char *stack)
{
	struct thread_start *start = (struct thread_start *)(stack + THREAD_STACK) - 1;
	size_t room = ((size_t)((char *)start - stack)) & ~(size_t)63;
	pid_t tid = t->rec->tid;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			 CLONE_SYSVSEM,
		.stack = (uintptr_t)stack,
		.stack_size = room,
		.set_tid = (uintptr_t)&tid,
		.set_tid_size = 1,
	};
	long rc;

	start->r = r;
	start->process = p;
	start->thread = t;
	start->socket_fd = socket_fd;
	request_make(&start->park, r, CKPT_CMD_PARK, NULL);
	rc = clone_thread(&args, thread_main, start);
	if (rc < 0)
		return clone_failed((int)-rc, "thread", tid, t->rec->comm);
	while (!__atomic_load_n(&start->done, __ATOMIC_ACQUIRE))
		raw_syscall(SYS_futex, (long)&start->done, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0);
	return CK_OK;
}

int threads_spawn(struct restart *r, const struct image_process *p, int socket_fd, char *stacks)
{
	size_t i;
	int rc = CK_OK;

	for (i = 1; i < p->nr_threads && !rc; i++)
		rc = spawn(r, p, &p->threads[i], socket_fd, stacks + (i - 1) * THREAD_STACK);
	return rc;
}
