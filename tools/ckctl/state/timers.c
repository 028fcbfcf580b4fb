// SPDX-License-Identifier: GPL-2.0
/*
 * Timers.  The module saves interval timers and timer_create(2) timers with
 * the time that is left; restored from here they go on with that time when the
 * program does: those that count real time are armed far ahead, and the module
 * moves them at COMMIT.  A timer that had a time of day for its goal keeps the
 * time left as well.  Overruns counted so far are lost.
 */
#include "timers.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "out.h"
#include "state.h"

/* The kernel counts ids up from 0 for each process: that far we follow. */
#define MAX_TIMER_ID	65536

static struct timeval to_timeval(uint64_t ns)
{
	/* A microsecond at least, since 0 would disarm it. */
	uint64_t us = (ns + 999) / 1000;

	return (struct timeval){ .tv_sec = (time_t)(us / 1000000),
				 .tv_usec = (suseconds_t)(us % 1000000) };
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000),
				  .tv_nsec = (long)(ns % 1000000000) };
}

/* Of a timer that counts real time. */
static uint64_t ahead(uint64_t ns)
{
	return ns < UINT64_MAX - CKPT_TIMERS_AHEAD_NS ? ns + CKPT_TIMERS_AHEAD_NS : ns;
}

static int timer_failed(const struct image_process *p, int id, const char *what)
{
	return fail_errno(errno, "process %d (%.15s): cannot %s timer %d", p->rec->pid, p->rec->comm,
			  what, id);
}

static int make_timer(const struct image_process *p, const struct ckpt_rec_posix_timer *rec,
		      int *next)
{
	struct sigevent event = {
		.sigev_notify = rec->notify,
		.sigev_signo = rec->signo,
	};
	int id;

	event.sigev_value.sival_ptr = (void *)rec->sigev_value;
	event._sigev_un._tid = rec->notify_tid;
	if (rec->id < *next || rec->id >= MAX_TIMER_ID)
		return fail(CK_REFUSED, "process %d (%.15s) of the image has a timer with the id %d, "
			    "which it cannot be given again", p->rec->pid, p->rec->comm, rec->id);
	/* libc has ids of its own on top of these, in memory that is saved. */
	for (;;) {
		if (syscall(SYS_timer_create, rec->clock, &event, &id) < 0)
			return timer_failed(p, rec->id, "make");
		*next = id + 1;
		if (id == rec->id)
			return CK_OK;
		if (syscall(SYS_timer_delete, id) < 0 || id > rec->id)
			return fail(CK_REFUSED, "process %d (%.15s): the kernel does not give timer %d "
				    "its id back", p->rec->pid, p->rec->comm, rec->id);
	}
}

static int start_timer(const struct image_process *p, const struct ckpt_rec_posix_timer *rec)
{
	bool cpu = rec->clock < 0 || rec->clock == CLOCK_PROCESS_CPUTIME_ID;
	struct itimerspec spec = {
		.it_value = to_timespec(cpu ? rec->value_ns : ahead(rec->value_ns)),
		.it_interval = to_timespec(rec->interval_ns),
	};

	if (rec->value_ns && syscall(SYS_timer_settime, rec->id, 0, &spec, NULL) < 0)
		return timer_failed(p, rec->id, "start");
	return CK_OK;
}

static int by_id(const void *a, const void *b)
{
	const struct ckpt_rec_posix_timer *const *x = a, *const *y = b;

	return (*x)->id < (*y)->id ? -1 : (*x)->id > (*y)->id;
}

int timers_arm(const struct image_process *p, __u64 *armed_ns)
{
	static const int which[] = { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };
	struct timespec now;
	int rc = CK_OK, next = 0;
	size_t i;

	if (p->nr_timers)
		qsort(p->timers, p->nr_timers, sizeof(*p->timers), by_id);
	for (i = 0; i < p->nr_timers && !rc; i++)
		rc = make_timer(p, p->timers[i], &next);
	if (!rc && clock_gettime(CLOCK_MONOTONIC, &now) < 0)
		rc = fail_errno(errno, "cannot read the clock");
	if (!rc)
		*armed_ns = (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec;
	for (i = 0; i < p->nr_timers && !rc; i++)
		rc = start_timer(p, p->timers[i]);
	for (i = 0; i < 3 && !rc; i++) {
		struct itimerval value = {
			.it_value = to_timeval(which[i] == ITIMER_REAL ?
					       ahead(p->itimers[i].value_ns) :
					       p->itimers[i].value_ns),
			.it_interval = to_timeval(p->itimers[i].interval_ns),
		};

		if (p->itimers[i].value_ns && setitimer(which[i], &value, NULL) < 0)
			rc = fail_errno(errno, "process %d (%.15s): cannot start its interval timer %zu",
					p->rec->pid, p->rec->comm, i);
	}
	return rc;
}

const struct state_ops state_timers = {
	.name = "timers",
	.saved = "interval timers and timer_create(2) timers, with the time left",
	.refused = "timers on the CPU time of another process",
};
