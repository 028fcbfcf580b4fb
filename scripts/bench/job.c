// SPDX-License-Identifier: GPL-2.0
/*
 * What the bench checkpoints.  A ticking thread looks at the clock all the time
 * and keeps the largest gap that it has seen in FILE, next to a count of ticks:
 * two u64 in native order, nanoseconds and millions of ticks.  SIGUSR1 begins
 * a new maximum.
 *
 *   job FILE tiny
 *   job FILE memory MEGABYTES     random pages, rewritten by two threads
 *   job FILE ring PROCESSES THREADS   processes linked by a ring of pipes
 *   job FILE bandwidth            no job: plain memory and file bandwidth
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int out;
static volatile sig_atomic_t reset;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void on_reset(int sig)
{
	(void)sig;
	reset = 1;
}

static void *tick(void *arg)
{
	uint64_t said[2] = { 0, 0 }, ticks = 0, last = now();

	(void)arg;
	for (;;) {
		uint64_t t = now(), gap = t - last;

		last = t;
		ticks++;
		if (reset) {
			reset = 0;
			said[0] = 0;
			gap = 0;
		}
		if (gap > said[0] || ticks % 4096 == 0) {
			said[0] = gap > said[0] ? gap : said[0];
			said[1] = ticks;
			if (pwrite(out, said, sizeof(said), 0) != sizeof(said))
				_exit(1);
		}
	}
	return NULL;
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static uint64_t *memory;
static size_t words;

/* Rewrite page after page at random, with a breath now and then for the ticker. */
static void *rewrite(void *arg)
{
	uint64_t x = (uintptr_t)arg * 88172645463325252ULL + 1;
	struct timespec breath = { .tv_nsec = 1000000 };

	for (uint64_t n = 0;; n++) {
		uint64_t *page = memory + next_random(&x) % (words / 512) * 512;

		for (int i = 0; i < 512; i++)
			page[i] = next_random(&x);
		if (n % 16 == 0)
			nanosleep(&breath, NULL);
	}
	return NULL;
}

static void start(void *(*fn)(void *), uintptr_t arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, (void *)arg)) {
		perror("pthread_create");
		exit(1);
	}
}

static void fill(size_t mb)
{
	uint64_t x = 1;

	words = mb << 17;
	memory = mmap(NULL, mb << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	for (size_t i = 0; i < words; i++)
		memory[i] = next_random(&x);
}

static void *wait_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* A byte goes round; the first process is also the one that ticks. */
static void ring(int processes, int threads)
{
	int first[2], in, left[2];
	char byte = 'x';

	if (pipe(first))
		exit(1);
	in = first[0];
	for (int i = 1; i < processes; i++) {
		if (pipe(left))
			exit(1);
		if (fork() == 0) {
			struct timespec breath = { .tv_nsec = 2000000 };

			close(left[0]);
			if (i > 1)
				close(first[1]);
			for (int t = 1; t < threads; t++)
				start(wait_for_ever, 0);
			while (read(in, &byte, 1) == 1 && write(left[1], &byte, 1) == 1)
				nanosleep(&breath, NULL);
			_exit(0);
		}
		close(in);
		close(left[1]);
		in = left[0];
	}
	for (int t = 2; t < threads; t++)
		start(wait_for_ever, 0);
	start(tick, 0);
	if (write(first[1], &byte, 1) != 1)
		exit(1);
	while (read(in, &byte, 1) == 1 && write(first[1], &byte, 1) == 1)
		;
	exit(1);
}

static double rate(uint64_t bytes, uint64_t ns)
{
	return bytes / (ns / 1e9) / (1 << 20);
}

static void bandwidth(const char *path)
{
	const size_t size = 256UL << 20;
	char *to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	static const int flags[2] = { 0, O_DIRECT };
	double written[2];
	uint64_t t;

	fill(256);
	memcpy(to, memory, size);
	t = now();
	memcpy(to, memory, size);
	t = now() - t;
	for (int i = 0; i < 2; i++) {
		uint64_t w = now();
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | flags[i], 0600);

		for (size_t done = 0; done < size; done += 1 << 20)
			if (write(fd, to + done, 1 << 20) != 1 << 20)
				exit(1);
		if (fsync(fd))
			exit(1);
		close(fd);
		written[i] = rate(size, now() - w);
	}
	unlink(path);
	printf("{\"memcpy\": %.0f, \"write_fsync\": %.0f, \"write_direct_fsync\": %.0f}\n", rate(size, t),
	       written[0], written[1]);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_reset, .sa_flags = SA_RESTART };

	if (argc < 3)
		return 2;
	if (!strcmp(argv[2], "bandwidth")) {
		bandwidth(argv[1]);
		return 0;
	}
	out = open(argv[1], O_RDWR | O_CREAT, 0600);
	if (out < 0 || sigaction(SIGUSR1, &action, NULL))
		return 1;
	if (!strcmp(argv[2], "ring") && argc == 5)
		ring(atoi(argv[3]), atoi(argv[4]));
	if (!strcmp(argv[2], "memory") && argc == 4) {
		fill(atoi(argv[3]));
		start(rewrite, 1);
		start(rewrite, 2);
	}
	tick(NULL);
}
