// SPDX-License-Identifier: GPL-2.0
#include "try.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "out.h"
#include "talk.h"

#define MAX_OUTPUT	(1 << 20)

static const char *program = "/proc/self/exe";

void try_program(const char *path)
{
	program = path;
}

static void run(const char *name, const char *dir, uint64_t max_wait_ms, const int out[2])
	__attribute__((noreturn));

static void run(const char *name, const char *dir, uint64_t max_wait_ms, const int out[2])
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), n = 5;
	char keyword[PATH_MAX + 16], wait[48];
	const char *argv[8] = { "ckctl", "--json", "-q", "create", name };

	if (dir) {
		snprintf(keyword, sizeof(keyword), "ImageDir=%s", dir);
		argv[n++] = keyword;
	}
	if (max_wait_ms) {
		snprintf(wait, sizeof(wait), "MaxWait=%ju", (uintmax_t)(max_wait_ms / 1000));
		argv[n++] = wait;
	}
	dup2(null, STDIN_FILENO);
	dup2(out[0], STDOUT_FILENO);
	dup2(out[1], STDERR_FILENO);
	signal(SIGPIPE, SIG_DFL);
	execv(program, (char *const *)argv);
	fprintf(stderr, "ckctl: cannot run ckctl: %s\n", strerror(errno));
	_exit(127);
}

/* Until both streams are at their end: true, or false when it has to be stopped. */
static bool listen_to(int fds[2], struct talk_lines lines[2], int stop_fd)
{
	int i;

	while (fds[0] >= 0 || fds[1] >= 0) {
		struct pollfd pfd[] = {
			{ .fd = fds[0], .events = POLLIN },
			{ .fd = fds[1], .events = POLLIN },
			{ .fd = stop_fd, .events = POLLIN },
		};

		if (poll(pfd, 3, -1) < 0)
			continue;
		for (i = 0; i < 2; i++) {
			if (!pfd[i].revents)
				continue;
			if (talk_read(&lines[i], fds[i]) > 0 && lines[i].len < MAX_OUTPUT)
				continue;
			close(fds[i]);
			fds[i] = -1;
		}
		if (pfd[2].revents)
			return false;
	}
	return true;
}

static char *text_of(const struct talk_lines *lines)
{
	return strndup(lines->text ? lines->text : "", lines->len);
}

void try_checkpoint(const char *name, const char *dir, uint64_t max_wait_ms, int stop_fd,
		    struct try *t)
{
	struct talk_lines lines[2] = { { .len = 0 }, { .len = 0 } };
	int out[2], err[2], fds[2], status = 0, i;
	pid_t pid;

	memset(t, 0, sizeof(*t));
	t->code = CK_FAILED;
	if (pipe2(out, O_CLOEXEC) < 0)
		return;
	if (pipe2(err, O_CLOEXEC) < 0) {
		close(out[0]);
		close(out[1]);
		return;
	}
	pid = fork();
	if (pid == 0)
		run(name, dir, max_wait_ms, (int[]){ out[1], err[1] });
	close(out[1]);
	close(err[1]);
	fds[0] = out[0];
	fds[1] = err[0];
	t->stopped = !listen_to(fds, lines, stop_fd);
	/* It ends in good order, and the job runs on. */
	if (t->stopped && pid > 0)
		kill(pid, SIGTERM);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	for (i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		t->result = json_loadb(lines[0].text ? lines[0].text : "", lines[0].len, 0, NULL);
	if (t->result || (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0))
		t->code = WEXITSTATUS(status);
	t->words = text_of(&lines[1]);
	talk_lines_free(&lines[0]);
	talk_lines_free(&lines[1]);
}

const char *try_sentence(const struct try *t, char *buf, size_t size)
{
	const char *words = t->words && *t->words ? t->words : "ckctl ended without a word";

	if (strncmp(words, "ckctl: ", 7) == 0)
		words += 7;
	snprintf(buf, size, "%.*s", (int)strcspn(words, "\n"), words);
	return buf;
}

void try_free(struct try *t)
{
	json_decref(t->result);
	free(t->words);
}
