// SPDX-License-Identifier: GPL-2.0
/* Turns of the checkpoints on a node. */
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job/turn.h"
#include "tap.h"

static bool can_be_read(const struct turn *t)
{
	struct pollfd pfd = { .fd = t->watch, .events = POLLIN };

	return t->watch >= 0 && poll(&pfd, 1, 0) == 1;
}

/* All of them, taken by a process that waits to be killed. */
static pid_t holder(long nr)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		for (; nr; nr--) {
			struct turn t = NO_TURN;

			turn_take(&t);
		}
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	ok(read(ready[0], &byte, 1) == 1, "somebody has all of them");
	close(ready[0]);
	return pid;
}

static void killed(long nr)
{
	struct turn first = NO_TURN, second = NO_TURN;
	pid_t pid = holder(nr);

	ok(!turn_take(&first) && !turn_take(&second) && !can_be_read(&first), "two wait for who has all");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ok(can_be_read(&first) && can_be_read(&second), "when it dies, both notice");
	ok(turn_take(&second) && second.fd >= 0, "and whoever comes first has a turn");
	turn_leave(&second);
	turn_leave(&first);
}

static void in_a_row(struct turn *turns, long nr)
{
	struct turn first = NO_TURN, second = NO_TURN, third = NO_TURN, *last = &turns[getpid() % nr];
	long n;

	for (n = 0; n < nr; n++) {
		turns[n] = (struct turn)NO_TURN;
		ok(turn_take(&turns[n]) && turns[n].fd >= 0, "processor %ld has a turn", n);
	}
	ok(!turn_take(&first) && !turn_take(&second) && !turn_take(&third), "there are no more");
	ok(!can_be_read(&first) && !turn_take(&first) && !can_be_read(&first), "trying again is of no use");
	turn_leave(last);
	ok(can_be_read(&first) && !can_be_read(&second) && !can_be_read(&third), "who came first is next");
	ok(!turn_take(last), "not who has just had one");
	ok(turn_take(&first) && first.fd >= 0 && first.watch < 0, "it has the turn");
	turn_leave(&second);
	turn_leave(&first);
	ok(can_be_read(&third) && turn_take(&third) && third.fd >= 0, "who has left the row is passed over");
	turn_leave(&third);
	ok(can_be_read(last) && turn_take(last), "and at last it is the first one's again");
	for (n = 0; n < nr; n++)
		turn_leave(&turns[n]);
	ok(turn_take(&first) && first.fd >= 0, "then there are turns for everybody");
	turn_leave(&first);
}

int main(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);
	struct turn *turns = calloc((size_t)nr, sizeof(*turns));

	/* Not those of this machine's own jobs. */
	if (!turns || unshare(CLONE_NEWNET) < 0) {
		skip("no network namespace can be made");
	} else {
		in_a_row(turns, nr);
		killed(nr);
	}
	free(turns);
	return done();
}
