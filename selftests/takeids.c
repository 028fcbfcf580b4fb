// SPDX-License-Identifier: GPL-2.0
/*
 * Take process ids away from those who want them back:
 *
 *	takeids READY ID…
 *
 * makes a process of each ID that is free, then the directory READY, and waits
 * to be killed, when they end too.  It needs CAP_CHECKPOINT_RESTORE.  With an
 * "s" in front of it, an ID is that of a session only, whose leader is gone: no
 * system call but clone3(2) tells that it is taken.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void live(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static void found_session(pid_t self)
{
	setsid();
	if (fork() == 0) {
		setpgid(0, 0);
		/* The leader's end makes it a child of the one who started all. */
		while (getppid() != self)
			usleep(1000);
		live(self);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	pid_t self = getpid();
	int i;

	prctl(PR_SET_CHILD_SUBREAPER, 1);

	if (argc < 3) {
		fprintf(stderr, "usage: %s READY ID...\n", argv[0]);
		return 2;
	}
	for (i = 2; i < argc; i++) {
		bool session = argv[i][0] == 's';
		pid_t pid = atoi(argv[i] + session);
		struct clone_args args = {
			.exit_signal = SIGCHLD,
			.set_tid = (uintptr_t)&pid,
			.set_tid_size = 1,
		};
		long rc = syscall(SYS_clone3, &args, sizeof(args));

		if (rc == 0 && session)
			found_session(self);
		if (rc == 0)
			live(self);
		if (rc > 0 && session)
			waitpid(rc, NULL, 0);
		if (rc < 0 && errno != EEXIST) {
			fprintf(stderr, "cannot take id %d: %s\n", pid, strerror(errno));
			return 1;
		}
	}
	if (mkdir(argv[1], 0755) < 0) {
		perror(argv[1]);
		return 1;
	}
	for (;;)
		pause();
}
