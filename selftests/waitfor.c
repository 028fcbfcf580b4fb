// SPDX-License-Identifier: GPL-2.0
/*
 * Wait for an event with a deadline, for the test scripts:
 *
 *	waitfor SECONDS file PATH…		one of them exists; it is printed
 *	waitfor SECONDS gone PATH		it does not exist any more
 *	waitfor SECONDS end PID			the process has ended
 *	waitfor SECONDS cgroup DIR KEY VALUE	cgroup.events says so
 *	waitfor SECONDS bytes PATH N		the file has at least N bytes
 *
 * Exit status 0, 1 when the deadline passed, 2 for anything else.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Some events come without notice (a cgroup's removal): look again after this. */
#define LOOK_AGAIN_MS 20

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool file_there(char **args)
{
	for (; *args; args++) {
		if (access(*args, F_OK) == 0) {
			puts(*args);
			return true;
		}
	}
	return false;
}

static bool file_gone(char **args)
{
	return access(args[0], F_OK) < 0 && errno == ENOENT;
}

static bool file_bytes(char **args)
{
	struct stat st;

	return stat(args[0], &st) == 0 && st.st_size >= atoll(args[1]);
}

static bool cgroup_says(char **args)
{
	char path[PATH_MAX], key[64];
	int value;
	bool yes = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.events", args[0]);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fscanf(f, "%63s %d", key, &value) == 2)
		if (strcmp(key, args[1]) == 0)
			yes = value == atoi(args[2]);
	fclose(f);
	return yes;
}

static bool process_ended(char **args)
{
	return kill((pid_t)atoi(args[0]), 0) < 0 && errno == ESRCH;
}

static int open_inotify(char **args, bool of_parent)
{
	int fd = inotify_init1(IN_CLOEXEC);

	for (; *args; args++) {
		char *copy = strdup(*args);

		if (fd >= 0 && copy)
			inotify_add_watch(fd, of_parent ? dirname(copy) : copy,
					  IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_DELETE);
		free(copy);
	}
	return fd;
}

static int open_cgroup(char **args)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/cgroup.events", args[0]);
	return open_inotify((char *[]){ path, NULL }, false);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int nr_args;		/* at least */
		bool (*holds)(char **args);
	} conditions[] = {
		{ "file", 1, file_there }, { "gone", 1, file_gone }, { "end", 1, process_ended },
		{ "cgroup", 3, cgroup_says }, { "bytes", 2, file_bytes },
	};
	bool (*holds)(char **args) = NULL;
	struct pollfd p = { .fd = -1, .events = POLLIN };
	int64_t end;
	char junk[4096];

	for (size_t i = 0; argc > 2 && i < sizeof(conditions) / sizeof(conditions[0]); i++)
		if (strcmp(argv[2], conditions[i].name) == 0 && argc - 3 >= conditions[i].nr_args)
			holds = conditions[i].holds;
	if (!holds) {
		fprintf(stderr, "usage: see the top of waitfor.c\n");
		return 2;
	}
	end = now_ms() + (int64_t)(atof(argv[1]) * 1000);
	argv += 3;
	if (holds == process_ended)
		p.fd = (int)syscall(SYS_pidfd_open, atoi(argv[0]), 0);
	else if (holds == cgroup_says)
		p.fd = open_cgroup(argv);
	else
		p.fd = open_inotify(argv, true);
	while (!holds(argv)) {
		if (now_ms() >= end)
			return 1;
		if (poll(&p, 1, LOOK_AGAIN_MS) == 1 && holds == process_ended)
			return 0;	/* a zombie, which kill() still finds, has ended too */
		if (p.revents && read(p.fd, junk, sizeof(junk)) < 0)
			return 2;
	}
	return 0;
}
