// SPDX-License-Identifier: GPL-2.0
/*
 * srun_cr SRUN-ARGUMENT…: stands in for srun in a batch script, as it did in Slurm's own
 * checkpoint days, and ends as srun ends.
 *
 * It listens on a Unix stream socket, /tmp/srun_cr.<job>.<its process id>, that only its
 * user can connect to, and whose path srun and the tasks of the step find in
 * SLURM_SRUN_CR_SOCKET. One line comes over a connection:
 *
 *	step <job>.<step>
 *		from its srun, when the step has been launched (the Slurm plugin says so);
 *		the connection ends when this has been noted.
 *	checkpoint [MaxWait=<seconds>] [ImageDir=<absolute path, up to the end of the line>]
 *		from anybody else of the same user: the step is checkpointed by "ckctl create
 *		<job>.<step>", and the answer is a line as well, a JSON object, see job/ask.h.
 *		"ckctl create self" in a task says that, where nobody has the whole job to
 *		look after; what waits for the answer must not be part of the step otherwise.
 *
 * It is left out of images of the batch script with its srun, and at a restart it is
 * started anew like an srun (state/omit.h). SLURM_RESTART_DIR tells it the image of the
 * step then, by a mark that it has since it knew the step, and srun inherits that.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job/ask.h"
#include "job/supervise.h"
#include "job/try.h"
#include "out.h"
#include "state/omit.h"

struct srun_cr {
	struct ask ask;
	char path[100];			/* of the socket; "" for none */
	char step[64];			/* "<job>.<step>", once it is launched */
	pid_t srun;
	pid_t checkpoint;		/* the child that makes one, 0 for none */
	int status;			/* srun's, in the end */
	bool ended;
};

/* ---- the socket ---- */

/* What a former one left that was killed. */
static void remove_own(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid())
		unlink(path);
}

/* The tasks of a step that was restarted know the path from before: it is the same again. */
static void open_socket(struct srun_cr *s)
{
	const char *job = getenv("SLURM_JOB_ID");
	mode_t mask = umask(077);

	snprintf(s->path, sizeof(s->path), "/tmp/srun_cr.%.20s.%d", job && !strchr(job, '/') ? job : "0",
		 getpid());
	remove_own(s->path);
	if (ask_open_path(&s->ask, s->path) < 0) {
		note("cannot listen on %s: %s; srun_cr passes no checkpoint on", s->path, strerror(errno));
		s->path[0] = '\0';
	}
	umask(mask);
}

/* ---- srun ---- */

static void run_srun(const struct srun_cr *s, char **argv, const sigset_t *mask)
	__attribute__((noreturn));

static void run_srun(const struct srun_cr *s, char **argv, const sigset_t *mask)
{
	static char name[] = "srun";

	if (*s->path)
		setenv(ASK_VARIABLE, s->path, 1);
	else
		unsetenv(ASK_VARIABLE);
	sigprocmask(SIG_SETMASK, mask, NULL);
	argv[0] = name;
	execvp(name, argv);
	fail_errno(errno, "cannot run srun");
	_exit(errno == ENOENT ? 127 : 126);
}

static void end_as(int status) __attribute__((noreturn));

static void end_as(int status)
{
	const struct rlimit no_core = { 0 };
	sigset_t set;

	if (WIFSIGNALED(status)) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(WTERMSIG(status), SIG_DFL);
		sigemptyset(&set);
		sigaddset(&set, WTERMSIG(status));
		raise(WTERMSIG(status));
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		exit(128 + WTERMSIG(status));
	}
	exit(WEXITSTATUS(status));
}

/* ---- requests ---- */

/* Who makes a checkpoint of the batch script finds the step by that: as long as we live. */
static void launched(struct srun_cr *s, const struct ask_request *req)
{
	char mark[100];

	/* Tasks that run srun themselves have the variable, too. */
	if (req->pid == s->srun && !*s->step) {
		snprintf(mark, sizeof(mark), CKPT_MARK_STEP "%s", req->step);
		if (memfd_create(mark, MFD_CLOEXEC) < 0)
			note("cannot mark step %s: %s", req->step, strerror(errno));
		snprintf(s->step, sizeof(s->step), "%s", req->step);
	}
	ask_drop(&s->ask);
}

static void serve(struct srun_cr *s)
{
	struct ask_request req;

	if (!ask_take(&s->ask, &req))
		return;
	if (*req.step)
		launched(s, &req);
	else if (*s->step)
		s->checkpoint = ask_spawn(&s->ask, s->step, &req);
	else
		ask_refuse(&s->ask, CK_NOTFOUND, "srun has not launched its step yet");
}

static void reap(struct srun_cr *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->checkpoint)
			s->checkpoint = 0;
		if (pid != s->srun)
			continue;
		s->status = status;
		s->ended = true;
	}
}

static void watch(struct srun_cr *s, int signal_fd)
{
	struct signalfd_siginfo info;

	while (!s->ended) {
		struct pollfd pfd[] = {
			{ .fd = signal_fd, .events = POLLIN },
			{ .fd = s->checkpoint ? -1 : ask_fd(&s->ask), .events = POLLIN },
		};

		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			break;
		while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo == SIGCHLD)
				reap(s);
			else if (!s->ended)
				job_pass_on(s->srun, &info);
		}
		if (!s->ended && pfd[1].revents)
			serve(s);
	}
	/* Of what has ended there is nothing to be saved. */
	if (s->checkpoint && kill(s->checkpoint, SIGTERM) == 0)
		waitpid(s->checkpoint, NULL, 0);
}

int main(int argc, char **argv)
{
	struct srun_cr s = { .ask = { .listener = -1, .conn = -1 } };
	sigset_t old;
	int fd;

	signal(SIGCHLD, SIG_DFL);
	if (argc < 2)
		return fail(CK_USAGE, "srun_cr takes the arguments of srun, in whose place it stands");
	try_program(CKPT_PREFIX "/bin/ckctl");
	open_socket(&s);
	job_block_signals(&old, false);
	s.srun = fork();
	if (s.srun == 0)
		run_srun(&s, argv, &old);
	fd = job_signal_fd(false);
	if (s.srun < 0 || fd < 0) {
		fail_errno(errno, "cannot start srun");
		s.status = CK_FAILED << 8;
	} else {
		/* It may have ended before that was there. */
		reap(&s);
		watch(&s, fd);
	}
	ask_close(&s.ask);
	if (*s.path)
		unlink(s.path);
	end_as(s.status);
}
