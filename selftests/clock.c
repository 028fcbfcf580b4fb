// SPDX-License-Identifier: GPL-2.0
/*
 * What the vdso says is what the system calls say, by the addresses that libc found
 * at the program's start.  Between its questions it sleeps, so that it is hardly ever
 * in the middle of one.
 */
#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include "workload.h"

static int64_t ask_kernel(clockid_t clock)
{
	struct timespec ts;

	wl_must(syscall(SYS_clock_gettime, clock, &ts));
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void compare(clockid_t clock)
{
	int64_t before = ask_kernel(clock), after, vdso;
	struct timespec ts;

	wl_must(clock_gettime(clock, &ts));
	vdso = ts.tv_sec * 1000000000LL + ts.tv_nsec;
	after = ask_kernel(clock);
	wl_check(before <= vdso && vdso <= after, "clock %d: the vdso says %jd, the kernel %jd to %jd",
		 clock, (intmax_t)vdso, (intmax_t)before, (intmax_t)after);
}

int main(int argc, char **argv)
{
	struct timespec res;
	struct timeval now;
	time_t seconds;

	wl_start(argc, argv);
	wl_ready();
	do {
		compare(CLOCK_REALTIME);
		compare(CLOCK_MONOTONIC);
		compare(CLOCK_BOOTTIME);
		wl_must(clock_getres(CLOCK_MONOTONIC, &res));
		wl_check(res.tv_sec == 0 && res.tv_nsec == 1, "the clock's resolution is %jd ns",
			 (intmax_t)res.tv_nsec);
		wl_must(gettimeofday(&now, NULL));
		seconds = time(NULL);
		wl_check(seconds - now.tv_sec <= 1, "time(2) says %jd, gettimeofday(2) %jd",
			 (intmax_t)seconds, (intmax_t)now.tv_sec);
		wl_must(sched_getcpu());
		wl_pause_ms(3);
	} while (!wl_stopping());
	wl_passed();
	return 0;
}
