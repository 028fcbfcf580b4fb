// SPDX-License-Identifier: GPL-2.0
/*
 * Some of what stands against a checkpoint is over in a moment: libc has a socket to
 * ask the name service cache, a resolver one to ask a name server, and a program with
 * capabilities of its own may give them up when it has begun.  Whether that was so shows
 * when the job runs again, at no cost to it, unless other parts of it stand still until
 * this one has answered: these are not kept waiting.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "context.h"
#include "state/files.h"

/* From one look to the next, doubled each time: half a second in all. */
#define FIRST_PAUSE_MS	1
#define MAX_PAUSE_MS	256

static bool is_readable(const struct proc *p)
{
	int fd = openat(p->dir_fd, "mem", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ESRCH || errno == ENOENT;
	close(fd);
	return true;
}

void moment_denied(struct checkpoint *c)
{
	const struct dump *d = &c->dump;
	size_t i;

	for (i = 0; i < d->nr_procs && !c->unreadable; i++)
		if (!is_readable(&d->procs[i]))
			c->unreadable = &d->procs[i];
}

static bool is_over(const struct checkpoint *c)
{
	return c->unreadable ? is_readable(c->unreadable) : sockets_gone(&c->dump);
}

bool moment_is_over(const struct checkpoint *c)
{
	struct pollfd stop = { .fd = c->group->stop_fd, .events = POLLIN };
	int pause, left;

	if (!c->group->alone || (!c->unreadable && !sockets_refused(&c->dump)))
		return false;
	/* Nothing tells of it. */
	for (pause = FIRST_PAUSE_MS; !is_over(c); pause *= 2) {
		left = checkpoint_remaining_ms(c);
		if (pause > MAX_PAUSE_MS || (left >= 0 && left < pause) || poll(&stop, 1, pause) > 0)
			return false;
	}
	return true;
}
