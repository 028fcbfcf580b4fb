// SPDX-License-Identifier: GPL-2.0
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../caps.h"
#include "../out.h"
#include "../state/proc.h"
#include "cgroup.h"
#include "slot.h"
#include "supervise.h"

static const struct {
	const char *name;
	int flag;
} kinds[] = {
	{ "ns/pid", CLONE_NEWPID }, { "ns/mnt", CLONE_NEWNS }, { "ns/user", CLONE_NEWUSER },
};

/* One look at both: what cannot be looked at is for others to complain about. */
static bool differs(int dir, const char *name)
{
	struct stat theirs, ours;
	char own[32];

	/* A name below /proc/PID. */
	snprintf(own, sizeof(own), "/proc/self/%s", name);
	return fstatat(dir, name, &theirs, 0) == 0 && stat(own, &ours) == 0 &&
	       (theirs.st_ino != ours.st_ino || theirs.st_dev != ours.st_dev);
}

/* One process of the job. */
struct member {
	int dir, pidfd;
};

static void forget(struct member *m)
{
	if (m->dir >= 0)
		close(m->dir);
	if (m->pidfd >= 0)
		close(m->pidfd);
	*m = (struct member){ -1, -1 };
}

static bool take(struct member *m, pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	m->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	m->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* While it lives, both are the same process. */
	if (m->pidfd >= 0 && m->dir >= 0 &&
	    (syscall(SYS_pidfd_send_signal, m->pidfd, 0, NULL, 0) == 0 || errno == EPERM))
		return true;
	forget(m);
	return false;
}

static bool is_slot(const struct member *m)
{
	char exe[PATH_MAX];
	ssize_t len = readlinkat(m->dir, "exe", exe, sizeof(exe) - 1);

	if (len < 0)
		return false;
	exe[len] = '\0';
	return slot_is(m->dir, exe);
}

/* The proof for a slot, @m, which from inside of the job's pid namespace is not there. */
static int keep_proof(struct job_view *view, const struct member *m)
{
	int *more = realloc(view->outside, (view->nr_outside + 1) * sizeof(*more));

	if (!more)
		return fail(CK_FAILED, "out of memory");
	view->outside = more;
	more[view->nr_outside] = openat(m->dir, "mem", O_RDONLY | O_CLOEXEC);
	/* It has ended; or the module will complain. */
	view->nr_outside += more[view->nr_outside] >= 0;
	return CK_OK;
}

/* Slots are of our pid namespace, or of the job's, as their init is. */
static int keep_proofs(struct job_view *view, const pid_t *pids, size_t nr)
{
	struct member m;
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < nr && !rc; i++) {
		if (!take(&m, pids[i]))
			continue;
		if (is_slot(&m) && !differs(m.dir, "ns/pid"))
			rc = keep_proof(view, &m);
		forget(&m);
	}
	return rc;
}

/* *flags: the namespaces of the job that are not ours, when its pids are others than
 * we see and its paths the same. */
static int find(const char *cgroup, struct member *m, struct job_view *view, int *flags)
{
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = CK_OK;
	pid_t *pids = NULL;
	size_t nr = 0, i, n;

	*m = (struct member){ -1, -1 };
	*flags = 0;
	if (fd < 0)
		return CK_OK;
	if (cgroup_pids(fd, &pids, &nr))
		nr = 0;
	close(fd);
	for (i = 0; i < nr && m->dir < 0; i++)
		if (take(m, pids[i]) && is_slot(m))
			forget(m);
	if (m->dir >= 0 && differs(m->dir, "ns/pid"))
		rc = keep_proofs(view, pids, nr);
	free(pids);
	if (rc || m->dir < 0 || !differs(m->dir, "ns/pid"))
		return rc;
	for (n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++)
		if (differs(m->dir, kinds[n].name))
			*flags |= kinds[n].flag;
	/* A container has files of its own: the tool inside of it is what it needs. */
	if (differs(m->dir, "root"))
		*flags = 0;
	return CK_OK;
}

/* Its groups with the numbers that they have here. */
static const char *read_groups(int dir)
{
	static char text[1 << 20];
	struct proc p = { .dir_fd = dir };

	return proc_text(&p, -1, "status", text, sizeof(text)) < 0 ? NULL :
	       proc_status(text, "Groups");
}

/*
 * What is inside of a user namespace, mounts above all, is as its owner wants
 * it: root goes there as that user only.
 */
static int become_owner(int dir)
{
	int fd = openat(dir, "ns/user", O_RDONLY | O_CLOEXEC);
	const struct passwd *pw;
	int rc = CK_OK;
	uid_t owner;

	if (fd < 0 || ioctl(fd, NS_GET_OWNER_UID, &owner) < 0) {
		rc = fail_errno(errno, "cannot tell whose user namespace the job lives in");
	} else if (owner != 0) {
		pw = getpwuid(owner);
		if (!pw)
			rc = fail(CK_PERM, "the job lives in a user namespace of user %u, who does "
				  "not exist here", owner);
		else if (initgroups(pw->pw_name, pw->pw_gid) < 0 ||
			 setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
			 setresuid(owner, owner, owner) < 0)
			rc = fail_errno(errno, "cannot become user %s", pw->pw_name);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int join(const struct member *m, int flags)
{
	char cwd[PATH_MAX];
	const char *has_cwd = getcwd(cwd, sizeof(cwd));
	int err;

	if (setns(m->pidfd, flags) == 0) {
		/* That left us in the root directory. */
		if (has_cwd && chdir(cwd) < 0)
			note("the directory %s cannot be seen from inside of the job's mount "
			     "namespace", cwd);
		return CK_OK;
	}
	err = errno;
	if (err == ESRCH)
		return fail(CK_NOTFOUND, "the job has ended");
	if (err == EPERM)
		return fail(CK_PERM, "the job lives in a pid namespace that another user made when it "
			    "was restarted, root perhaps; only they can checkpoint it");
	return fail_errno(err, "cannot join the job's pid namespace");
}

/* The child goes on; we hand on what is sent to us, and its end. */
static void wait_for(pid_t child) __attribute__((noreturn));

static void wait_for(pid_t child)
{
	struct signalfd_siginfo info;
	int status = 0, fd;

	fd = job_signal_fd(false);
	fcntl(fd, F_SETFL, 0);
	while (waitpid(child, &status, fd < 0 ? 0 : WNOHANG) == 0)
		if (read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGCHLD)
			job_pass_on(child, &info);
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	_exit(fail(CK_FAILED, "the checkpoint was killed by signal %d", WTERMSIG(status)));
}

bool job_is_apart(const char *cgroup)
{
	struct job_view view = { 0 };
	struct member m;
	bool apart;
	int flags;

	apart = find(cgroup, &m, &view, &flags) == CK_OK && m.dir >= 0 && !flags &&
		differs(m.dir, "ns/mnt");
	forget(&m);
	while (view.nr_outside)
		close(view.outside[--view.nr_outside]);
	free(view.outside);
	return apart;
}

int job_enter(const char *cgroup, struct job_view *view)
{
	int flags, alive[2], rc;
	struct member m;
	pid_t pid;

	*view = (struct job_view){ 0 };
	rc = find(cgroup, &m, view, &flags);
	if (rc || !flags)
		goto out;
	if (flags & CLONE_NEWUSER) {
		view->groups = read_groups(m.dir);
		rc = geteuid() == 0 ? become_owner(m.dir) : CK_OK;
	}
	if (!rc)
		rc = join(&m, flags);
	if (!rc && pipe2(alive, O_CLOEXEC) < 0)
		rc = fail_errno(errno, "cannot make a pipe");
	if (rc)
		goto out;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		rc = fail_errno(errno, "cannot start a process in the job's pid namespace");
		goto out;
	}
	if (pid > 0) {
		close(alive[0]);
		wait_for(pid);
	}
	close(alive[1]);
	job_die_with_parent(alive[0]);
	/* What the owner of a user namespace gets by joining it is not needed. */
	if (flags & CLONE_NEWUSER && caps_keep(0) < 0)
		rc = fail_errno(errno, "cannot give up capabilities");
out:
	forget(&m);
	return rc;
}
