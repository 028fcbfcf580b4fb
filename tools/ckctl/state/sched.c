// SPDX-License-Identifier: GPL-2.0
/*
 * Scheduling: the nice value.
 *
 * Not saved on purpose: CPU affinity and I/O priority, which belong to the
 * place where the job runs.  Refused: real-time, deadline, batch and idle
 * policies, and threads with a nice value other than their process's.
 */
#include <errno.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "out.h"
#include "proc.h"
#include "state.h"

static const char *policy_name(unsigned int policy)
{
	static const char *const known[] = {
		[SCHED_FIFO] = "SCHED_FIFO", [SCHED_RR] = "SCHED_RR", [SCHED_BATCH] = "SCHED_BATCH",
		[SCHED_IDLE] = "SCHED_IDLE", [SCHED_DEADLINE] = "SCHED_DEADLINE",
	};

	if (policy < sizeof(known) / sizeof(known[0]) && known[policy])
		return known[policy];
	return "unknown";
}

static int check_thread(struct dump *d, const struct proc *p, pid_t tid, int *nice)
{
	struct sched_attr attr;

	if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0)
		return fail_errno(errno, "pid %d: cannot read the scheduling of thread %d", p->pid,
				  tid);
	if (attr.sched_policy != SCHED_NORMAL)
		return obstacle(d, p->pid,
				"thread %d has the scheduling policy %s, which cannot be "
				"saved; \"chrt -o -p 0 %d\" takes it back",
				tid, policy_name(attr.sched_policy), tid);
	if (tid == p->pid)
		*nice = attr.sched_nice;
	else if (attr.sched_nice != *nice)
		return obstacle(d, p->pid, "thread %d has the nice value %d, its process %d, which "
				"cannot be saved; give all threads the same", tid, attr.sched_nice,
				*nice);
	return CK_OK;
}

static int sched_check(struct dump *d)
{
	size_t i, t;
	int rc;

	d->nice = dump_alloc(d, d->nr_procs * sizeof(*d->nice));
	if (!d->nice)
		return CK_FAILED;
	for (i = 0; i < d->nr_procs; i++) {
		const struct proc *p = &d->procs[i];

		rc = check_thread(d, p, p->pid, &d->nice[i]);
		for (t = 0; t < p->nr_tids && !rc; t++)
			if (p->tids[t] != p->pid)
				rc = check_thread(d, p, p->tids[t], &d->nice[i]);
		if (rc)
			return rc;
	}
	return CK_OK;
}

static int sched_dump(struct dump *d)
{
	size_t i;
	int rc;

	for (i = 0; i < d->nr_procs; i++) {
		struct ckpt_rec_sched rec = { .pid = d->procs[i].pid, .nice = d->nice[i] };

		rc = image_put(d->writer, CKPT_REC_SCHED, &rec, sizeof(rec), NULL, 0);
		if (rc)
			return rc;
	}
	return CK_OK;
}

/* Threads that the skeleton makes later inherit the value. */
static int sched_restore(struct restore *r, const struct image_process *p)
{
	(void)r;
	if (setpriority(PRIO_PROCESS, 0, p->sched->nice) == 0)
		return CK_OK;
	/* A better place in the queue is a right that its restorer may not have. */
	if (errno == EACCES || errno == EPERM) {
		note("pid %d (%s) had the nice value %d, which you may not give it", p->rec->pid,
		     p->rec->comm, p->sched->nice);
		return CK_OK;
	}
	return fail_errno(errno, "pid %d (%s): cannot set the nice value %d", p->rec->pid,
			  p->rec->comm, p->sched->nice);
}

const struct state_ops state_sched = {
	.name = "sched",
	.saved = "nice value",
	.refused =
		"real-time, deadline, batch and idle policies; threads with their own nice value",
	.check = sched_check,
	.dump = sched_dump,
	.restore = sched_restore,
};
