// SPDX-License-Identifier: GPL-2.0
/* The kinds of state, in the order of their records, and the walk over them. */
#include "state/state.h"
#include <linux/sched.h>
#include "arch/x86/regs.h"
#include "report.h"
#include "state/mapped.h"
#include "state/mm.h"
#include "state/process.h"
#include "state/sched.h"
#include "state/signals.h"
#include "state/thread.h"
#include "state/timers.h"
#include "state/zombie.h"

/*
 * process and thread first: their records open what the others' belong to.
 * Timers before signals: one that expires in between is saved twice, not lost.
 */
const struct ckpt_state_ops *const ckpt_state_table[] = {
	&ckpt_process_ops,
	&ckpt_thread_ops,
	&ckpt_regs_ops,
	&ckpt_sched_ops,
	&ckpt_mm_ops,
	&ckpt_timers_ops,
	&ckpt_signals_ops,
	NULL,
};

/**
 * ckpt_state_check() - can every process of the session be saved?
 * @s: the session, frozen and proved
 *
 * What is left out need only not share memory with what is not.
 *
 * All are looked at, so that whoever has to remove the obstacles knows them all.
 *
 * Return: 0 or a noted failure, of the first obstacle.
 */
int ckpt_state_check(struct ckpt_session *s)
{
	const struct ckpt_state_ops *const *ops;
	unsigned int i;
	int ret;

	for (i = 0; i < s->nr_procs; i++) {
		if (ckpt_session_stopped(s))
			return -ECANCELED;
		if (s->procs[i].omitted)
			continue;
		for (ops = ckpt_state_table; *ops; ops++) {
			ret = (*ops)->check ? (*ops)->check(s, &s->procs[i]) : 0;
			if (ret)
				return ret;
		}
		cond_resched();
	}
	ret = ckpt_process_check_sharing(s);
	if (!ret)
		ret = ckpt_zombies_check(s);
	return ret ?: -s->failure.err;
}

static int dump_process(struct ckpt_session *s, struct ckpt_process *p)
{
	const struct ckpt_state_ops *const *ops;
	unsigned int i;
	int ret;

	for (ops = ckpt_state_table; *ops; ops++) {
		ret = (*ops)->dump ? (*ops)->dump(s, p) : 0;
		if (ret)
			return ret;
	}
	if (p->alive != p->leader) {
		ret = ckpt_thread_dump_ended(s, p->leader);
		if (ret)
			return ret;
	}
	for (i = 0; i < p->nr_threads; i++) {
		for (ops = ckpt_state_table; *ops; ops++) {
			ret = (*ops)->dump_thread ? (*ops)->dump_thread(s, p, p->threads[i]) : 0;
			if (ret)
				return ret;
		}
	}
	return 0;
}

/**
 * ckpt_state_dump() - record the state of every process and thread
 * @s: the session, checked
 *
 * Return: 0 or a noted failure.
 */
int ckpt_state_dump(struct ckpt_session *s)
{
	unsigned int i;
	int ret = ckpt_zombies_dump(s);

	ckpt_mapped_begin(s);
	for (i = 0; i < s->nr_procs && !ret; i++) {
		if (s->procs[i].omitted)
			continue;
		ret = ckpt_session_stopped(s) ? -ECANCELED : dump_process(s, &s->procs[i]);
		cond_resched();
	}
	ckpt_mapped_end(s);
	return ret;
}
