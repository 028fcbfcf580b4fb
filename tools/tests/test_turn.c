// SPDX-License-Identifier: GPL-2.0
/* Turns of the checkpoints on a node. */
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "job/turn.h"
#include "tap.h"

static bool can_be_read(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

int main(void)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN), n;
	int *turns = calloc((size_t)nr, sizeof(*turns)), watch, again, others;

	/* Not those of this machine's own jobs. */
	if (unshare(CLONE_NEWNET) < 0) {
		skip("no network namespace can be made");
		free(turns);
		return done();
	}
	for (n = 0; n < nr; n++)
		turns[n] = turn_take(&watch);
	ok(turns[0] >= 0 && turns[nr - 1] >= 0 && watch == -1, "one for each processor");
	ok(turn_take(&watch) == -1 && watch >= 0 && !can_be_read(watch), "and no more");
	ok(turn_take(&others) == -1 && others >= 0, "others wait as well");
	close(turns[getpid() % nr]);
	ok(can_be_read(watch) && can_be_read(others), "the end of a turn is noticed by all");
	turns[getpid() % nr] = turn_take(&again);
	ok(turns[getpid() % nr] >= 0 && again == -1, "it is the next one's");
	close(watch);
	close(others);
	ok(turn_take(&watch) == -1 && watch >= 0 && !can_be_read(watch), "and the others wait again");
	close(watch);
	for (n = 0; n < nr; n++)
		close(turns[n]);
	free(turns);
	return done();
}
