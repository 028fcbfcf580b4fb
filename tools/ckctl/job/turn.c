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

/* What was passed on to who waits at @watch; -1 and errno, which is 0 at the end of it all. */
static int receive(int watch)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	const struct cmsghdr *head;
	int fd = -1, listens = 0;
	socklen_t len = sizeof(listens);
	ssize_t n = recvmsg(watch, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -1;
	head = n ? CMSG_FIRSTHDR(&msg) : NULL;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	/* Who knows who that was. */
	if (fd >= 0 && (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens)) {
		close(fd);
		fd = -1;
	}
	errno = 0;
	return fd;
}

static bool send_to(int conn, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = "" };
	struct iovec iov = { .iov_base = (char *)"t", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(conn, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

bool turn_take(struct turn *t)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN), n;
	int i;

	if (t->watch >= 0) {
		t->fd = receive(t->watch);
		if (t->fd < 0 && errno == EAGAIN)
			return false;
		close(t->watch);
		t->watch = -1;
	}
	for (i = 0; i < TRIES && t->fd < 0; i++) {
		for (n = 0; n < nr; n++) {
			t->fd = take(n);
			if (t->fd >= 0 || errno != EADDRINUSE)
				return true;
		}
		/* Its end is that of this connection. */
		t->watch = open_with(connect, getpid() % nr);
		if (t->watch >= 0)
			return false;
	}
	return true;
}

void turn_leave(struct turn *t)
{
	bool passed = false;
	int conn;

	/* Those who do not wait any more have closed their end. */
	while (t->fd >= 0 && !passed && (conn = accept(t->fd, NULL, NULL)) >= 0) {
		passed = send_to(conn, t->fd);
		close(conn);
	}
	if (t->fd >= 0)
		close(t->fd);
	if (t->watch >= 0)
		close(t->watch);
	t->fd = t->watch = -1;
}
