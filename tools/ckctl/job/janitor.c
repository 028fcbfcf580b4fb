// SPDX-License-Identifier: GPL-2.0
/*
 * Whoever kills a keeper with SIGKILL, or lets a restarted job run on its own,
 * leaves a cgroup and a registration behind.  A process that does nothing but
 * wait sees to it that they go when the job has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../caps.h"
#include "../out.h"
#include "cgroup.h"
#include "janitor.h"

void job_drop_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), i;

	for (i = 0; i < 3; i++)
		if (null < 0 || dup2(null, i) < 0)
			close(i);
	if (null > 2)
		close(null);
}

/* Nothing of the keeper may live on here: not its terminal, not its session with the module. */
static void let_go(int a, int b)
{
	unsigned int low = (unsigned int)(a < b ? a : b), high = (unsigned int)(a < b ? b : a);
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
	job_drop_streams();
	setsid();
	caps_end_loan();
	if (chdir("/") < 0 || prctl(PR_SET_NAME, "ckctl-janitor") < 0)
		_exit(CK_FAILED);
}

/* A job of the same name may have a cgroup at the same place by now. */
static bool still_there(const struct stat *ours, const char *path)
{
	struct stat there;

	return stat(path, &there) == 0 &&
	       (!ours->st_ino || (ours->st_ino == there.st_ino && ours->st_dev == there.st_dev));
}

static void wait_and_clean(const struct job *job, int from, int keeper)
{
	struct pollfd pfd = { .fd = keeper, .events = POLLIN };
	struct stat ours = { 0 };
	int fd;

	/* Nothing comes from a keeper that died before it could say. */
	if (read(from, &ours, sizeof(ours)) != sizeof(ours))
		ours.st_ino = 0;
	while (poll(&pfd, 1, -1) < 0 && errno == EINTR)
		;
	fd = open(job->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (fd >= 0 && still_there(&ours, job->cgroup) && !cgroup_wait_empty(fd, 60000))
		;
	if (fd >= 0 && still_there(&ours, job->cgroup))
		cgroup_remove(job->cgroup);
	job_unregister(job);
}

int job_guard(struct job *job, int *to)
{
	int keeper = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int ends[2] = { -1, -1 }, rc = CK_OK, status = 0;
	pid_t pid;

	*to = -1;
	job_own(job);
	if (keeper < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		rc = fail_errno(errno, "cannot watch over the job %s", job->id);
		goto out;
	}
	pid = fork();
	if (pid == 0) {
		/* Not a child of the keeper, which waits for its children. */
		pid = fork();
		if (pid == 0) {
			let_go(ends[0], keeper);
			wait_and_clean(job, ends[0], keeper);
		}
		_exit(pid < 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
		rc = fail(CK_FAILED, "cannot start a process to clean up after the job %s", job->id);
	else
		*to = ends[1];
out:
	if (ends[0] >= 0)
		close(ends[0]);
	if (rc && ends[1] >= 0)
		close(ends[1]);
	if (keeper >= 0)
		close(keeper);
	return rc;
}

void job_guard_cgroup(int to, int cgroup_fd)
{
	struct stat st;

	if (to < 0)
		return;
	/* The reader is there until we are gone; what it misses it does without. */
	if (cgroup_fd >= 0 && fstat(cgroup_fd, &st) == 0 && write(to, &st, sizeof(st)) < 0)
		note("the process that cleans up after the job does not answer");
	close(to);
}
