// SPDX-License-Identifier: GPL-2.0
/*
 * Like timeouts.c and fragile.c, in a process that holds what is not saved: a
 * checkpoint that is refused ends no system call either.
 */
#include <linux/aio_abi.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "timed.h"

static volatile sig_atomic_t interrupting;

static void on_usr1(int sig)
{
	interrupting += sig;
}

static int new_epoll(void)
{
	return wl_must(epoll_create1(0));
}

/* More than one thread on it: each wakes the others up in vain. */
static int common_epoll(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static int fd = -1;

	pthread_mutex_lock(&lock);
	if (fd < 0)
		fd = new_epoll();
	pthread_mutex_unlock(&lock);
	return fd;
}

static int epoll(int fd)
{
	struct epoll_event event;

	return epoll_wait(fd, &event, 1, t_ms);
}

static long masked_wait(void)
{
	struct epoll_event event;
	sigset_t blocked;

	sigfillset(&blocked);
	return epoll_pwait(new_epoll(), &event, 1, t_ms, &blocked);
}

static long aio_wait(void)
{
	struct timespec ts = timeout->ts;
	aio_context_t ctx = 0;
	struct io_event event;

	wl_must(syscall(SYS_io_setup, 1, &ctx));
	return syscall(SYS_io_getevents, ctx, 1, 1, &event, &ts);
}

/* Its time is the socket's: it begins anew after each stop, but it ends. */
static long socket_wait(void)
{
	struct timeval tv = { .tv_sec = t_ms / 1000 };
	int fds[2];
	char c;

	wl_must(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	wl_must(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	return recv(fds[0], &c, 1, 0);
}

/* A handler that is let in ends it, and nothing else: until enough time has passed. */
static long interrupted_wait(void)
{
	uint64_t start = wl_now_ns();
	struct epoll_event event;
	int fd = new_epoll();
	sigset_t open;

	sigemptyset(&open);
	do {
		sig_atomic_t before = interrupting;
		int ret = epoll_pwait(fd, &event, 1, -1, &open);

		wl_check(ret == -1 && errno == EINTR, "epoll_pwait: %d (%s)", ret, strerror(errno));
		wl_check(interrupting == before + SIGUSR1,
			 "epoll_pwait was ended with EINTR, but a handler ran %d times",
			 (interrupting - before) / SIGUSR1);
	} while (wl_now_ns() - start < t_ms * 1000000ULL);
	return 0;
}

static void *interrupt(void *arg)
{
	for (;;) {
		wl_pause_ms(50);
		wl_must(kill(getpid(), SIGUSR1));
	}
	return arg;
}

TIMED(epoll_wait, epoll(new_epoll()), ret == 0)
TIMED(epoll_wait_one, epoll(common_epoll()), ret == 0)
TIMED(epoll_wait_two, epoll(common_epoll()), ret == 0)
TIMED(epoll_pwait, masked_wait(), ret == 0)
TIMED(epoll_pwait2, epoll_pwait2(new_epoll(), &(struct epoll_event){}, 1, &timeout->ts, NULL), ret == 0)
TIMED(io_getevents, aio_wait(), ret == 0)
TIMED(socket, socket_wait(), ret == -1 && errno == EAGAIN)
TIMED(interrupted, interrupted_wait(), ret == 0)

static struct timed timed[] = {
	T(epoll_wait), T(epoll_wait_one), T(epoll_wait_two), T(epoll_pwait), T(epoll_pwait2),
	T(io_getevents), T(socket), T(interrupted),
};

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	sigset_t blocked;
	pthread_t thread;

	wl_must(sigaction(SIGUSR1, &sa, NULL));
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	wl_check(pthread_create(&thread, NULL, interrupt, NULL) == 0, "no thread can be created");
	return timed_main(argc, argv, timed, sizeof(timed) / sizeof(timed[0]));
}
