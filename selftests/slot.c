// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into ckctl, which then is a slot (tools/ckctl/job/slot.h), as a batch
 * system's plugin has one: it starts the program SLOT_PROGRAM with the argument
 * SLOT_DIR, with SLOT_NS in a pid namespace, and ends as that does.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int wait_for(pid_t pid)
{
	int status = -1;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 99;
	return WEXITSTATUS(status);
}

static int run(const char *program, const char *dir)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl(program, program, dir, NULL);
		_exit(98);
	}
	return wait_for(pid);
}

/* Its init is one more process of this program that holds the mark. */
static int run_apart(const char *program, const char *dir)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0) {
		if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
		    mount("proc", "/proc", "proc", 0, NULL) < 0)
			_exit(97);
		_exit(run(program, dir));
	}
	return wait_for(pid);
}

static void __attribute__((constructor)) start(void)
{
	const char *program = getenv("SLOT_PROGRAM"), *dir = getenv("SLOT_DIR");
	int mark;

	if (!program || !dir)
		return;
	unsetenv("LD_PRELOAD");
	mark = memfd_create("ckpt-slot:17.0.0", MFD_CLOEXEC);
	/* Its program is there, as far as anybody can tell. */
	if (mark < 0 || write(mark, "1", 1) != 1)
		_exit(96);
	_exit(getenv("SLOT_NS") ? run_apart(program, dir) : run(program, dir));
}
