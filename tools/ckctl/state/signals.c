// SPDX-License-Identifier: GPL-2.0
/*
 * Signals.  The module saves actions, masks, pending signals with all that
 * they carry, and alternate stacks.  Restored from here: the actions, then the
 * pending signals, by each thread for itself, as a signal may be said to come
 * from somebody else only by its own receiver.  All of it while everything is
 * blocked: the module sets the saved masks when it lets the threads go.
 * Alternate stacks are a matter of each thread (restart/thread.c).
 */
#include "signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "out.h"
#include "state.h"

#define NR_SIGNALS	64
#define SIGINFO_SIZE	128

/* What exec(3) would leave of it. */
static struct ckpt_sigaction anew(const struct image_process *p, int sig)
{
	bool ignored = p->relaunch->rec->ignored >> (sig - 1) & 1;

	return (struct ckpt_sigaction){ .handler = (uintptr_t)(ignored ? SIG_IGN : SIG_DFL) };
}

static int signals_restore(struct restore *r, const struct image_process *p)
{
	int sig;

	(void)r;
	for (sig = 1; sig <= NR_SIGNALS; sig++) {
		struct ckpt_sigaction action = p->relaunch ? anew(p, sig) : p->sigactions[sig - 1];

		/* libc's sigaction(3) would keep two signals for itself and use its own restorer. */
		if (sig == SIGKILL || sig == SIGSTOP)
			continue;
		if (syscall(SYS_rt_sigaction, sig, &action, NULL, NR_SIGNALS / 8) < 0)
			return fail_errno(errno, "process %d (%.15s): cannot set the action of signal %d",
					  p->rec->pid, p->rec->comm, sig);
	}
	return CK_OK;
}

static int queue(const struct image_process *p, pid_t tid, const void *infos, size_t nr)
{
	const char *info = infos;
	size_t i;

	for (i = 0; i < nr; i++, info += SIGINFO_SIZE) {
		int sig = ((const siginfo_t *)info)->si_signo;
		long rc;

		if (tid)
			rc = syscall(SYS_rt_tgsigqueueinfo, p->rec->pid, tid, sig, info);
		else
			rc = syscall(SYS_rt_sigqueueinfo, p->rec->pid, sig, info);
		if (rc < 0)
			return fail_errno(errno, "process %d (%.15s): cannot make signal %d pending again",
					  p->rec->pid, p->rec->comm, sig);
	}
	return CK_OK;
}

int signals_queue(const struct image_process *p)
{
	return queue(p, 0, p->sigqueue, p->nr_sigqueue);
}

int signals_queue_thread(const struct image_process *p, const struct image_thread *t)
{
	return queue(p, t->rec->tid, t->sigqueue, t->nr_sigqueue);
}

const struct state_ops state_signals = {
	.name = "signals",
	.saved = "signal actions, masks, pending signals with their data, alternate stacks",
	.refused = "traced processes",
	.restore = signals_restore,
};
