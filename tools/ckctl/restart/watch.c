// SPDX-License-Identifier: GPL-2.0
/*
 * The coordinator, while skeletons are at work: reports from their pipe, the
 * module's events, signals from outside, and the death of any of them, which
 * nothing else would tell of.
 */
#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../out.h"

/* Other events carry the pid of the process that they are about. */
enum source {
	SOURCE_REPORTS = -1,
	SOURCE_MODULE = -2,
	SOURCE_SIGNALS = -3,
};

static int add(struct restart *r, int fd, int source)
{
	struct epoll_event event = {
		/* A death is told once. */
		.events = source > 0 ? EPOLLIN | EPOLLONESHOT : EPOLLIN,
		.data.fd = source,
	};

	if (epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return fail_errno(errno, "cannot watch the processes of the restart");
	return CK_OK;
}

int watch_open(struct restart *r)
{
	sigset_t stop;
	int rc;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigaddset(&stop, SIGQUIT);
	r->pidfds = calloc(r->tree.nr, sizeof(*r->pidfds));
	if (!r->pidfds)
		return fail(CK_FAILED, "out of memory");
	r->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r->signal_fd = signalfd(-1, &stop, SFD_CLOEXEC);
	if (r->epoll_fd < 0 || r->signal_fd < 0)
		return fail_errno(errno, "cannot watch the processes of the restart");
	rc = add(r, r->report_rd, SOURCE_REPORTS);
	if (!rc)
		rc = add(r, nl_fd(r->nl), SOURCE_MODULE);
	if (!rc)
		rc = add(r, r->signal_fd, SOURCE_SIGNALS);
	return rc;
}

void watch_close(struct restart *r)
{
	size_t i;

	for (i = 0; i < r->nr_born; i++)
		if (r->pidfds[i] >= 0)
			close(r->pidfds[i]);
	r->nr_born = 0;
	if (r->epoll_fd >= 0)
		close(r->epoll_fd);
	if (r->signal_fd >= 0)
		close(r->signal_fd);
	free(r->pidfds);
	r->pidfds = NULL;
	r->epoll_fd = -1;
	r->signal_fd = -1;
}

static int died(pid_t pid)
{
	return fail(CK_FAILED, "process %d died before the restart was complete: it was killed, "
		    "perhaps for want of memory", pid);
}

int watch_born(struct restart *r, pid_t pid)
{
	int fd;

	/* More cannot be, unless somebody else writes into our pipe. */
	if (r->nr_born == r->tree.nr)
		return fail(CK_FAILED, "the processes of the restart report nonsense");
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	r->pidfds[r->nr_born++] = fd;
	if (fd < 0)
		return errno == ESRCH ? died(pid) :
		       fail_errno(errno, "cannot watch process %d of the restart", pid);
	return add(r, fd, pid);
}

/* All places are taken: groups can be joined, rows restored. */
static void let_go(struct restart *r)
{
	__atomic_store_n(&r->gate->exist, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &r->gate->exist, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Reports come in one piece each; what the pipe holds of them is taken. */
static int read_reports(struct restart *r)
{
	struct report reports[16];
	ssize_t n = read(r->report_rd, reports, sizeof(reports));
	size_t i;
	int rc = CK_OK;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? CK_OK :
		       fail_errno(errno, "cannot hear from the processes of the restart");
	for (i = 0; i < (size_t)n / sizeof(reports[0]) && !rc; i++) {
		reports[i].text[sizeof(reports[i].text) - 1] = '\0';
		if (reports[i].kind == REPORT_FAILED)
			return fail((enum ck_exit)reports[i].code, "%s", reports[i].text);
		if (reports[i].kind == REPORT_BORN)
			rc = watch_born(r, reports[i].pid);
		else if (reports[i].kind == REPORT_WAITING)
			r->nr_waiting++;
		else if (++r->nr_ready == r->tree.nr)
			let_go(r);
	}
	return rc;
}

static int module_event(struct restart *r, bool *parked)
{
	struct nl_event ev;
	int rc = nl_wait(r->nl, CKPT_EVENT_PARKED, -1, NULL, &ev);

	if (!rc)
		*parked = true;
	return rc;
}

/* A stand-in or zombie has done its duty when all are in their groups. */
static bool is_done(const struct restart *r, pid_t pid)
{
	size_t i;

	for (i = r->tree.nr_processes; i < r->tree.nr; i++)
		if (r->tree.nodes[i].pid == pid)
			return __atomic_load_n(&r->gate->joined, __ATOMIC_ACQUIRE) == r->tree.nr;
	return false;
}

/* Somebody is dead; why, is what they or the module said before. */
static int find_cause(struct restart *r, pid_t pid)
{
	struct pollfd pfd = { .fd = nl_fd(r->nl), .events = POLLIN };
	bool parked;
	int rc = CK_OK;

	do {
		struct pollfd reports = { .fd = r->report_rd, .events = POLLIN };

		if (poll(&reports, 1, 0) <= 0)
			break;
		rc = read_reports(r);
	} while (!rc);
	if (!rc && poll(&pfd, 1, 0) > 0)
		rc = module_event(r, &parked);
	return rc ? rc : died(pid);
}

static int interrupted(struct restart *r)
{
	struct signalfd_siginfo info;

	if (read(r->signal_fd, &info, sizeof(info)) == sizeof(info))
		r->interrupted = (int)info.ssi_signo;
	return fail(CK_FAILED, "the restart was interrupted; nothing is left of it");
}

int watch_until_parked(struct restart *r)
{
	bool parked = false;
	int rc = CK_OK;

	while (!rc && !(parked && r->nr_waiting == r->image->nr_relaunched)) {
		struct epoll_event event;
		int n = epoll_wait(r->epoll_fd, &event, 1, -1);

		if (n < 0 && errno != EINTR)
			return fail_errno(errno, "cannot watch the processes of the restart");
		if (n <= 0)
			continue;
		switch (event.data.fd) {
		case SOURCE_REPORTS:
			rc = read_reports(r);
			break;
		case SOURCE_MODULE:
			rc = module_event(r, &parked);
			break;
		case SOURCE_SIGNALS:
			rc = interrupted(r);
			break;
		default:
			if (!is_done(r, event.data.fd))
				rc = find_cause(r, event.data.fd);
		}
	}
	return rc;
}
