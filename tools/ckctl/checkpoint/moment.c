// SPDX-License-Identifier: GPL-2.0
/*
 * Some of what stands against a checkpoint is over in a moment: libc has a socket to
 * ask the name service cache, a resolver one to ask a name server, and a program with
 * capabilities of its own may give them up when it has begun.  Whether that was so shows
 * when the job runs again, at no cost to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "context.h"
#include "state/files.h"

/* From one look to the next: 1 ms, doubled each time, 127 in all. */
#define FIRST_PAUSE_NS	1000000L
#define MAX_LOOKS	7

static bool is_over(const struct checkpoint *c)
{
	int fd;

	if (!c->unreadable)
		return sockets_gone(&c->dump);
	fd = openat(c->unreadable->dir_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ESRCH || errno == ENOENT;
	close(fd);
	return true;
}

bool moment_is_over(const struct checkpoint *c)
{
	struct timespec pause = { .tv_nsec = FIRST_PAUSE_NS };
	int looks = 0;

	if (!c->unreadable && !sockets_refused(&c->dump))
		return false;
	/* Nothing tells of it. */
	while (!is_over(c)) {
		if (looks++ == MAX_LOOKS)
			return false;
		nanosleep(&pause, NULL);
		pause.tv_nsec *= 2;
	}
	return true;
}
