// SPDX-License-Identifier: GPL-2.0
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "out.h"

/* Time to end by itself, which for srun takes its step's end; and after SIGTERM.  In a
 * hurry, all of it is to be over within the 10 seconds that a keeper is given
 * (slurm/launch.c): what it leaves behind then is a half image. */
static const struct {
	int patience_ms, term_ms;
} times[] = { { 15000, 5000 }, { 3000, 1000 } };

static const char error[] = "error: ";

/* ---- the start ---- */

static void child(const char *const argv[], const int fds[3])
{
	sigset_t none;
	int i, code;

	for (i = 0; i < 3; i++)
		dup2(fds[i], i);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* What the terminal sends is for the coordinator: that aborts in good order.  And
	 * it may be root's, where this is a process of the job's user, who can trace it. */
	setsid();
	execvp(argv[0], (char *const *)argv);
	code = errno;
	fprintf(stderr, "error: cannot start %s: %s\n", argv[0], strerror(code));
	_exit(127);
}

int channel_start(struct channel *ch, bool many, const char *const argv[])
{
	int pipes[3][2], i, err;

	memset(ch, 0, sizeof(*ch));
	ch->many = many;
	ch->to = ch->from = ch->err = -1;
	for (i = 0; i < 3; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0) {
			err = errno;
			while (i--) {
				close(pipes[i][0]);
				close(pipes[i][1]);
			}
			return fail_errno(err, "cannot make a pipe");
		}
	fflush(NULL);
	ch->pid = fork();
	if (ch->pid == 0)
		child(argv, (int[]){ pipes[0][0], pipes[1][1], pipes[2][1] });
	err = errno;
	close(pipes[0][0]);
	close(pipes[1][1]);
	close(pipes[2][1]);
	ch->to = pipes[0][1];
	ch->from = pipes[1][0];
	ch->err = pipes[2][0];
	return ch->pid < 0 ? fail_errno(err, "cannot start %s", argv[0]) : CK_OK;
}

/* ---- what it says ---- */

char *channel_next(struct channel *ch, unsigned long *rank)
{
	char *line, *end;

	*rank = 0;
	while ((line = talk_next(&ch->lines)) && ch->many) {
		/* The rank is padded where there are many. */
		*rank = strtoul(line, &end, 10);
		if (end != line && strncmp(end, ": ", 2) == 0)
			return end + 2;
	}
	return line;
}

static bool take(struct talk_lines *lines, int *fd)
{
	ssize_t n = *fd < 0 ? 0 : talk_read(lines, *fd);

	if (n > 0 || (n < 0 && errno == EINTR))
		return true;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return false;
}

bool channel_read(struct channel *ch)
{
	return take(&ch->lines, &ch->from);
}

void channel_read_words(struct channel *ch)
{
	char *line;

	take(&ch->words, &ch->err);
	/* The first complaint: what comes after it comes from it. */
	while ((line = talk_next(&ch->words)))
		if (*line && !strstr(ch->last, error))
			snprintf(ch->last, sizeof(ch->last), "%s", line);
}

const char *channel_words(const struct channel *ch)
{
	const char *at = strstr(ch->last, error);

	return at ? at + strlen(error) : ch->last;
}

/* ---- the end ---- */

static bool wait_for(pid_t pid, int timeout_ms)
{
	struct pollfd pfd = { .events = POLLIN };

	pfd.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pfd.fd < 0)
		return false;
	while (poll(&pfd, 1, timeout_ms) < 0 && errno == EINTR)
		;
	close(pfd.fd);
	return pfd.revents;
}

void channel_end(struct channel *ch, bool hurry)
{
	if (ch->to >= 0)
		close(ch->to);
	if (ch->from >= 0)
		close(ch->from);
	if (ch->err >= 0)
		close(ch->err);
	if (ch->pid > 0 && !wait_for(ch->pid, times[hurry].patience_ms)) {
		kill(ch->pid, SIGTERM);
		if (!wait_for(ch->pid, times[hurry].term_ms))
			kill(ch->pid, SIGKILL);
	}
	while (ch->pid > 0 && waitpid(ch->pid, NULL, 0) < 0 && errno == EINTR)
		;
	talk_lines_free(&ch->lines);
	talk_lines_free(&ch->words);
	memset(ch, 0, sizeof(*ch));
	ch->to = ch->from = ch->err = -1;
}
