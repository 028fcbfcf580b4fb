// SPDX-License-Identifier: GPL-2.0
/*
 * A restart in a child that stands apart, and stays as the job's init.
 *
 * In a pid namespace, when the job's ids are not to be had in this one.  Root
 * makes it directly; an ordinary user needs a user namespace for it, in which
 * their own user and group keep their numbers, nothing else is mapped and
 * setgroups(2) is denied: supplementary groups have no number in it, but count
 * for files as before.  Neither capability nor set-user-ID bit helps in there
 * with what lies outside, so nobody gains anything.
 *
 * In a session of its own, when root restarts somebody else's job: its programs
 * must not have root's controlling terminal, into which they could type.
 */
#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../caps.h"
#include "../job/init.h"
#include "../job/supervise.h"
#include "../out.h"

/* From the child, with a descriptor of the job's first process when it runs. */
struct verdict {
	uint32_t code;			/* enum ck_exit */
	uint32_t nr_threads;
	char text[1024];		/* why it does not run */
};

struct apart {
	uint64_t flags;			/* CLONE_NEW… */
	uid_t uid;			/* as seen outside */
	gid_t gid;
	int fd;				/* of the child: to ckctl */
};

/* ---- in the child ---- */

/* One sentence: why it is needed, what cannot be done, why. */
static int no_namespace(const struct restart *r, int err, const char *what)
{
	enum ck_exit code = r->why ? r->why_code : exit_from_errno(err);
	const char *hint = err == EPERM || err == EACCES || err == ENOSPC ?
			   "; perhaps user namespaces are forbidden here (see sysctl "
			   "kernel.unprivileged_userns_clone and user.max_user_namespaces)" : "";

	return fail(code, "%s%sa pid namespace, in which all ids are free, cannot be made: %s: %s%s",
		    r->why ? r->why : "", r->why ? "; " : "", what, strerror(err), hint);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -1;
	if (write(fd, text, strlen(text)) < 0)
		err = errno;
	close(fd);
	errno = err;
	return err ? -1 : 0;
}

static int map_ids(const struct restart *r, const struct apart *a)
{
	char uid[48], gid[48];

	snprintf(uid, sizeof(uid), "%u %u 1", a->uid, a->uid);
	snprintf(gid, sizeof(gid), "%u %u 1", a->gid, a->gid);
	/* ckctl's file capability made /proc/self root's. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ||
	    write_file("/proc/self/setgroups", "deny") < 0 ||
	    write_file("/proc/self/uid_map", uid) < 0 || write_file("/proc/self/gid_map", gid) < 0)
		return no_namespace(r, errno, "cannot map your user and group into it");
	return CK_OK;
}

/* What is mounted outside later on can be seen inside, too, not the other way. */
static int mount_proc(const struct restart *r)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return no_namespace(r, errno, "cannot mount its /proc");
	return CK_OK;
}

/*
 * Nothing of root's goes along: not the terminal, not the keys; and what is in
 * the environment could be read, with ptrace(2), from a skeleton that has become
 * the user's but not yet the program.
 */
static int leave_root(const struct restart *r)
{
	const uint64_t gain = CAPS_BIT(CAP_SYS_RESOURCE) | CAPS_BIT(CAP_SYS_NICE) |
			      CAPS_BIT(CAP_IPC_LOCK);
	extern char **environ;
	char **e;

	if (setsid() < 0)
		return fail_errno(errno, "cannot found a session for the job");
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return fail_errno(errno, "cannot make a session keyring for the job");
	/* Limits and priorities: what its owner may not raise, the image may not either. */
	if (r->state.foreign && caps_keep(~gain) < 0)
		return fail_errno(errno, "cannot give up capabilities");
	for (e = environ; e && *e; e++)
		explicit_bzero(*e, strlen(*e));
	clearenv();
	return CK_OK;
}

static int settle(const struct restart *r, const struct apart *a)
{
	int rc = CK_OK;

	if (a->flags & CLONE_NEWUSER)
		rc = map_ids(r, a);
	if (!rc && a->flags & CLONE_NEWPID)
		rc = mount_proc(r);
	/* As much as outside, with the file capability; and to cut the bounding set. */
	if (!rc && a->flags & CLONE_NEWUSER &&
	    caps_keep(CAPS_BIT(CAP_CHECKPOINT_RESTORE) | CAPS_BIT(CAP_SETPCAP)) < 0)
		rc = fail_errno(errno, "cannot give up capabilities");
	if (!rc && r->state.gives_away)
		rc = leave_root(r);
	return rc;
}

/* The job runs: which process it is, in a form that has the right number anywhere. */
static int tell(const struct restart *r, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct verdict verdict = { .nr_threads = (uint32_t)r->tree.nr_threads };
	struct iovec iov = { &verdict, sizeof(verdict) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	int pidfd = (int)syscall(SYS_pidfd_open, r->main, 0);
	ssize_t n;

	if (pidfd < 0)
		return -1;
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &pidfd, sizeof(pidfd));
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	close(pidfd);
	return n < 0 ? -1 : 0;
}

static void __attribute__((noreturn)) child_main(struct restart *r, const struct apart *a)
{
	struct verdict no = { .code = CK_OK };
	char heard;
	pid_t main;
	int rc;

	job_die_with_parent(a->fd);
	fail_capture(no.text, sizeof(no.text));
	rc = settle(r, a);
	if (!rc)
		rc = restart_prepare(r);
	/* That may have cleared it. */
	job_die_with_parent(a->fd);
	if (!rc)
		rc = restart_run(r);
	if (rc) {
		no.code = (uint32_t)rc;
		send(a->fd, &no, sizeof(no), MSG_NOSIGNAL);
		_exit(rc);
	}
	fail_capture(NULL, 0);
	main = r->main;
	/* The job is on its own now: whoever kills ckctl does not kill it. */
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
	/* Until ckctl has looked, or is gone, not even a dead process loses its number. */
	if (tell(r, a->fd) == 0)
		while (recv(a->fd, &heard, sizeof(heard), 0) < 0 && errno == EINTR)
			;
	restart_release(r);
	init_run(main, a->fd, a->flags & CLONE_NEWPID, r->slot);
}

/* ---- outside ---- */

/* The number that /proc of this pid namespace has for it; 0 when it is gone. */
static pid_t pid_of(int pidfd)
{
	char path[48], line[128];
	pid_t pid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Pid: %d", &pid) == 1)
			break;
	if (file)
		fclose(file);
	return pid > 0 ? pid : 0;
}

static int receive(struct restart *r, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct verdict verdict;
	struct iovec iov = { &verdict, sizeof(verdict) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	const struct cmsghdr *head;
	int pidfd;

	if (recvmsg(fd, &msg, MSG_CMSG_CLOEXEC) != sizeof(verdict))
		return fail(CK_FAILED, "the restart was killed");
	if (verdict.code)
		return fail((enum ck_exit)verdict.code, "%s", verdict.text);
	r->tree.nr_threads = verdict.nr_threads;
	head = CMSG_FIRSTHDR(&msg);
	if (head && head->cmsg_type == SCM_RIGHTS) {
		memcpy(&pidfd, CMSG_DATA(head), sizeof(pidfd));
		r->main = pid_of(pidfd);
		close(pidfd);
	}
	/* Nobody there is found out soon enough. */
	send(fd, "", 1, MSG_NOSIGNAL);
	return CK_OK;
}

static bool ends_it(int sig)
{
	return sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT;
}

/* Until the child says that the job runs, or dies. */
static int wait_for(struct restart *r, pid_t child, int fd)
{
	struct pollfd pfd[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = job_signal_fd(r->slot), .events = POLLIN },
	};
	struct signalfd_siginfo info;
	int rc;

	for (;;) {
		if (poll(pfd, 2, -1) < 0 && errno != EINTR)
			break;
		while (read(pfd[1].fd, &info, sizeof(info)) == sizeof(info)) {
			if (ends_it((int)info.ssi_signo))
				r->interrupted = (int)info.ssi_signo;
			if (info.ssi_signo != SIGCHLD)
				job_pass_on(child, &info);
		}
		if (pfd[0].revents)
			break;
	}
	if (pfd[1].fd >= 0)
		close(pfd[1].fd);
	rc = receive(r, fd);
	while (rc && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return rc;
}

int apart_run(struct restart *r, bool pidns, pid_t *init, int *status_fd)
{
	struct apart a = { .uid = geteuid(), .gid = getegid() };
	struct clone_args args = { .exit_signal = SIGCHLD };
	int ends[2], rc;
	long pid;

	if (pidns)
		a.flags = CLONE_NEWPID | CLONE_NEWNS |
			  (caps_have(CAP_SYS_ADMIN) ? 0 : CLONE_NEWUSER);
	args.flags = a.flags;
	/* The child opens a session with the module itself. */
	nl_end(r->nl);
	r->nl = NULL;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return fail_errno(errno, "cannot make a socket");
	a.fd = ends[1];
	fflush(NULL);
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		close(ends[0]);
		child_main(r, &a);
	}
	rc = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return pidns ? no_namespace(r, rc, "clone3") :
			       fail_errno(rc, "cannot start a process");
	}
	rc = wait_for(r, (pid_t)pid, ends[0]);
	caps_end_loan();
	if (rc) {
		close(ends[0]);
		return rc;
	}
	*init = (pid_t)pid;
	*status_fd = ends[0];
	return CK_OK;
}
