/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads that each sleep in one system call until its timeout has run out,
 * $T_MS milliseconds (whole seconds) after the beginning: whatever happens
 * meanwhile, never early, and with the result that says so.  timeouts.sh reads DIR/ends, a line "NAME MS" for
 * each thread, and says how late they may be.
 */
#ifndef SELFTESTS_TIMED_H
#define SELFTESTS_TIMED_H

#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include "workload.h"

static unsigned int t_ms = 6000;

/* In read-only memory, where the kernel cannot leave the time left. */
static const struct times {
	struct timespec ts;
	struct timeval tv;
} *timeout;

struct timed {
	const char *name;
	void *(*run)(void *);
	uint64_t took_ns;	/* 0: not yet over */
	pthread_t thread;
};

/* The clock that a reboot does not begin anew. */
static inline uint64_t wall_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* The function timed_NAME: @call, whose result ret must make @good true. */
#define TIMED(name, call, good)								\
	static void *timed_##name(void *arg)						\
	{										\
		uint64_t start = wall_clock_ns(), took;					\
		long ret;								\
											\
		errno = 0;								\
		ret = (call);								\
		took = wall_clock_ns() - start;						\
		wl_check(good, "%s returned %ld (%s) after %lu ms", #name, ret, strerror(errno),	\
			 (unsigned long)(took / 1000000));				\
		wl_check(took >= t_ms * 1000000ULL, "%s came back after %lu ns", #name,	\
			 (unsigned long)took);						\
		__atomic_store_n(&((struct timed *)arg)->took_ns, took, __ATOMIC_RELEASE);	\
		return NULL;								\
	}

#define T(name) { #name, timed_##name, 0, 0 }

static inline void timed_start(struct timed *timed, size_t nr)
{
	const char *ms = getenv("T_MS");
	struct times *times = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	wl_check(times != MAP_FAILED, "mmap: %s", strerror(errno));
	if (ms)
		t_ms = (unsigned int)strtoul(ms, NULL, 10);
	times->ts.tv_sec = t_ms / 1000;
	times->tv.tv_sec = t_ms / 1000;
	wl_must(mprotect(times, 4096, PROT_READ));
	timeout = times;
	for (size_t i = 0; i < nr; i++)
		wl_check(pthread_create(&timed[i].thread, NULL, timed[i].run, &timed[i]) == 0,
			 "no thread can be created");
}

/* Tell how long each took, once all are over. */
static inline bool timed_over(struct timed *timed, size_t nr)
{
	FILE *f;

	for (size_t i = 0; i < nr; i++)
		if (!__atomic_load_n(&timed[i].took_ns, __ATOMIC_ACQUIRE))
			return false;
	f = fopen(wl_path("ending"), "w");
	wl_check(f, "%s: %s", wl_path("ending"), strerror(errno));
	for (size_t i = 0; i < nr; i++)
		fprintf(f, "%s %lu\n", timed[i].name, (unsigned long)(timed[i].took_ns / 1000000));
	wl_check(fclose(f) == 0, "DIR/ends cannot be written");
	wl_must(rename(wl_path("ending"), strcpy((char[PATH_MAX]){ 0 }, wl_path("ends"))));
	return true;
}

static inline int timed_main(int argc, char **argv, struct timed *timed, size_t nr)
{
	bool over = false;

	wl_start(argc, argv);
	timed_start(timed, nr);
	wl_pause_ms(200);		/* until all sleep */
	wl_ready();
	do {
		over = over || timed_over(timed, nr);
		wl_pause_ms(10);
	} while (!wl_stopping());
	wl_check(over, "told to stop before all timeouts have run out");
	for (size_t i = 0; i < nr; i++)
		wl_check(pthread_join(timed[i].thread, NULL) == 0, "%s cannot be joined",
			 timed[i].name);
	wl_passed();
	return 0;
}

#endif
