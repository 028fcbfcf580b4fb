/* SPDX-License-Identifier: GPL-2.0 */
/* What a task's own clocks show, which a time namespace sets apart from the machine's. */
#ifndef CKPT_CLOCK_H
#define CKPT_CLOCK_H

#include <linux/nsproxy.h>
#include <linux/sched/task.h>
#include <linux/time_namespace.h>

/**
 * ckpt_clock_offsets() - what a task's clocks show more than the machine's
 * @t: the task; one that is ending has the machine's clocks
 * @monotonic_ns: of CLOCK_MONOTONIC
 * @boottime_ns: of CLOCK_BOOTTIME
 */
static inline void ckpt_clock_offsets(struct task_struct *t, s64 *monotonic_ns, s64 *boottime_ns)
{
	*monotonic_ns = 0;
	*boottime_ns = 0;
	task_lock(t);
	if (t->nsproxy) {
		*monotonic_ns = timespec64_to_ns(&t->nsproxy->time_ns->offsets.monotonic);
		*boottime_ns = timespec64_to_ns(&t->nsproxy->time_ns->offsets.boottime);
	}
	task_unlock(t);
}

#endif
