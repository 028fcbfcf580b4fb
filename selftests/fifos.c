// SPDX-License-Identifier: GPL-2.0
/* Named pipes: between processes, as one description with both ends, one end only. */
#include <sys/wait.h>
#include "workload.h"

static int to_child, from_child, both, lonely;

static void child(void)
{
	int in = wl_must(open(wl_path("there"), O_RDONLY));
	int out = wl_must(open(wl_path("back"), O_WRONLY));
	uint64_t n;
	ssize_t len;

	while ((len = read(in, &n, sizeof(n))) > 0) {
		wl_check(len == sizeof(n), "the child reads %zd bytes", len);
		n++;
		wl_check(write(out, &n, sizeof(n)) == sizeof(n), "write: %s", strerror(errno));
	}
	_exit(len == 0 ? 0 : 1);
}

int main(int argc, char **argv)
{
	uint64_t sent = 0, got = 0, n;
	char buf[32];
	int status, fd;
	pid_t pid;

	wl_start(argc, argv);
	wl_must(mkfifo(wl_path("there"), 0600));
	wl_must(mkfifo(wl_path("back"), 0600));
	wl_must(mkfifo(wl_path("both"), 0600));
	wl_must(mkfifo(wl_path("lonely"), 0600));
	pid = wl_must(fork());
	if (pid == 0)
		child();
	to_child = wl_must(open(wl_path("there"), O_WRONLY));
	from_child = wl_must(open(wl_path("back"), O_RDONLY | O_CLOEXEC));
	both = wl_must(open(wl_path("both"), O_RDWR | O_NONBLOCK));
	wl_must(fcntl(both, F_SETPIPE_SZ, 1 << 17));
	wl_check(write(both, "in flight", 9) == 9, "write: %s", strerror(errno));
	lonely = wl_must(open(wl_path("lonely"), O_RDONLY | O_NONBLOCK));
	wl_ready();
	do {
		for (int i = 0; i < 50; i++, sent++)
			wl_check(write(to_child, &sent, sizeof(sent)) == sizeof(sent), "write: %s",
				 strerror(errno));
		for (int i = 0; i < 50; i++, got++)
			wl_check(read(from_child, &n, sizeof(n)) == sizeof(n) && n == got + 1,
				 "%ju came back instead of %ju", (uintmax_t)n, (uintmax_t)got + 1);
		wl_check(fcntl(both, F_GETPIPE_SZ) == 1 << 17 && fcntl(both, F_GETFL) & O_NONBLOCK &&
			 fcntl(from_child, F_GETFD) == FD_CLOEXEC &&
			 !(fcntl(from_child, F_GETFL) & O_NONBLOCK), "flags or capacity are lost");
		/* Whoever opens it by its name meets the same pipe. */
		fd = wl_must(open(wl_path("lonely"), O_WRONLY | O_NONBLOCK));
		wl_check(write(fd, "x", 1) == 1 && read(lonely, buf, 2) == 1, "it is another pipe");
		close(fd);
		wl_pause_ms(1);
	} while (!wl_stopping());
	wl_check(read(both, buf, sizeof(buf)) == 9 && memcmp(buf, "in flight", 9) == 0,
		 "data in flight is lost");
	wl_check(read(both, buf, 1) < 0 && errno == EAGAIN, "there is more data than was written");
	close(to_child);
	wl_check(waitpid(pid, &status, 0) == pid && status == 0, "the child did not end well");
	wl_check(read(from_child, buf, 1) == 0, "a named pipe does not end with its last writer");
	for (const char *const *name = (const char *const[]){ "there", "back", "both", "lonely", NULL };
	     *name; name++)
		wl_check(access(wl_path(*name), F_OK) == 0, "%s is gone", *name);
	wl_passed();
	return 0;
}
