// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: scheduling policy, nice value, real-time priority, I/O priority and CPU
 * mask of each thread.
 *
 * Not saved on purpose: NUMA memory policies, which name nodes of the machine
 * that the job ran on, and the autogroup, which is a matter of the session.
 * Refused: SCHED_DEADLINE, whose bandwidth must be reserved.
 *
 * Restored by the skeletons with sched_setattr(2), ioprio_set(2) and
 * sched_setaffinity(2).
 */
#include "state/sched.h"
#include <linux/cpumask.h>
#include <linux/iocontext.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/prio.h>
#include <linux/sched/task.h>
#include "report.h"
#include "state/state.h"

static int sched_check(struct ckpt_session *s, struct ckpt_process *p)
{
	unsigned int i;

	for (i = 0; i < p->nr_threads; i++)
		if (p->threads[i]->policy == SCHED_DEADLINE)
			return ckpt_obstacle(s, -EOPNOTSUPP, p->threads[i],
					     "it has the scheduling policy SCHED_DEADLINE, which cannot be saved; \"chrt -o -p 0 %d\" takes it back",
					     task_pid_nr_ns(p->threads[i], s->pid_ns));
	return 0;
}

static u32 ioprio_of(struct task_struct *t)
{
	u32 ioprio = 0;

	task_lock(t);
	if (t->io_context)
		ioprio = t->io_context->ioprio;
	task_unlock(t);
	return ioprio;
}

static int sched_dump_thread(struct ckpt_session *s, struct ckpt_process *p, struct task_struct *t)
{
	unsigned int words = BITS_TO_LONGS(min_t(unsigned int, nr_cpu_ids, CKPT_MAX_CPUS));
	struct ckpt_rec_sched *rec;

	rec = ckpt_records_add(&s->records, CKPT_REC_SCHED, sizeof(*rec) + words * sizeof(long));
	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t, "no memory for its records");
	rec->policy = t->policy;
	rec->nice = PRIO_TO_NICE(t->static_prio);
	rec->rt_priority = t->rt_priority;
	if (t->sched_reset_on_fork)
		rec->flags |= CKPT_SCHED_RESET_ON_FORK;
	rec->ioprio = ioprio_of(t);
	rec->cpus_len = words * sizeof(long);
	memcpy(rec + 1, cpumask_bits(&t->cpus_mask), rec->cpus_len);
	return 0;
}

const struct ckpt_state_ops ckpt_sched_ops = {
	.name = "scheduling",
	.check = sched_check,
	.dump_thread = sched_dump_thread,
};
