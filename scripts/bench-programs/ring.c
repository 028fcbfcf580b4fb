// SPDX-License-Identifier: GPL-2.0
/*
 * ring FILE [PROCESSES]: processes of four threads each, linked in a ring of
 * pipes, through which numbered tokens go round.
 */
#include <signal.h>
#include <sys/prctl.h>
#include "ticker.h"

#define THREADS 4
#define TOKENS 8

static int in, out;

/* Any thread takes the next token; a pause keeps the ring from using up the CPU. */
static void *pass_on(void *arg)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	uint64_t token;

	while (read(in, &token, sizeof(token)) == sizeof(token)) {
		token++;
		nanosleep(&pause, NULL);
		if (write(out, &token, sizeof(token)) != sizeof(token))
			break;
	}
	__atomic_add_fetch(&ticker->errors, 1, __ATOMIC_RELAXED);
	return arg;
}

static void member(int from, int to)
{
	in = from;
	out = to;
	for (int i = 1; i < THREADS; i++)
		bench_thread(pass_on, NULL);
}

int main(int argc, char **argv)
{
	int processes = argc > 2 ? atoi(argv[2]) : 50, first[2], last, next[2];
	uint64_t token = 0;

	ticker_open(argv[1]);
	if (pipe(first) < 0)
		return 1;
	last = first[0];
	/* Each has the pipe that it reads and the one that it writes, no more. */
	for (int i = 1; i < processes; i++) {
		if (pipe(next) < 0)
			return 1;
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (i > 1)
				close(first[0]);
			close(first[1]);
			close(next[0]);
			member(last, next[1]);
			pass_on(NULL);
			_exit(1);
		}
		if (i > 1)
			close(last);
		close(next[1]);
		last = next[0];
	}
	/* The first process: reads what came round, starts it, and ticks. */
	close(first[0]);
	member(last, first[1]);
	for (int i = 0; i < TOKENS; i++, token += 1000000)
		if (write(first[1], &token, sizeof(token)) != sizeof(token))
			return 1;
	ticker->ready = 1;
	ticker_run(NULL);
}
