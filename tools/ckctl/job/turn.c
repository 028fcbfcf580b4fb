// SPDX-License-Identifier: GPL-2.0
#include "turn.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* How often one may have ended between two looks. */
#define TRIES		10
#define MAX_WAITING	4096

static socklen_t address(struct sockaddr_un *sun, long n)
{
	int len;

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	len = snprintf(sun->sun_path + 1, sizeof(sun->sun_path) - 1, "ckpt-turn:%ld", n);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

/* A socket on which @call has succeeded; -1 and errno. */
static int open_with(int (*call)(int fd, const struct sockaddr *sun, socklen_t len), long n)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;
	struct sockaddr_un sun;
	socklen_t len = address(&sun, n);

	if (fd < 0 || call(fd, (const struct sockaddr *)&sun, len) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

static int take(long n)
{
	int fd = open_with(bind, n);

	if (fd >= 0)
		listen(fd, MAX_WAITING);
	return fd;
}

int turn_take(int *watch)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN), n;
	int fd, i;

	*watch = -1;
	for (i = 0; i < TRIES; i++) {
		for (n = 0; n < nr; n++) {
			fd = take(n);
			if (fd >= 0 || errno != EADDRINUSE)
				return fd;
		}
		/* Its end is that of this connection, which nobody accepts. */
		*watch = open_with(connect, getpid() % nr);
		if (*watch >= 0)
			return -1;
	}
	return -1;
}
