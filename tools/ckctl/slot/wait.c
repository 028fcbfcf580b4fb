// SPDX-License-Identifier: GPL-2.0
#include "wait.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job/supervise.h"
#include "restart/start.h"

struct watch {
	pid_t child;
	int status_fd;			/* where its init says how the job ended; -1 without one */
	int status;
	bool ended;
};

/* The init says it, and lives on while the job has processes. */
static void read_status(struct watch *w)
{
	ssize_t n;

	if (w->status_fd < 0)
		return;
	n = recv(w->status_fd, &w->status, sizeof(w->status), MSG_DONTWAIT);
	if (n < 0)
		return;
	/* Without a word: its own end tells the rest. */
	w->ended = n == sizeof(w->status);
	close(w->status_fd);
	w->status_fd = -1;
}

/* Of the others nobody else hears that they have ended. */
static void reap(struct watch *w)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != w->child || w->ended)
			continue;
		read_status(w);
		if (!w->ended)
			w->status = status;
		w->ended = true;
	}
}

static void hand_on(struct watch *w, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(w);
		else if (!w->ended)
			job_pass_on(w->child, &info);
	}
}

int slot_wait(const struct started *started)
{
	struct watch w = { .child = started->child, .status_fd = started->status_fd };
	struct pollfd pfd[2] = { { .fd = job_signal_fd(true), .events = POLLIN } };

	/* It may have ended already. */
	reap(&w);
	while (!w.ended && pfd[0].fd < 0)
		w.ended = waitpid(w.child, &w.status, 0) >= 0 || errno != EINTR;
	while (!w.ended) {
		pfd[1] = (struct pollfd){ .fd = w.status_fd, .events = POLLIN };
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			break;
		hand_on(&w, pfd[0].fd);
		if (!w.ended)
			read_status(&w);
	}
	return w.status;
}

void slot_end(int status)
{
	const struct rlimit none = { 0, 0 };
	sigset_t set;

	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	sigemptyset(&set);
	sigaddset(&set, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	_exit(128 + WTERMSIG(status));
}
