// SPDX-License-Identifier: GPL-2.0
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "cgroup.h"
#include "checkpoint/checkpoint.h"
#include "enter.h"
#include "out.h"

static const int passed_on[] = {
	SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT,
};

#define NR_PASSED_ON	(sizeof(passed_on) / sizeof(passed_on[0]))

static void our_signals(sigset_t *set, bool all)
{
	/* What a process brings upon itself must end it. */
	static const int own[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	size_t i;

	if (all) {
		sigfillset(set);
		for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			sigdelset(set, own[i]);
		return;
	}
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	for (i = 0; i < NR_PASSED_ON; i++)
		sigaddset(set, passed_on[i]);
}

void job_block_signals(sigset_t *old, bool all)
{
	sigset_t set;

	our_signals(&set, all);
	sigprocmask(SIG_BLOCK, &set, old);
}

/* ---- the start ---- */

static void run_command(char **argv, const sigset_t *mask, int report_fd)
{
	int err;

	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	err = errno;
	while (write(report_fd, &err, sizeof(err)) < 0 && errno == EINTR)
		;
	_exit(err == ENOENT ? 127 : 126);
}

int job_spawn(int cgroup_fd, char **argv, const sigset_t *mask, pid_t *child, int *status)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup_fd,
	};
	int report[2], err = 0;
	ssize_t n;
	pid_t pid;

	*status = 0;
	if (pipe2(report, O_CLOEXEC) < 0)
		return fail_errno(errno, "cannot make a pipe");
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		run_command(argv, mask, report[1]);
	err = errno;
	close(report[1]);
	if (pid < 0) {
		close(report[0]);
		if (err == EACCES || err == EPERM)
			return fail(CK_PERM,
				    "you may not start processes in a cgroup below this one; start "
				    "ckctl in one that was delegated to you: systemd-run --user "
				    "--scope ckctl …");
		return fail_errno(err, "cannot start a process in the job's cgroup");
	}
	while ((n = read(report[0], &err, sizeof(err))) < 0 && errno == EINTR)
		;
	close(report[0]);
	*child = pid;
	if (n != sizeof(err))
		return CK_OK;
	waitpid(pid, NULL, 0);
	*status = err == ENOENT ? 127 : 126;
	return fail_errno(err, "cannot run %s", argv[0]);
}

/* ---- the watch ---- */

struct keeper {
	const struct job *job;
	pid_t child;
	int status_fd;			/* of its init, -1 when it is the job itself */
	pid_t checkpoint;		/* the child that makes one, 0 for none */
	int words_fd;			/* what it has to say; -1: not to us */
	struct ask ask;			/* processes of the job, for one of their own */
	uint64_t interval_s;
	int signal_fd, timer_fd;
	int wait_status;
	bool ended;
};

static void set_timer(const struct keeper *k, uint64_t seconds)
{
	struct itimerspec at = { .it_value.tv_sec = (time_t)seconds };

	timerfd_settime(k->timer_fd, 0, &at, NULL);
}

static void make_checkpoint(const struct keeper *k, int words_fd) __attribute__((noreturn));

static void make_checkpoint(const struct keeper *k, int words_fd)
{
	struct checkpoint_request req = {
		.cgroup = k->job->cgroup,
		.streams = &k->job->streams,
		.nr_streams = 1,
		.id = k->job->id,
		.image_dir = k->job->image_dir,
		.keep = k->job->keep,
	};
	struct checkpoint_result result;
	int rc;

	dup2(words_fd, STDERR_FILENO);
	close(k->signal_fd);
	close(k->timer_fd);
	rc = job_enter(k->job->cgroup, &req.view);
	if (rc)
		_exit(rc);
	rc = checkpoint_make(&req, &result);
	checkpoint_result_free(&result);
	_exit(rc);
}

/*
 * In a child of its own: the keeper stays small, is not blocked by a slow disk,
 * and outlives whatever happens to it.
 */
static void start_checkpoint(struct keeper *k)
{
	uint64_t expired;
	int words[2];

	if (read(k->timer_fd, &expired, sizeof(expired)) < 0)
		return;
	/* The next one is due an interval after this one's start. */
	set_timer(k, k->interval_s);
	if (k->checkpoint)
		return;
	/* More than the pipe holds is lost rather than waited for. */
	if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0) {
		note("cannot start a checkpoint of %s: %s", k->job->id, strerror(errno));
		return;
	}
	k->checkpoint = fork();
	if (k->checkpoint == 0)
		make_checkpoint(k, words[1]);
	close(words[1]);
	k->words_fd = words[0];
	if (k->checkpoint < 0) {
		k->checkpoint = 0;
		close(k->words_fd);
		note("cannot start a checkpoint of %s: %s", k->job->id, strerror(errno));
	}
}

/* Who asked is told by the child. */
static void serve(struct keeper *k)
{
	struct ask_request req;

	if (!ask_take(&k->ask, &req))
		return;
	k->words_fd = -1;
	if (*req.step)
		ask_drop(&k->ask);
	else
		k->checkpoint = ask_spawn(&k->ask, k->job->id, &req);
}

static void checkpoint_ended(struct keeper *k, int status)
{
	uint64_t sooner = k->interval_s / 4 ? k->interval_s / 4 : 1;
	char words[4096];
	ssize_t n;

	k->checkpoint = 0;
	if (k->words_fd < 0)
		return;
	/* That a job ended in the middle of a checkpoint is no news to anybody. */
	if (!k->ended)
		while ((n = read(k->words_fd, words, sizeof(words))) > 0)
			if (write(STDERR_FILENO, words, (size_t)n) < 0)
				break;
	close(k->words_fd);
	if (k->ended || (WIFEXITED(status) && WEXITSTATUS(status) == CK_OK))
		return;
	note("the checkpoint of %s failed; the next try is in %ju seconds", k->job->id,
	     (uintmax_t)sooner);
	set_timer(k, sooner);
}

/* The init says how the job ended, and lives on while the job has processes. */
static void read_status(struct keeper *k)
{
	ssize_t n;

	if (k->status_fd < 0)
		return;
	n = recv(k->status_fd, &k->wait_status, sizeof(k->wait_status), MSG_DONTWAIT);
	if (n < 0)
		return;
	/* Without a word: its own end tells the rest. */
	if (n == sizeof(k->wait_status))
		k->ended = true;
	close(k->status_fd);
	k->status_fd = -1;
}

static void reap(struct keeper *k)
{
	int status, checkpoint = 0;
	bool made = false;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == k->child) {
			read_status(k);
			if (!k->ended)
				k->wait_status = status;
			k->ended = true;
		} else if (pid == k->checkpoint) {
			checkpoint = status;
			made = true;
		}
	}
	if (made)
		checkpoint_ended(k, checkpoint);
}

void job_pass_on(pid_t child, const struct signalfd_siginfo *info)
{
	/* What the terminal sends, it has sent to the whole group already. */
	if (info->ssi_code != SI_KERNEL || getpgid(child) != getpgrp())
		kill(child, (int)info->ssi_signo);
}

static void handle_signals(struct keeper *k)
{
	struct signalfd_siginfo info;

	while (read(k->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD) {
			reap(k);
			continue;
		}
		if (!k->ended)
			job_pass_on(k->child, &info);
	}
}

static void stop_checkpoint(struct keeper *k)
{
	/* Without the job it cannot be completed, or it is complete already. */
	if (!k->checkpoint)
		return;
	kill(k->checkpoint, SIGTERM);
	while (waitpid(k->checkpoint, NULL, 0) < 0 && errno == EINTR)
		;
	checkpoint_ended(k, 0);
}

static void watch(struct keeper *k)
{
	/* It may have ended before there was a signalfd. */
	reap(k);
	while (!k->ended) {
		struct pollfd pfd[] = {
			{ .fd = k->signal_fd, .events = POLLIN },
			{ .fd = k->timer_fd, .events = POLLIN },
			{ .fd = k->status_fd, .events = POLLIN },
			/* One after the other. */
			{ .fd = k->checkpoint ? -1 : ask_fd(&k->ask), .events = POLLIN },
		};

		if (poll(pfd, 4, -1) < 0 && errno != EINTR)
			break;
		handle_signals(k);
		read_status(k);
		if (!k->ended && pfd[1].revents)
			start_checkpoint(k);
		if (!k->ended && !k->checkpoint && pfd[3].revents)
			serve(k);
	}
	stop_checkpoint(k);
}

int job_signal_fd(bool all)
{
	sigset_t set;

	our_signals(&set, all);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

void job_die_with_parent(int alive)
{
	struct pollfd pfd = { .fd = alive };

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* It may be dead already; from another pid namespace getppid(2) does not tell. */
	if (poll(&pfd, 1, 0) != 0)
		_exit(CK_FAILED);
}

int job_supervise(const struct job *job, pid_t child, int status_fd, uint64_t interval_s)
{
	struct keeper k = {
		.job = job, .child = child, .status_fd = status_fd, .interval_s = interval_s,
		.ask = { .listener = -1, .conn = -1 },
	};

	k.signal_fd = job_signal_fd(false);
	k.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (k.signal_fd < 0 || k.timer_fd < 0) {
		fail_errno(errno, "cannot watch the job; it goes on without checkpoints");
		while (waitpid(child, &k.wait_status, 0) < 0 && errno == EINTR)
			;
	} else {
		if (interval_s)
			set_timer(&k, interval_s);
		ask_open(&k.ask, job->cgroup);
		watch(&k);
		ask_close(&k.ask);
	}
	if (k.signal_fd >= 0)
		close(k.signal_fd);
	if (k.timer_fd >= 0)
		close(k.timer_fd);
	if (k.status_fd >= 0)
		close(k.status_fd);
	return WIFSIGNALED(k.wait_status) ? 128 + WTERMSIG(k.wait_status) :
					    WEXITSTATUS(k.wait_status);
}

void job_end(const struct job *job)
{
	int fd = open(job->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool empty = true;

	/* Those that the command left behind may be about to end. */
	if (fd >= 0) {
		empty = cgroup_wait_empty(fd, 1000);
		close(fd);
	}
	if (!empty) {
		note("%s has ended, but left processes behind in %s", job->id, job->cgroup);
		return;
	}
	cgroup_remove(job->cgroup);
	job_unregister(job);
}
