// SPDX-License-Identifier: GPL-2.0
#include "init.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../caps.h"
#include "janitor.h"
#include "supervise.h"

/* What has ended is reaped; false when there is nothing left to wait for. */
static bool reap(pid_t *child, int *status_fd)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != *child)
			continue;
		/* Nobody may be there to hear it. */
		if (send(*status_fd, &status, sizeof(status), MSG_NOSIGNAL) < 0)
			status = 0;
		close(*status_fd);
		*status_fd = -1;
		*child = 0;
	}
	return pid == 0;
}

void init_run(pid_t child, int status_fd, bool pidns, bool all)
{
	struct pollfd pfd = { .events = POLLIN };
	struct signalfd_siginfo info;

	prctl(PR_SET_NAME, "ckctl-init");
	job_drop_streams();
	caps_end_loan();
	pfd.fd = job_signal_fd(all);
	/* No signal would be lost on pid 1, but the job would be blind to them. */
	if (pfd.fd < 0)
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	while (pfd.fd >= 0 && reap(&child, &status_fd) && (child || pidns)) {
		if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
			break;
		while (read(pfd.fd, &info, sizeof(info)) == sizeof(info))
			if (child && info.ssi_signo != SIGCHLD)
				job_pass_on(child, &info);
	}
	_exit(0);
}
