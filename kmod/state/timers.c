// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: the three interval timers and all POSIX timers on wall clocks and on
 * the process's own CPU clock, with the time left.
 *
 * Refused: POSIX timers on other clocks: of single threads or other processes,
 * alarms that wake the machine, devices.
 *
 * Restored by the skeletons with setitimer(2), timer_create(2) and
 * timer_settime(2), with the time that was left.  Until the process goes on it
 * may still be long, for its memory has to be read in: so those that count real
 * time are armed far ahead, and moved here at COMMIT to where they belong.
 */
#include "state/timers.h"
#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/posix-timers.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "clock.h"
#include "compat/task.h"
#include "report.h"
#include "state/sighand.h"
#include "state/state.h"

#define TIMERS_MAX	65536

/* What the process has used, of a clock on which a timer of it is armed. */
static u64 cpu_clock(const struct signal_struct *sig, unsigned int which)
{
	const struct task_cputime_atomic *used = &sig->cputimer.cputime_atomic;

	switch (which) {
	case CPUCLOCK_PROF:
		return atomic64_read(&used->utime) + atomic64_read(&used->stime);
	case CPUCLOCK_VIRT:
		return atomic64_read(&used->utime);
	default:
		return atomic64_read(&used->sum_exec_runtime);
	}
}

/* What is left of an armed timer: it expires at once rather than never. */
static u64 left(u64 expires, u64 now)
{
	return expires > now ? expires - now : 1;
}

static void read_cpu_itimer(struct ckpt_rec_itimer *rec, const struct signal_struct *sig,
			    unsigned int which)
{
	const struct cpu_itimer *it = &sig->it[which];

	rec->interval_ns = it->incr;
	rec->value_ns = it->expires ? left(it->expires, cpu_clock(sig, which)) : 0;
}

static void read_real_itimer(struct ckpt_rec_itimer *rec, struct signal_struct *sig)
{
	rec->interval_ns = ktime_to_ns(sig->it_real_incr);
	if (hrtimer_active(&sig->real_timer))
		rec->value_ns = left(ktime_to_ns(hrtimer_get_expires(&sig->real_timer)),
				     ktime_to_ns(hrtimer_cb_get_time(&sig->real_timer)));
	else
		/* A periodic one that has expired is armed again as SIGALRM is delivered. */
		rec->value_ns = rec->interval_ns;
}

static int dump_itimers(struct ckpt_session *s, struct ckpt_process *p)
{
	struct signal_struct *sig = p->leader->signal;
	struct sighand_struct *sighand;
	struct ckpt_rec_itimer *rec;

	rec = ckpt_records_add(&s->records, CKPT_REC_ITIMERS, 3 * sizeof(*rec));
	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, p->leader,
				 "no memory for the records of its timers");
	sighand = ckpt_sighand_lock(s, p->leader);
	if (!sighand)
		return -ESRCH;
	read_real_itimer(&rec[0], sig);
	read_cpu_itimer(&rec[1], sig, CPUCLOCK_VIRT);
	read_cpu_itimer(&rec[2], sig, CPUCLOCK_PROF);
	ckpt_sighand_unlock(sighand);
	return 0;
}

/* Is a timer on one of the process's own CPU clocks? */
static bool is_own_cpu_clock(const struct k_itimer *timer, struct task_struct *leader)
{
	return timer->it_clock < 0 && !CPUCLOCK_PERTHREAD(timer->it_clock) &&
	       CPUCLOCK_WHICH(timer->it_clock) < CPUCLOCK_MAX &&
	       timer->it.cpu.pid == task_tgid(leader);
}

/* Only these have an hrtimer of their own in them. */
static bool is_real_time(const struct k_itimer *timer)
{
	switch (timer->it_clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
		return true;
	}
	return false;
}

static const char *timer_obstacle(const struct k_itimer *timer, struct task_struct *leader)
{
	if (is_real_time(timer))
		return NULL;
	if (timer->it_clock == CLOCK_REALTIME_ALARM || timer->it_clock == CLOCK_BOOTTIME_ALARM)
		return "a timer that wakes the machine (CLOCK_*_ALARM)";
	if (is_own_cpu_clock(timer, leader))
		return NULL;
	return "a timer on the clock of a thread, another process or a device";
}

static int timers_check(struct ckpt_session *s, struct ckpt_process *p)
{
	const char *why = NULL;
	struct sighand_struct *sighand;
	struct k_itimer *timer;
	int id = 0;

	sighand = ckpt_sighand_lock(s, p->leader);
	if (!sighand)
		return -ESRCH;
	ckpt_for_each_posix_timer(timer, p->leader->signal) {
		why = timer_obstacle(timer, p->leader);
		id = timer->it_id;
		if (why)
			break;
	}
	ckpt_sighand_unlock(sighand);
	if (!why)
		return 0;
	return ckpt_obstacle(s, -EOPNOTSUPP, p->leader,
			     "POSIX timer %d is one that cannot be saved: %s", id, why);
}

/* As timer_gettime(2) computes it, whose function the kernel keeps to itself. */
static u64 timer_left(struct k_itimer *timer, const struct signal_struct *sig)
{
	u64 interval = ktime_to_ns(timer->it_interval), expires, now;
	bool none = timer->it_sigev_notify == SIGEV_NONE;

	if (timer->it_clock < 0) {
		expires = timer->it.cpu.node.expires;
		return expires ? left(expires, cpu_clock(sig, CPUCLOCK_WHICH(timer->it_clock))) : 0;
	}
	if (!interval && !timer->it_active && !none)
		return 0;
	expires = ktime_to_ns(hrtimer_get_expires(&timer->it.real.timer));
	if (!expires)
		return 0;
	now = ktime_to_ns(hrtimer_cb_get_time(&timer->it.real.timer));
	/* Periodic, and its signal is still pending: the next period counts. */
	if (interval && expires <= now)
		return interval - (now - expires) % interval;
	/* A single shot that sends no signal shows 0 when it has expired. */
	return none && expires <= now ? 0 : left(expires, now);
}

static void read_timer(struct ckpt_session *s, struct ckpt_rec_posix_timer *rec,
		       struct k_itimer *timer, const struct signal_struct *sig)
{
	rec->id = timer->it_id;
	rec->clock = timer->it_clock;
	/* The process's own clocks by a name that holds in any process. */
	if (timer->it_clock < 0)
		rec->clock = CPUCLOCK_WHICH(timer->it_clock) == CPUCLOCK_SCHED ?
			     CLOCK_PROCESS_CPUTIME_ID :
			     make_process_cpuclock(0, CPUCLOCK_WHICH(timer->it_clock));
	rec->notify = timer->it_sigev_notify;
	rec->signo = timer->sigq->info.si_signo;
	rec->sigev_value = (unsigned long)timer->sigq->info.si_value.sival_ptr;
	if (timer->it_sigev_notify & SIGEV_THREAD_ID)
		rec->notify_tid = pid_nr_ns(timer->it_pid, s->pid_ns);
	rec->overrun = clamp_t(s64, timer->it_overrun_last, 0, INT_MAX);
	rec->interval_ns = ktime_to_ns(timer->it_interval);
	rec->value_ns = timer_left(timer, sig);
}

/* Under siglock; returns how many there are, of which @room at most are read. */
static unsigned int read_timers(struct ckpt_session *s, const struct signal_struct *sig,
				struct ckpt_rec_posix_timer *recs, unsigned int room)
{
	struct k_itimer *timer;
	unsigned int nr = 0;

	ckpt_for_each_posix_timer(timer, sig) {
		if (nr < room)
			read_timer(s, &recs[nr], timer, sig);
		nr++;
	}
	return nr;
}

static int record_timers(struct ckpt_session *s, struct ckpt_process *p,
			 const struct ckpt_rec_posix_timer *recs, unsigned int nr)
{
	struct ckpt_rec_posix_timer *rec;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		rec = ckpt_records_add(&s->records, CKPT_REC_POSIX_TIMER, sizeof(*rec));
		if (!rec)
			return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, p->leader,
					 "no memory for the records of its timers");
		*rec = recs[i];
	}
	return 0;
}

/* Nothing is allocated under siglock: count, make room, and look again. */
static int timers_dump(struct ckpt_session *s, struct ckpt_process *p)
{
	struct ckpt_rec_posix_timer *recs = NULL;
	struct sighand_struct *sighand;
	unsigned int nr, room = 0;
	int ret;

	ret = dump_itimers(s, p);
	if (ret)
		return ret;
	for (;;) {
		ret = -ESRCH;
		sighand = ckpt_sighand_lock(s, p->leader);
		if (!sighand)
			goto out;
		nr = read_timers(s, p->leader->signal, recs, room);
		ckpt_sighand_unlock(sighand);
		if (nr <= room)
			break;
		kvfree(recs);
		room = nr;
		recs = room > TIMERS_MAX ? NULL : kvcalloc(room, sizeof(*recs), GFP_KERNEL);
		if (!recs)
			return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, p->leader,
					 "no memory for its %u timers", nr);
	}
	ret = record_timers(s, p, recs, nr);
out:
	kvfree(recs);
	return ret;
}

/* By how much, and not into the past: the kernel knows no time below 0. */
static void move(struct hrtimer *timer, u64 back_ns)
{
	s64 expires = ktime_to_ns(hrtimer_get_expires(timer));
	s64 now = ktime_to_ns(hrtimer_cb_get_time(timer));

	hrtimer_set_expires(timer, ns_to_ktime(max_t(s64, expires - (s64)back_ns, now)));
}

static void move_armed(struct hrtimer *timer, u64 back_ns)
{
	if (hrtimer_try_to_cancel(timer) <= 0)
		return;
	move(timer, back_ns);
	hrtimer_start_expires(timer, HRTIMER_MODE_ABS);
}

/**
 * ckpt_timers_start() - have the timers of a restored process run from now on
 * @leader: all its threads are parked, and cannot end now
 * @armed_ns: of struct ckpt_plan, by the process's own clock
 *
 * Nobody else can touch them: not the process, and they are far from expiring.
 */
void ckpt_timers_start(struct task_struct *leader, u64 armed_ns)
{
	struct signal_struct *sig = leader->signal;
	s64 monotonic, boottime;
	struct k_itimer *timer;
	u64 now, back;

	if (!armed_ns)
		return;
	ckpt_clock_offsets(leader, &monotonic, &boottime);
	now = ktime_get_ns() + monotonic;
	back = CKPT_TIMERS_AHEAD_NS - min(now > armed_ns ? now - armed_ns : 0, CKPT_TIMERS_AHEAD_NS);
	move_armed(&sig->real_timer, back);
	ckpt_for_each_posix_timer(timer, sig) {
		struct hrtimer *real = &timer->it.real.timer;

		if (!is_real_time(timer))
			continue;
		/* One that sends no signal is never queued. */
		if (timer->it_sigev_notify != SIGEV_NONE)
			move_armed(real, back);
		else if (hrtimer_get_expires(real))
			move(real, back);
	}
}

const struct ckpt_state_ops ckpt_timers_ops = {
	.name = "timers",
	.check = timers_check,
	.dump = timers_dump,
};
