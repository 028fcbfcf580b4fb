// SPDX-License-Identifier: GPL-2.0
/* The other end is srun_cr/srun_cr.c, whose header tells the protocol. */
#include "announce.h"

#include <errno.h>
#include <slurm/spank.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "job/ask.h"

#define PATIENCE_S	10

static int connect_to(const char *path)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -1;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	close(fd);
	return -1;
}

void announce_step(uint32_t job, uint32_t step)
{
	const char *path = getenv(ASK_VARIABLE);
	int fd = path ? connect_to(path) : -1, len;
	char line[64], end;

	/* Inherited from one that is gone, say: nobody has to know. */
	if (fd < 0)
		return;
	len = snprintf(line, sizeof(line), "step %u.%u\n", job, step);
	errno = 0;
	if (send(fd, line, (size_t)len, MSG_NOSIGNAL) == len)
		while (recv(fd, &end, 1, 0) > 0 || errno == EINTR)
			errno = 0;
	close(fd);
}
