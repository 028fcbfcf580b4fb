// SPDX-License-Identifier: GPL-2.0
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS	10000

static pid_t keeper;
static int keeper_fd = -1;
/* Its standard input is a pipe to here: when that ends, however slurmstepd does, it ends.
 * PR_SET_PDEATHSIG would not outlive the exec of a program with capabilities. */
static int alive = -1;

struct launch {
	char program[PATH_MAX], interval[64], dir[PATH_MAX + 32], task[32], id[32];
	char *argv[7], **env;
	uid_t uid;
	gid_t gid, *groups;
	int nr_groups, input;
};

/* The job's working directory: its tasks are in it. */
static int working_directory(pid_t task, char *path, size_t size)
{
	char link[32];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%d/cwd", task);
	len = readlink(link, path, size - 1);
	if (len < 0)
		return -1;
	path[len] = '\0';
	return 0;
}

static int prepare(spank_t sp, const struct step *step, const char *prefix, struct launch *l)
{
	char cwd[PATH_MAX];
	pid_t task;

	l->uid = step->uid;
	l->gid = step->gid;
	if (spank_get_item(sp, S_TASK_PID, &task) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_ENV, &l->env) != ESPANK_SUCCESS ||
	    spank_get_item(sp, S_JOB_SUPPLEMENTARY_GIDS, &l->groups, &l->nr_groups) !=
		    ESPANK_SUCCESS)
		return -1;
	if (!step->image_dir && working_directory(task, cwd, sizeof(cwd)) < 0)
		return -1;
	snprintf(l->program, sizeof(l->program), "%s/bin/ckctl", prefix);
	snprintf(l->interval, sizeof(l->interval), "--checkpoint=0:%ju",
		 (uintmax_t)step->interval_s);
	snprintf(l->dir, sizeof(l->dir), "--checkpoint-dir=%s",
		 step->image_dir ? step->image_dir : cwd);
	snprintf(l->task, sizeof(l->task), "--task=%d", task);
	if (step->batch)
		snprintf(l->id, sizeof(l->id), "%u", step->job_id);
	else
		snprintf(l->id, sizeof(l->id), "%u.%u", step->job_id, step->step_id);
	l->argv[0] = l->program;
	l->argv[1] = (char *)"job-keeper";
	l->argv[2] = l->interval;
	l->argv[3] = l->dir;
	l->argv[4] = l->task;
	l->argv[5] = l->id;
	return access(l->program, X_OK);
}

/*
 * In the child, which has one thread of slurmstepd's many: system calls only.
 * It stays in slurmstepd's own cgroup, where it is not frozen with the tasks.
 */
static void become(const struct launch *l) __attribute__((noreturn));

static void become(const struct launch *l)
{
	sigset_t none;
	int fd, n;

	for (n = 1; n < NSIG; n++)
		signal(n, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* slurmstepd itself is never killed for want of memory. */
	fd = open("/proc/self/oom_score_adj", O_WRONLY);
	if (fd >= 0 && write(fd, "0", 1) != 1)
		_exit(126);
	fd = open("/dev/null", O_RDWR);
	if (fd < 0 || dup2(l->input, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 ||
	    syscall(SYS_close_range, 3, ~0U, 0) < 0 || setsid() < 0 || chdir("/") < 0)
		_exit(126);
	/* glibc's functions speak to all threads that it knows of. */
	if (syscall(SYS_setgroups, l->nr_groups, l->groups) < 0 ||
	    syscall(SYS_setresgid, l->gid, l->gid, l->gid) < 0 ||
	    syscall(SYS_setresuid, l->uid, l->uid, l->uid) < 0)
		_exit(126);
	execve(l->program, l->argv, l->env);
	_exit(127);
}

/*
 * It is no child of slurmstepd's: of these, Slurm thinks that they are tasks,
 * and sends them the signals that are for the tasks.  The keeper's process id,
 * or -1 and errno.
 */
static pid_t start(const struct launch *l)
{
	int ids[2], status;
	pid_t between, pid = -1;

	if (pipe2(ids, O_CLOEXEC) < 0)
		return -1;
	between = fork();
	if (between == 0) {
		pid = fork();
		if (pid == 0)
			become(l);
		_exit(write(ids[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	close(ids[1]);
	if (between > 0) {
		if (read(ids[0], &pid, sizeof(pid)) != sizeof(pid))
			pid = -1;
		while (waitpid(between, &status, 0) < 0 && errno == EINTR)
			;
		errno = EAGAIN;
	}
	close(ids[0]);
	return pid;
}

void keeper_start(spank_t sp, const struct step *step, const char *prefix)
{
	struct launch l = { .argv = { NULL } };
	int ends[2] = { -1, -1 };

	if (keeper)
		return;
	if (prepare(sp, step, prefix, &l) == 0 && pipe2(ends, O_CLOEXEC) == 0) {
		l.input = ends[0];
		keeper = start(&l);
	}
	if (ends[0] >= 0)
		close(ends[0]);
	if (keeper > 0) {
		keeper_fd = (int)syscall(SYS_pidfd_open, keeper, 0);
		alive = ends[1];
		return;
	}
	slurm_error("ckpt: cannot start %s: %s; there will be no checkpoints", l.program,
		    strerror(errno));
	keeper = 0;
	if (ends[1] >= 0)
		close(ends[1]);
}

void keeper_task_ended(spank_t sp)
{
	static uint32_t ended;
	uint32_t tasks;

	if (spank_get_item(sp, S_JOB_LOCAL_TASK_COUNT, &tasks) == ESPANK_SUCCESS &&
	    ++ended >= tasks)
		keeper_end();
}

void keeper_end(void)
{
	struct pollfd ended = { .fd = keeper_fd, .events = POLLIN };

	if (!keeper)
		return;
	close(alive);
	while (keeper_fd >= 0 && poll(&ended, 1, PATIENCE_MS) < 0 && errno == EINTR)
		;
	/* As long as it is there, its group's number is nobody else's. */
	if (keeper_fd >= 0 && !ended.revents) {
		kill(-keeper, SIGKILL);
		syscall(SYS_pidfd_send_signal, keeper_fd, SIGKILL, NULL, 0);
	}
	if (keeper_fd >= 0)
		close(keeper_fd);
	keeper = 0;
	keeper_fd = -1;
	alive = -1;
}
