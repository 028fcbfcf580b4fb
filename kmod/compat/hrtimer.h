/* SPDX-License-Identifier: GPL-2.0 */
/* The timers that threads sleep on, seen from the public structures alone. */
#ifndef CKPT_COMPAT_HRTIMER_H
#define CKPT_COMPAT_HRTIMER_H

#include <linux/hrtimer.h>
#include <linux/percpu.h>
#include <linux/timerqueue.h>

/*
 * The timers' bases and the function of a sleeper are the kernel's own, but a
 * sleeper that it makes for us shows both.
 */
struct ckpt_hrtimers {
	struct hrtimer_sleeper model;
};

static inline void ckpt_hrtimers_init(struct ckpt_hrtimers *h)
{
	hrtimer_init_sleeper(&h->model, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
}

static inline struct hrtimer_cpu_base *ckpt_hrtimers_of_cpu(const struct ckpt_hrtimers *h, int cpu)
{
	struct hrtimer_cpu_base *base = h->model.timer.base->cpu_base;

	return (void *)base - per_cpu_offset(base->cpu) + per_cpu_offset(cpu);
}

/* Who sleeps on a timer that is armed, under its base's lock; NULL for another kind of timer. */
static inline struct task_struct *ckpt_hrtimer_task(const struct ckpt_hrtimers *h,
						    const struct hrtimer *timer)
{
	if (timer->function != h->model.timer.function)
		return NULL;
	return container_of(timer, struct hrtimer_sleeper, timer)->task;
}

#endif
