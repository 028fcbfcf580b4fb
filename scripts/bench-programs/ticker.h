/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that ticks and notes the largest gap between two ticks: how long
 * the program stood still as it saw it itself.  The figures are in a file that
 * is mapped shared, where the bench reads them.
 */
#ifndef BENCH_TICKER_H
#define BENCH_TICKER_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct ticker {
	uint64_t ready;		/* set by the program when it is set up */
	uint64_t ticks;
	uint64_t max_gap_ns;
	uint64_t reset;		/* set by the bench: begin anew */
	uint64_t errors;	/* what the program found wrong in itself */
};

static struct ticker *ticker;

static inline void ticker_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);

	if (fd < 0 || ftruncate(fd, 4096) < 0) {
		perror(path);
		exit(1);
	}
	ticker = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (ticker == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
}

static inline uint64_t ticker_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static inline void *ticker_run(void *arg)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	uint64_t last = ticker_now(), now;

	for (;;) {
		nanosleep(&pause, NULL);
		now = ticker_now();
		if (__atomic_exchange_n(&ticker->reset, 0, __ATOMIC_ACQ_REL))
			ticker->max_gap_ns = 0;
		else if (now - last > ticker->max_gap_ns)
			ticker->max_gap_ns = now - last;
		last = now;
		__atomic_add_fetch(&ticker->ticks, 1, __ATOMIC_RELEASE);
	}
	return arg;
}

static inline void bench_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg)) {
		perror("pthread_create");
		exit(1);
	}
}

#endif
