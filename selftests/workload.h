/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the test programs that get checkpointed have in common.
 *
 *	PROGRAM DIR
 *
 * sets itself up, makes DIR/ready, then looks at its own state round after
 * round until there is DIR/stop or SIGTERM comes, looks at everything a last time
 * and makes DIR/passed, or writes what is wrong to DIR/failed and to stderr.
 * Its exit status is 0 or 1.  DIR/ask is answered by renaming it to DIR/answer
 * after a whole round: so the driver knows that the program still works.
 *
 * All talk goes by path names and nothing stays open: what a program holds is
 * what it is there to test.
 */
#ifndef SELFTESTS_WORKLOAD_H
#define SELFTESTS_WORKLOAD_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char wl_dir[PATH_MAX - 64];
static pid_t wl_pid;
static volatile sig_atomic_t wl_sigterm;
static bool wl_asked;

static inline const char *wl_path(const char *name)
{
	static _Thread_local char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", wl_dir, name);
	return path;
}

/* The first sentence wins: later ones are often only its consequences. */
static inline __attribute__((noreturn, format(printf, 1, 2))) void wl_fail(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int fd, n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	fd = open(wl_path("failing"), O_WRONLY | O_CREAT | O_EXCL, 0644);
	if (fd >= 0) {
		if (write(fd, line, n) != n || write(STDERR_FILENO, line, n) != n)
			n = 0;	/* the exit status still tells */
		close(fd);
		rename(wl_path("failing"), strcpy((char[PATH_MAX]){ 0 }, wl_path("failed")));
	} else {
		/* Another thread is just saying why, which would end with us. */
		poll(NULL, 0, 1000);
	}
	_exit(1);
}

/* Sentence: what was expected, in the words of the program tested. */
#define wl_check(cond, ...)			\
	do {					\
		if (!(cond))			\
			wl_fail(__VA_ARGS__);	\
	} while (0)

/* For calls that must not fail whatever is tested. */
#define wl_must(call)								\
	({									\
		__auto_type ret_ = (call);					\
		if (ret_ < 0)							\
			wl_fail("%s: %s", #call, strerror(errno));		\
		ret_;								\
	})

static inline void wl_on_sigterm(int sig)
{
	wl_sigterm = sig;
}

static inline void wl_start(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = wl_on_sigterm, .sa_flags = SA_RESTART };

	if (argc != 2 || argv[1][0] != '/' || strlen(argv[1]) >= sizeof(wl_dir)) {
		fprintf(stderr, "usage: %s DIR (an absolute path)\n", argv[0]);
		exit(2);
	}
	strcpy(wl_dir, argv[1]);
	wl_pid = getpid();
	wl_must(sigaction(SIGTERM, &sa, NULL));
}

static inline void wl_ready(void)
{
	wl_must(mkdir(wl_path("ready"), 0755));
}

/* Once a round, after its checks, in one thread of one process. */
static inline bool wl_stopping(void)
{
	/* A round that began before the question is not an answer to it. */
	if (wl_asked) {
		wl_asked = false;
		wl_must(rename(wl_path("ask"), strcpy((char[PATH_MAX]){ 0 }, wl_path("answer"))));
	} else if (access(wl_path("ask"), F_OK) == 0) {
		wl_asked = true;
	}
	return wl_sigterm || access(wl_path("stop"), F_OK) == 0;
}

/* A round in which no checkpoint is made, for the driver waits for its end: files
 * of /proc, which could not be saved, may be open for a moment. */
static inline bool wl_unwatched(void)
{
	return wl_asked;
}

static inline void wl_passed(void)
{
	wl_must(mkdir(wl_path("passed"), 0755));
}

/* A short pause between rounds, so that a test does not starve the others. */
static inline void wl_pause_ms(long ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* With a child that does its own part, round after round until it is time to stop; the
 * child's pid. */
static inline pid_t wl_rounds(void (*child)(void), void (*verify)(void))
{
	pid_t pid = wl_must(fork());

	if (pid == 0)
		child();
	wl_ready();
	do {
		verify();
		wl_check(waitpid(-1, NULL, WNOHANG) == 0, "the child ended");
		wl_pause_ms(1);
	} while (!wl_stopping());
	return pid;
}

static inline void wl_child_ends(pid_t pid)
{
	int status;

	wl_check(waitpid(pid, &status, 0) == pid && status == 0, "the child did not end well");
}

static inline uint64_t wl_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

/* How long a program has waited for something, not counting the time it was not there. */
struct wl_patience {
	uint64_t last, waited;
};

/* Asked in a loop: is there still patience, of @most_s seconds in all? */
static inline bool wl_patient(struct wl_patience *p, unsigned int most_s)
{
	uint64_t now = wl_now_ns(), step = now - p->last;

	if (p->last)
		p->waited += step < 100000000 ? step : 100000000;
	p->last = now;
	return p->waited < most_s * 1000000000ULL;
}

/*
 * One short step of waiting for @cond.  A deadline far away is of no use: it passes
 * while the program is not there, and comes at once when it is back.
 */
static inline bool wl_wait(pthread_cond_t *cond, pthread_mutex_t *lock, struct wl_patience *p,
			   unsigned int most_s)
{
	struct timespec soon;

	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 100000000;
	soon.tv_sec += soon.tv_nsec / 1000000000;
	soon.tv_nsec %= 1000000000;
	pthread_cond_timedwait(cond, lock, &soon);
	return wl_patient(p, most_s);
}

/* A reproducible stream of 64-bit values: xorshift64*. */
static inline uint64_t wl_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545F4914F6CDD1DULL;
}

static inline void wl_fill(void *buf, size_t len, uint64_t seed)
{
	uint64_t *p = buf;

	seed |= 1;
	for (size_t i = 0; i < len / 8; i++)
		p[i] = wl_random(&seed);
}

static inline void wl_verify(const void *buf, size_t len, uint64_t seed, const char *what)
{
	const uint64_t *p = buf;

	seed |= 1;
	for (size_t i = 0; i < len / 8; i++)
		wl_check(p[i] == wl_random(&seed), "%s: wrong content at byte %zu of %zu", what,
			 i * 8, len);
}

#endif
