// SPDX-License-Identifier: GPL-2.0
#include "ckpt_self.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CKCTL	CKPT_PREFIX "/bin/ckctl"

extern char **environ;

static __thread char sentence[1024];

/* Its output and its complaints: there is a pipe for both, which is saved with us. */
static int spawn(const char *command, int output, pid_t *pid)
{
	const char *const argv[] = { "ckctl", "-q", command, "self", NULL };
	posix_spawn_file_actions_t actions;
	int err = posix_spawn_file_actions_init(&actions);

	if (err)
		return err;
	err = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, output, 1);
	if (!err)
		err = posix_spawn_file_actions_adddup2(&actions, output, 2);
	if (!err)
		err = posix_spawn(pid, CKCTL, &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return err;
}

static void read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	char more[256];
	ssize_t n;

	while ((n = read(fd, more, sizeof(more))) > 0 || (n < 0 && errno == EINTR)) {
		if (n <= 0 || len + 1 >= size)
			continue;
		if ((size_t)n > size - 1 - len)
			n = (ssize_t)(size - 1 - len);
		memcpy(text + len, more, (size_t)n);
		len += (size_t)n;
	}
	text[len] = '\0';
}

/* What ckctl prints; its exit status may be the program's SIGCHLD handler's. */
static int run(const char *command, char *text, size_t size)
{
	int ends[2], err = 0;
	pid_t pid;

	sentence[0] = text[0] = '\0';
	if (pipe2(ends, O_CLOEXEC) < 0) {
		snprintf(sentence, sizeof(sentence), "cannot make a pipe: %s", strerror(errno));
		return -1;
	}
	err = spawn(command, ends[1], &pid);
	close(ends[1]);
	if (!err)
		read_all(ends[0], text, size);
	close(ends[0]);
	if (err) {
		snprintf(sentence, sizeof(sentence), "cannot run %s: %s", CKCTL, strerror(err));
		return -1;
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

static int begins(const char *line, const char *word)
{
	return strncmp(line, word, strlen(word)) == 0;
}

/* The first complaint tells why. */
static void complain(const char *text)
{
	static const char name[] = "ckctl: ";

	if (begins(text, name))
		text += sizeof(name) - 1;
	snprintf(sentence, sizeof(sentence), "%.*s", (int)strcspn(text, "\n"),
		 *text ? text : "ckctl ended without a word");
}

int ckpt_self_possible(void)
{
	char text[1024];

	if (run("check", text, sizeof(text)) < 0)
		return 0;
	/* It has nothing to say when there is. */
	if (!*text)
		return 1;
	complain(text);
	return 0;
}

int ckpt_self_create(void)
{
	char text[8192], *line;

	if (run("create", text, sizeof(text)) < 0)
		return CKPT_SELF_FAILED;
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (begins(line, "made "))
			return CKPT_SELF_MADE;
		if (begins(line, "restarted"))
			return CKPT_SELF_RESTARTED;
	}
	complain(text);
	return CKPT_SELF_FAILED;
}

const char *ckpt_self_error(void)
{
	return sentence;
}
