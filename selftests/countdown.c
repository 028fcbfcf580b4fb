// SPDX-License-Identifier: GPL-2.0
/*
 * A timer has after a restart what was left of it at the checkpoint, however
 * long reading its memory in took.  DIR/restarted tells that a gap in the time is
 * a restart; in the process that goes on the timers go on as well.
 */
#include <sys/mman.h>
#include <sys/time.h>
#include "workload.h"

#define MEMORY	(192UL << 20)
#define FAR_S	5000
#define GAP_NS	200000000ULL
#define LOST_NS	150000000ULL	/* the stand-still, on a slow machine */

static uint64_t lefts[2];	/* of the timer, of ITIMER_REAL */

static void read_left(timer_t timer, uint64_t left[2])
{
	struct itimerspec spec;
	struct itimerval value;

	wl_must(timer_gettime(timer, &spec));
	wl_must(getitimer(ITIMER_REAL, &value));
	left[0] = (uint64_t)spec.it_value.tv_sec * 1000000000ULL + (uint64_t)spec.it_value.tv_nsec;
	left[1] = (uint64_t)value.it_value.tv_sec * 1000000000ULL +
		  (uint64_t)value.it_value.tv_usec * 1000;
}

int main(int argc, char **argv)
{
	struct itimerspec far = { .it_value.tv_sec = FAR_S };
	struct itimerval far_real = { .it_value.tv_sec = FAR_S };
	char *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const char *factor = getenv("TIMEOUT_FACTOR");
	uint64_t last, now, left[2], lost = LOST_NS * (factor ? strtoul(factor, NULL, 10) : 1);
	timer_t timer;

	wl_start(argc, argv);
	wl_check(memory != MAP_FAILED, "mmap: %s", strerror(errno));
	wl_fill(memory, MEMORY, 1);
	signal(SIGALRM, SIG_IGN);
	wl_must(timer_create(CLOCK_MONOTONIC, &(struct sigevent){ .sigev_notify = SIGEV_SIGNAL,
								 .sigev_signo = SIGALRM }, &timer));
	wl_must(timer_settime(timer, 0, &far, NULL));
	wl_must(setitimer(ITIMER_REAL, &far_real, NULL));
	read_left(timer, lefts);
	last = wl_now_ns();
	wl_ready();
	do {
		wl_pause_ms(1);
		now = wl_now_ns();
		read_left(timer, left);
		for (int i = 0; i < 2; i++) {
			wl_check(left[i] <= lefts[i], "timer %d: from %lu to %lu ns left", i, lefts[i],
				 left[i]);
			if (now - last > GAP_NS && access(wl_path("restarted"), F_OK) == 0)
				wl_check(lefts[i] - left[i] < lost,
					 "timer %d lost %lu ms in the restart, which took %lu ms", i,
					 (unsigned long)(lefts[i] - left[i]) / 1000000,
					 (unsigned long)(now - last) / 1000000);
		}
		memcpy(lefts, left, sizeof(left));
		last = wl_now_ns();
	} while (!wl_stopping());
	wl_passed();
	return 0;
}
