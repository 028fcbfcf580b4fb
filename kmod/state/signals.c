// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: the actions of all signals, and what is pending for the process and
 * for each thread, with its siginfo.
 *
 * Not saved: a pending SIGKILL, which ends the job anyhow, and pending SIGSTOP
 * and SIGCONT, which are about the job that runs on.  Whether a process is
 * stopped is saved with the process.
 *
 * Restored by the skeletons with sigaction(2) and rt_sigqueueinfo(2).
 */
#include "state/signals.h"
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/slab.h>
#include "report.h"
#include "state/sighand.h"
#include "state/state.h"

#define SIGINFO_SIZE		sizeof(siginfo_t)
#define SIGINFOS_A_RECORD	256
#define SIGINFO_MAX		65536

/* Of the signals without any order. */
#define NOT_SAVED	(sigmask(SIGKILL) | sigmask(SIGSTOP) | sigmask(SIGCONT))

/**
 * struct queue - pending signals, copied
 * @info: room for @room of them
 * @room: how many
 * @nr: how many there are, which may be more
 */
struct queue {
	siginfo_t *info;
	unsigned int room;
	unsigned int nr;
};

static void queue_add(struct queue *q, const kernel_siginfo_t *info)
{
	if (q->nr < q->room)
		copy_siginfo_to_external(&q->info[q->nr], info);
	q->nr++;
}

/* Under siglock: a signal's siginfos in order of arrival, then those without any. */
static void queue_read(struct queue *q, const struct sigpending *pending)
{
	sigset_t without = pending->signal;
	const struct sigqueue *entry;
	kernel_siginfo_t info;
	int sig;

	q->nr = 0;
	list_for_each_entry(entry, &pending->list, list) {
		sig = entry->info.si_signo;
		sigdelset(&without, sig);
		if (!(sig < SIGRTMIN && sigmask(sig) & NOT_SAVED))
			queue_add(q, &entry->info);
	}
	sigdelsetmask(&without, NOT_SAVED);
	for (sig = 1; sig <= _NSIG; sig++) {
		if (!sigismember(&without, sig))
			continue;
		/* The kernel had no memory for it: as it would deliver it. */
		clear_siginfo(&info);
		info.si_signo = sig;
		info.si_code = SI_USER;
		queue_add(q, &info);
	}
}

static int record_queue(struct ckpt_session *s, struct task_struct *t, const struct queue *q)
{
	unsigned int i, n;
	void *rec;

	for (i = 0; i < q->nr; i += n) {
		n = min_t(unsigned int, q->nr - i, SIGINFOS_A_RECORD);
		rec = ckpt_records_add(&s->records, CKPT_REC_SIGQUEUE, n * SIGINFO_SIZE);
		if (!rec)
			return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t,
					 "no memory for the records of its pending signals");
		memcpy(rec, q->info + i, n * SIGINFO_SIZE);
	}
	return 0;
}

/* Nothing is allocated under siglock: count, make room, and look again. */
static int dump_queue(struct ckpt_session *s, struct task_struct *t, struct sigpending *pending)
{
	struct sighand_struct *sighand;
	struct queue q = {};
	int ret;

	if (list_empty_careful(&pending->list) && sigisemptyset(&pending->signal))
		return 0;
	for (;;) {
		ret = -ESRCH;
		sighand = ckpt_sighand_lock(s, t);
		if (!sighand)
			goto out;
		queue_read(&q, pending);
		ckpt_sighand_unlock(sighand);
		if (q.nr <= q.room)
			break;
		kvfree(q.info);
		q.room = q.nr + 8;
		q.info = q.room > SIGINFO_MAX ? NULL : kvmalloc_array(q.room, SIGINFO_SIZE, GFP_KERNEL);
		if (!q.info)
			return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t,
					 "no memory for its %u pending signals", q.nr);
	}
	ret = record_queue(s, t, &q);
out:
	kvfree(q.info);
	return ret;
}

static int signals_dump(struct ckpt_session *s, struct ckpt_process *p)
{
	struct task_struct *t = p->leader;
	struct sighand_struct *sighand;
	struct ckpt_sigaction *rec;
	unsigned int i;

	rec = ckpt_records_add(&s->records, CKPT_REC_SIGACTIONS, _NSIG * sizeof(*rec));
	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t,
				 "no memory for the records of its signal actions");
	sighand = ckpt_sighand_lock(s, t);
	if (!sighand)
		return -ESRCH;
	for (i = 0; i < _NSIG; i++) {
		const struct sigaction *sa = &sighand->action[i].sa;

		rec[i].handler = (unsigned long)sa->sa_handler;
		rec[i].flags = sa->sa_flags;
		rec[i].restorer = (unsigned long)sa->sa_restorer;
		rec[i].mask = sa->sa_mask.sig[0];
	}
	ckpt_sighand_unlock(sighand);
	return dump_queue(s, t, &t->signal->shared_pending);
}

static int signals_dump_thread(struct ckpt_session *s, struct ckpt_process *p,
			       struct task_struct *t)
{
	return dump_queue(s, t, &t->pending);
}

const struct ckpt_state_ops ckpt_signals_ops = {
	.name = "signals",
	.dump = signals_dump,
	.dump_thread = signals_dump_thread,
};
