// SPDX-License-Identifier: GPL-2.0
/*
 * Pipes: data in flight, capacity, flags, conversation in both directions,
 * the end of the data after the last writer, and SIGPIPE after the last reader.
 */
#include <poll.h>
#include <sys/wait.h>
#include "workload.h"

#define STORED 300000
#define CAPACITY (1 << 20)

static int stored[2], drained[2], to_child[2], from_child[2], unread[2];

static void make(int fds[2], int flags)
{
	wl_must(pipe2(fds, flags));
}

static void write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		wl_check(n > 0, "write to a pipe: %s", strerror(errno));
	}
}

static void read_all(int fd, void *buf, size_t len, const char *what)
{
	char *p = buf;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = read(fd, p, len);
		wl_check(n >= 0, "%s: %s", what, strerror(errno));
		wl_check(n > 0, "%s ends too early", what);
	}
}

/* Sends each number back, increased; ends when there is nothing more to read. */
static void child(void)
{
	uint64_t n, expect = 0;
	ssize_t len;

	close(to_child[1]);
	close(from_child[0]);
	close(unread[0]);
	close(stored[1]);
	for (;;) {
		len = read(to_child[0], &n, sizeof(n));
		if (len == 0)
			break;
		wl_check(len == sizeof(n), "the child reads %zd bytes: %s", len, strerror(errno));
		wl_check(n == expect, "the child reads %ju instead of %ju", n, expect);
		expect = n + 1;
		write_all(from_child[1], &expect, sizeof(expect));
	}
	_exit(7);
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

int main(int argc, char **argv)
{
	static uint64_t big[STORED / 8], back[STORED / 8];
	uint64_t n = 0, sent = 0, reply;
	char buf[16];
	int status;
	pid_t pid;

	wl_start(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	make(stored, O_CLOEXEC);
	wl_check(fcntl(stored[1], F_SETPIPE_SZ, CAPACITY) == CAPACITY, "F_SETPIPE_SZ: %s", strerror(errno));
	wl_fill(big, sizeof(big), 1);
	write_all(stored[1], big, sizeof(big));
	make(drained, O_NONBLOCK);
	write_all(drained[1], "the last words\n", 15);
	close(drained[1]);
	make(to_child, 0);
	make(from_child, 0);
	make(unread, 0);
	close(unread[0]);
	pid = wl_must(fork());
	if (pid == 0)
		child();
	close(to_child[0]);
	close(from_child[1]);
	wl_ready();
	do {
		/* Several numbers at once, so that some are always under way. */
		for (int i = 0; i < 100; i++, sent++)
			write_all(to_child[1], &sent, sizeof(sent));
		for (int i = 0; i < 100; i++, n++) {
			read_all(from_child[0], &reply, sizeof(reply), "the child's pipe");
			wl_check(reply == n + 1, "the child sent %ju instead of %ju", reply, n + 1);
		}
		wl_check(fcntl(stored[0], F_GETPIPE_SZ) == CAPACITY, "the capacity changed");
		wl_check(fcntl(to_child[1], F_GETPIPE_SZ) == 65536, "the default capacity changed");
		wl_check(readable(stored[0]) && readable(drained[0]), "data in flight is lost");
		wl_check(fcntl(drained[0], F_GETFL) & O_NONBLOCK, "O_NONBLOCK is lost");
		wl_check(fcntl(stored[0], F_GETFD) == FD_CLOEXEC, "close-on-exec is lost");
		wl_check(write(unread[1], "x", 1) < 0 && errno == EPIPE, "a pipe without reader takes data");
		wl_pause_ms(1);
	} while (!wl_stopping());
	/* The capacity is real: what was stored and as much again fits in. */
	wl_must(fcntl(stored[1], F_SETFL, O_NONBLOCK));
	wl_check(write(stored[1], big, sizeof(big)) == sizeof(big), "the pipe takes no more data: %s",
		 strerror(errno));
	for (int i = 0; i < 2; i++) {
		read_all(stored[0], back, sizeof(back), "stored data");
		wl_verify(back, sizeof(back), 1, "data in flight");
	}
	wl_must(fcntl(stored[0], F_SETFL, O_NONBLOCK));
	wl_check(read(stored[0], buf, 1) < 0 && errno == EAGAIN, "there is more data than was written");
	close(stored[1]);
	read_all(drained[0], buf, 15, "the pipe without writer");
	wl_check(memcmp(buf, "the last words\n", 15) == 0, "data in flight changed");
	wl_check(read(drained[0], buf, 1) == 0, "a pipe without writer does not end");
	close(to_child[1]);
	wl_check(read(from_child[0], buf, 1) == 0, "the pipe does not end with its writer");
	wl_check(waitpid(pid, &status, 0) == pid && status == 7 << 8, "the child did not end well");
	wl_check(read(stored[0], buf, 1) == 0, "a pipe does not end although all writers did");
	wl_passed();
	return 0;
}
