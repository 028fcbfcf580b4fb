// SPDX-License-Identifier: GPL-2.0
/*
 * Timers: the three interval timers, timer_create(2) timers with all ways of
 * notification, periods, time left, and timers that are not armed.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include "workload.h"

#define LONG_S 5000

static volatile sig_atomic_t real_ticks, virtual_ticks, prof_ticks, posix_ticks, thread_ticks;
static volatile int posix_value, thread_tid;
static timer_t periodic, one_shot, disarmed, to_thread, cpu_time;
static pid_t tid;

static void on_tick(int sig, siginfo_t *info, void *context)
{
	(void)context;
	switch (sig) {
	case SIGALRM:
		real_ticks++;
		break;
	case SIGVTALRM:
		virtual_ticks++;
		break;
	case SIGPROF:
		prof_ticks++;
		break;
	default:
		if (sig == SIGRTMIN) {
			posix_ticks += info->si_code == SI_TIMER;
			posix_value = info->si_value.sival_int;
		} else {
			thread_ticks++;
			thread_tid = (int)syscall(SYS_gettid);
		}
	}
}

static void handle(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };

	wl_must(sigaction(sig, &sa, NULL));
}

static void make(timer_t *t, clockid_t clock, int notify, int sig, int value, long ms, long period_ms)
{
	struct itimerspec when = {
		.it_value = { ms / 1000, ms % 1000 * 1000000 },
		.it_interval = { period_ms / 1000, period_ms % 1000 * 1000000 },
	};
	struct sigevent ev = { .sigev_notify = notify, .sigev_signo = sig };

	ev.sigev_value.sival_int = value;
	if (notify == SIGEV_THREAD_ID)
		ev._sigev_un._tid = tid;
	wl_must(timer_create(clock, &ev, t));
	if (ms)
		wl_must(timer_settime(*t, 0, &when, NULL));
}

static void set_up(void)
{
	struct itimerval tick = { .it_interval = { 0, 20000 }, .it_value = { 0, 20000 } };

	tid = (pid_t)syscall(SYS_gettid);
	handle(SIGALRM);
	handle(SIGVTALRM);
	handle(SIGPROF);
	handle(SIGRTMIN);
	handle(SIGRTMIN + 1);
	wl_must(setitimer(ITIMER_REAL, &tick, NULL));
	wl_must(setitimer(ITIMER_VIRTUAL, &tick, NULL));
	wl_must(setitimer(ITIMER_PROF, &tick, NULL));
	make(&disarmed, CLOCK_REALTIME, SIGEV_SIGNAL, SIGRTMIN, 1, 0, 0);
	make(&periodic, CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 4711, 15, 15);
	make(&one_shot, CLOCK_MONOTONIC, SIGEV_NONE, 0, 0, LONG_S * 1000L, 0);
	make(&to_thread, CLOCK_REALTIME, SIGEV_THREAD_ID, SIGRTMIN + 1, 2, 25, 25);
	make(&cpu_time, CLOCK_PROCESS_CPUTIME_ID, SIGEV_NONE, 0, 0, LONG_S * 1000L, 7000);
}

/* Uses CPU time, so that all clocks move. */
static void wait_ticks(volatile sig_atomic_t *ticks, const char *what)
{
	sig_atomic_t want = *ticks + 2;
	struct wl_patience p = { 0 };

	while (*ticks < want)
		wl_check(wl_patient(&p, 20), "%s stopped", what);
}

static uint64_t left_ns(timer_t t, uint64_t interval_ms)
{
	struct itimerspec spec;

	wl_must(timer_gettime(t, &spec));
	wl_check((uint64_t)spec.it_interval.tv_sec * 1000 + spec.it_interval.tv_nsec / 1000000 ==
		 interval_ms, "a timer's period changed");
	return (uint64_t)spec.it_value.tv_sec * 1000000000ULL + (uint64_t)spec.it_value.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t left = (LONG_S + 1) * 1000000000ULL, now, cpu_left = left;
	struct itimerval value;

	wl_start(argc, argv);
	set_up();
	wl_ready();
	do {
		wait_ticks(&real_ticks, "ITIMER_REAL");
		wait_ticks(&virtual_ticks, "ITIMER_VIRTUAL");
		wait_ticks(&prof_ticks, "ITIMER_PROF");
		wait_ticks(&posix_ticks, "a periodic timer");
		wait_ticks(&thread_ticks, "a timer with SIGEV_THREAD_ID");
		wl_check(posix_value == 4711, "a timer's signal carries %d", posix_value);
		wl_check(thread_tid == tid, "a timer's signal went to thread %d", thread_tid);
		wl_must(getitimer(ITIMER_REAL, &value));
		wl_check(value.it_interval.tv_sec == 0 && value.it_interval.tv_usec == 20000,
			 "ITIMER_REAL has another period");
		left_ns(periodic, 15);
		left_ns(to_thread, 25);
		wl_check(left_ns(disarmed, 0) == 0, "a timer is armed that was not");
		now = left_ns(one_shot, 0);
		wl_check(now && now <= left, "a timer's time left went from %ju to %ju ns", left, now);
		wl_check(now > (LONG_S - 2000) * 1000000000ULL, "a timer lost time: %ju ns left", now);
		left = now;
		now = left_ns(cpu_time, 7000);
		wl_check(now && now <= cpu_left + 20000000, "a CPU timer's time left went from %ju to %ju ns",
			 cpu_left, now);
		cpu_left = now;
	} while (!wl_stopping());
	wl_must(timer_delete(disarmed));
	make(&disarmed, CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 4711, 10, 10);
	wait_ticks(&posix_ticks, "a new timer");
	wl_passed();
	return 0;
}
