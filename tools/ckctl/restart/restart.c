// SPDX-License-Identifier: GPL-2.0
/* The coordinator: from a checked image to a running job, or to nothing at all. */
#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <netlink/attr.h>

#include "../caps.h"
#include "../job/cgroup.h"
#include "../out.h"
#include "../state/cred.h"
#include "../state/tempfiles.h"

static int fd_base(const struct image *image)
{
	int base = RESTART_MIN_FD_BASE;
	size_t i, n;

	for (i = 0; i < image->nr_processes; i++)
		for (n = 0; n < image->processes[i].nr_fds; n++)
			if (image->processes[i].fds[n].rec->fd >= base)
				base = image->processes[i].fds[n].rec->fd + 1;
	/* An epoll may know a descriptor by a number that was closed. */
	for (i = 0; i < image->nr_files; i++)
		for (n = 0; n < image->files[i].nr_watches; n++)
			if (image->files[i].watches[n].fd >= base)
				base = image->files[i].watches[n].fd + 1;
	return base;
}

/* All that we may have: numbers above the job's, one for each file and process. */
static void raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int *no_fds(size_t nr)
{
	int *fds = malloc((nr + 1) * sizeof(*fds));

	if (fds)
		memset(fds, -1, (nr + 1) * sizeof(*fds));
	return fds;
}

int restart_prepare(struct restart *r)
{
	const struct state_ops *const *ops;
	struct restore *s = &r->state;
	int i, rc;

	rc = cred_check(s);
	if (rc)
		return rc;
	tree_free(&r->tree);
	rc = tree_plan(&r->tree, r->image);
	if (!rc && !r->nl)
		rc = nl_open(&r->nl);
	if (rc)
		return rc;
	raise_nofile();
	s->fd_base = fd_base(r->image);
	free(s->file_fds);
	free(s->file_fate);
	free(s->shm_fds);
	s->file_fds = no_fds(r->image->nr_files);
	s->file_fate = calloc(r->image->nr_files + 1, sizeof(*s->file_fate));
	s->shm_fds = no_fds(r->image->nr_shms);
	if (!s->file_fds || !s->file_fate || !s->shm_fds)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < 3; i++) {
		s->std_fds[i] = fcntl(i, F_DUPFD_CLOEXEC, s->fd_base);
		if (s->std_fds[i] < 0 && errno != EBADF)
			return fail_errno(errno, "cannot keep the standard streams: the job uses "
					  "descriptors up to %d", s->fd_base - 1);
	}
	rc = tempfiles_find(s);
	for (ops = state_table; *ops && !rc; ops++)
		if ((*ops)->prepare)
			rc = (*ops)->prepare(s);
	return rc;
}

static int opened(struct nlattr **tb, void *arg)
{
	if (tb[CKPT_A_SESSION])
		*(uint32_t *)arg = nla_get_u32(tb[CKPT_A_SESSION]);
	return 0;
}

static int open_session(struct restart *r)
{
	struct nl_msg *msg = nl_new(r->nl, CKPT_CMD_OPEN);
	int rc;

	if (!msg)
		return CK_FAILED;
	if (nla_put_u32(msg, CKPT_A_NR_THREADS, (uint32_t)r->tree.nr_threads) < 0)
		return fail(CK_FAILED, "out of memory");
	rc = nl_request(r->nl, msg, opened, &r->session);
	r->family = nl_family(r->nl);
	if (!rc && !r->session)
		rc = fail(CK_NOMODULE, "the kernel module opened no session");
	return rc;
}

static int open_pipe(struct restart *r)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(errno, "cannot make a pipe");
	r->report_rd = ends[0];
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	r->report_wr = restore_keep_fd(&r->state, ends[1]);
	if (r->report_wr < 0)
		return fail_errno(errno, "cannot keep a pipe open");
	r->gate = mmap(NULL, CKPT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->gate == MAP_FAILED)
		return fail_errno(errno, "cannot get memory to share with the processes");
	return CK_OK;
}

static int make_rows(struct restart *r)
{
	const struct state_ops *const *ops;
	int rc = CK_OK;

	for (ops = state_table; *ops && !rc; ops++)
		if ((*ops)->make)
			rc = (*ops)->make(&r->state);
	return rc;
}

static int commit_rows(struct restart *r)
{
	const struct state_ops *const *ops;
	int rc = CK_OK;

	for (ops = state_table; *ops && !rc; ops++)
		if ((*ops)->commit)
			rc = (*ops)->commit(&r->state);
	return rc;
}

static int build(struct restart *r)
{
	int i, rc = open_session(r);

	if (!rc)
		rc = open_pipe(r);
	if (!rc)
		rc = relaunch_open(r);
	if (!rc)
		rc = watch_open(r);
	if (!rc)
		rc = make_rows(r);
	for (i = r->tree.first; i >= 0 && !rc; i = r->tree.nodes[i].next)
		rc = skeleton_spawn(r, i);
	if (!rc)
		rc = watch_until_parked(r);
	if (!rc)
		rc = reap_stand_ins(r, -1);
	if (!rc)
		rc = commit_rows(r);
	if (!rc)
		rc = commit(r);
	if (!rc)
		relaunch_go(r);
	return rc;
}

/* In our own cgroup are others, too: those whom we have cloned, and theirs die with them. */
static void kill_roots(const struct restart *r)
{
	size_t nr = r->nr_roots;
	int i;

	for (i = r->tree.first; i >= 0 && nr; i = r->tree.nodes[i].next, nr--) {
		pid_t pid = r->tree.nodes[i].pid;
		siginfo_t info;

		/* A stand-in that has gone is nobody's, or somebody else by now. */
		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
			kill(pid, SIGKILL);
	}
}

/* Nothing stays: not what is parked, nor what still is a skeleton. */
static void undo(struct restart *r)
{
	struct capture outer;
	const struct state_ops *const *ops;

	/* What there is to say has been said. */
	outer = fail_mute();
	nl_end(r->nl);
	r->nl = NULL;
	if (r->cgroup_fd >= 0)
		cgroup_kill(r->cgroup_fd);
	else
		kill_roots(r);
	fail_restore(outer);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	for (ops = state_table; *ops; ops++)
		if ((*ops)->undo)
			(*ops)->undo(&r->state);
}

int restart_run(struct restart *r)
{
	const uint64_t all = ~0ULL;
	uint64_t old;
	int rc;

	/* Skeletons must never run a handler, nor die of what the job would bear.
	 * libc would leave two signals out. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof(all));
	/* Orphans among them are ours to wait for, should it fail. */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	r->pid = getpid();
	r->pgid = getpgrp();
	r->nr_roots = 0;
	r->nr_born = 0;
	r->nr_ready = 0;
	r->nr_waiting = 0;
	r->report_rd = -1;
	r->report_wr = -1;
	r->go_rd = -1;
	r->go_wr = -1;
	r->epoll_fd = -1;
	r->signal_fd = -1;
	rc = build(r);
	watch_close(r);
	relaunch_close(r);
	if (r->report_rd >= 0)
		close(r->report_rd);
	if (r->report_wr >= 0)
		close(r->report_wr);
	if (rc)
		undo(r);
	else
		r->main = r->tree.main;
	/* The job's own pipes, above all: their readers wait for an end of file. */
	close_range((unsigned int)r->state.fd_base, ~0U, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
	if (!rc)
		caps_end_loan();
	return rc;
}

void restart_release(struct restart *r)
{
	nl_end(r->nl);
	tree_free(&r->tree);
	free(r->state.file_fds);
	free(r->state.file_fate);
	free(r->state.shm_fds);
	tempfiles_release(&r->state);
	free(r->state.groups);
	image_close(r->image);
	if (r->cgroup_fd >= 0)
		close(r->cgroup_fd);
	*r = (struct restart){ .cgroup_fd = -1 };
}
