// SPDX-License-Identifier: GPL-2.0
/*
 * The job's stand-still is the product: what can be done before FREEZE or after
 * THAW is done there.  In between there are one read of most things, no
 * allocation that could be avoided, and nothing that waits for a disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "context.h"
#include "job/cgroup.h"
#include "out.h"
#include "state/contents.h"
#include "state/omit.h"
#include "state/places.h"

/* Frozen on purpose while a disk is written to; our death thaws in any case. */
#define HELD_DEADLINE_MS	(3600 * 1000U)

/* Descriptors of the job's descriptors: each holds a page of kernel memory. */
#define MAX_EARLY_ROOM	8192

/* Of one checkpoint; the pauses between them double, a second and a half in all. */
#define MAX_ATTEMPTS	8
#define FIRST_PAUSE_NS	10000000L

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool is_held(const struct checkpoint *c)
{
	return c->req->stop || c->req->kill || c->req->leave_frozen;
}

/* ---- time ---- */

/* What MaxWait leaves, in ms; -1 without one. */
static int remaining_ms(const struct checkpoint *c)
{
	uint64_t spent = (now_ns() - c->start_ns) / 1000000;

	if (!c->req->max_wait_ms)
		return -1;
	if (spent >= c->req->max_wait_ms)
		return 0;
	return c->req->max_wait_ms - spent > INT32_MAX ? INT32_MAX :
							 (int)(c->req->max_wait_ms - spent);
}

static int too_late(const struct checkpoint *c)
{
	return fail(CK_TIMEOUT, "the checkpoint of %s was not complete within %g seconds",
		    c->req->id, (double)c->req->max_wait_ms / 1000);
}

/* Between two steps: has MaxWait passed, was a signal sent? */
int checkpoint_may_go_on(const struct checkpoint *c)
{
	struct signalfd_siginfo info;

	if (remaining_ms(c) == 0)
		return too_late(c);
	if (read(c->signal_fd, &info, sizeof(info)) == sizeof(info))
		return fail(CK_FAILED, "interrupted");
	return CK_OK;
}

int checkpoint_wait(struct checkpoint *c, enum ckpt_event event, const struct nl_stream *stream,
		    struct nl_event *ev)
{
	int rc = nl_wait(c->nl, event, remaining_ms(c), stream, ev);

	/* Gone, or changed under us; the next attempt will not meet it. */
	if (rc && ev)
		c->fleeting =
			ev->event == CKPT_EVENT_FAILED && (ev->err == EAGAIN || ev->err == ESRCH);
	return rc == CK_TIMEOUT && remaining_ms(c) == 0 ? too_late(c) : rc;
}

/* ---- before the freeze ---- */

static int watch_signals(struct checkpoint *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	c->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return c->signal_fd < 0 ? fail_errno(errno, "cannot watch for signals") : CK_OK;
}

/* Six descriptors a process; and no page fault of ours while the job waits. */
static void raise_limits(struct checkpoint *c)
{
	struct rlimit l = { 0 };

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
	c->early_room = l.rlim_cur / 2 < MAX_EARLY_ROOM ? l.rlim_cur / 2 : MAX_EARLY_ROOM;
	mlockall(MCL_CURRENT);
}

static int open_processes(struct checkpoint *c)
{
	pid_t *pids;
	size_t nr, i;
	int rc = cgroup_pids(c->cgroup_fd, &pids, &nr);

	if (rc)
		return rc;
	c->early = calloc(nr ? nr : 1, sizeof(*c->early));
	if (!c->early)
		rc = fail(CK_FAILED, "out of memory");
	else if (!nr)
		rc = fail(CK_NOTFOUND, "there is no process in %s: the job has ended",
			  c->req->cgroup);
	for (i = 0; i < nr && !rc; i++) {
		int err = proc_open(&c->early[c->nr_early], pids[i]);

		if (!err)
			err = proc_follow(&c->early[c->nr_early++]);
		if (!err)
			continue;
		/* Looked at again when it is frozen, or gone. */
		if (err != ENOENT && err != ESRCH)
			rc = fail_errno(err, "cannot open /proc/%d", pids[i]);
	}
	free(pids);
	return rc;
}

/* The same as will be done while it is frozen, for nothing: everything that is
 * slow only the first time is done then.  Its result is not looked at. */
static void rehearse(struct checkpoint *c)
{
	struct dump d = {
		.nr_procs = c->nr_early, .early_room = c->early_room, .rehearsal = true,
		.streams = c->req->streams, .places = c->places,
	};
	size_t i;

	d.procs = calloc(c->nr_early ? c->nr_early : 1, sizeof(*d.procs));
	if (!d.procs)
		return;
	for (i = 0; i < d.nr_procs; i++)
		proc_move(&d.procs[i], &c->early[i]);
	if (!omit_find(&d) && !state_check(&d))
		contents_rehearse(&d, c->writer);
	/* The descriptors are to be used again. */
	omit_undo(&d);
	for (i = 0; i < d.nr_procs; i++)
		proc_move(&c->early[i], &d.procs[i]);
	d.nr_procs = 0;
	dump_free(&d);
}

static int make_messages(struct checkpoint *c)
{
	c->snapshot = nl_new(c->nl, CKPT_CMD_SNAPSHOT);
	c->thaw = nl_new(c->nl, CKPT_CMD_THAW);
	if (!c->snapshot || !c->thaw)
		return CK_FAILED;
	nla_put_u32(c->snapshot, CKPT_A_MODE, is_held(c) ? CKPT_MODE_HELD : CKPT_MODE_COW);
	if (c->req->leave_frozen)
		nla_put_flag(c->thaw, CKPT_A_LEAVE_FROZEN);
	return CK_OK;
}

static int prepare(struct checkpoint *c)
{
	int rc;

	raise_limits(c);
	rc = watch_signals(c);
	if (!rc)
		rc = nl_open(&c->nl);
	if (rc)
		return rc;
	nl_watch(c->nl, c->signal_fd);
	rc = nl_info(c->nl, &c->info);
	if (!rc)
		rc = cgroup_open(c->req->cgroup, &c->cgroup_fd);
	if (!rc)
		rc = open_processes(c);
	if (!rc && !c->req->check_only)
		rc = image_begin(&c->writer, c->req->image_dir, c->req->id);
	if (!rc && c->writer && !(c->places = places_open(c->req->image_dir, c->req->id)))
		rc = CK_FAILED;
	if (!rc)
		rc = make_messages(c);
	if (!rc)
		rehearse(c);
	return rc;
}

/* ---- frozen ---- */

/* Frozen is not a lock: SIGKILL still takes a process away. */
int checkpoint_gone(struct checkpoint *c, int err, const char *what, pid_t pid)
{
	c->fleeting = err == ESRCH || err == ENOENT;
	return fail_errno(err, "%s process %d", what, pid);
}

/* The processes that are frozen, opened early or now. */
static int adopt_processes(struct checkpoint *c, const struct nl_event *ev)
{
	struct dump *d = &c->dump;
	size_t i, n = 0;

	d->streams = c->req->streams;
	d->places = c->places;
	d->cgroup_fd = c->cgroup_fd;
	d->groups = c->req->view.groups;
	d->procs = calloc(ev->nr_pids ? ev->nr_pids : 1, sizeof(*d->procs));
	if (!d->procs)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < ev->nr_pids; i++) {
		struct proc *p = &d->procs[i];
		int err = 0;

		while (n < c->nr_early && c->early[n].pid < ev->pids[i])
			n++;
		if (n < c->nr_early && c->early[n].pid == ev->pids[i])
			proc_move(p, &c->early[n]);
		else
			err = proc_open(p, ev->pids[i]);
		d->nr_procs = i + 1;
		if (err)
			return checkpoint_gone(c, err, "cannot open", ev->pids[i]);
	}
	return CK_OK;
}

static int freeze(struct checkpoint *c)
{
	struct nl_msg *msg = nl_new(c->nl, CKPT_CMD_FREEZE);
	uint32_t deadline = is_held(c) ? HELD_DEADLINE_MS : CKPT_DEFAULT_DEADLINE_MS;
	uint32_t patience = CKPT_DEFAULT_FREEZE_MS;
	int left = remaining_ms(c), rc;
	struct nl_event ev;

	if (!msg)
		return CK_FAILED;
	if (left >= 0 && (uint32_t)left < deadline)
		deadline = (uint32_t)left + 1;
	/* Time is left for the module to say which task could not be stopped. */
	if (left >= 0 && (uint32_t)left / 8 * 7 < patience)
		patience = (uint32_t)left / 8 * 7 + 1;
	nla_put_s32(msg, CKPT_A_CGROUP_FD, c->cgroup_fd);
	nla_put_u32(msg, CKPT_A_FREEZE_MS, patience);
	nla_put_u32(msg, CKPT_A_DEADLINE_MS, deadline);
	c->frozen_ns = now_ns();
	rc = nl_request(c->nl, msg, NULL, NULL);
	if (!rc)
		rc = checkpoint_wait(c, CKPT_EVENT_FROZEN, NULL, &ev);
	/* Who froze it before us decides when it runs on. */
	if (!rc && ev.was_frozen && !c->req->leave_frozen)
		nla_put_flag(c->thaw, CKPT_A_LEAVE_FROZEN);
	if (!rc)
		rc = adopt_processes(c, &ev);
	if (rc)
		return rc;
	rc = omit_find(&c->dump);
	c->fleeting = rc == CK_NOTFOUND;
	if (!rc && c->dump.nr_obstacles)
		return CK_REFUSED;
	return rc ? rc : prove(c);
}

/* The module records and takes hold of the pages; at the same time, the rest is read. */
static int look(struct checkpoint *c)
{
	struct nl_msg *msg = c->snapshot;
	char sentence[sizeof(c->sentence)];
	struct nl_event ev;
	int rc, checked;

	c->snapshot = NULL;
	rc = nl_request(c->nl, msg, NULL, NULL);
	if (rc)
		return rc;
	fail_capture(sentence, sizeof(sentence));
	checked = state_check(&c->dump);
	fail_capture(c->sentence, sizeof(c->sentence));
	rc = checkpoint_wait(c, CKPT_EVENT_SNAPPED, NULL, &ev);
	/* Opened early, of one that then shared its parent's memory, until it called exec. */
	if (rc == CK_PERM)
		c->fleeting = true;
	/* One more obstacle; what is more than that says it better than we can. */
	if (rc == CK_REFUSED && !c->fleeting)
		rc = obstacle_sentence(&c->dump, c->sentence);
	if (!rc && checked) {
		/* ESRCH: killed between the module's look and ours. */
		c->fleeting = checked == CK_NOTFOUND;
		return fail(checked, "%s", sentence);
	}
	c->res->nr_pages = ev.nr_pages;
	c->res->nr_copied = ev.nr_copied;
	if (!rc && !c->dump.nr_obstacles && !c->req->check_only)
		rc = save_contents(c, is_held(c));
	return rc ? rc : c->dump.nr_obstacles ? CK_REFUSED : CK_OK;
}

static int thaw(struct checkpoint *c)
{
	struct nl_msg *msg = c->thaw;
	struct nl_event ev;
	int rc;

	c->thaw = NULL;
	rc = nl_request(c->nl, msg, NULL, NULL);
	if (!rc)
		rc = checkpoint_wait(c, CKPT_EVENT_THAWED, NULL, &ev);
	if (!rc)
		c->res->standstill_ns = ev.standstill_ns;
	return rc;
}

/* ---- all of it ---- */

/* From the frozen job to the complete image. */
static int save(struct checkpoint *c)
{
	int rc;

	if (!is_held(c)) {
		rc = thaw(c);
		if (!rc)
			rc = save_records(c);
		if (!rc)
			rc = save_pages(c);
		return rc ? rc : save_commit(c);
	}
	rc = save_pages(c);
	if (!rc && c->req->stop && !c->req->kill && !c->req->leave_frozen)
		rc = thaw(c);
	if (!rc)
		rc = save_records(c);
	if (!c->res->standstill_ns)
		c->res->standstill_ns = now_ns() - c->frozen_ns;
	if (!rc)
		rc = save_commit(c);
	if (!rc && c->req->kill)
		rc = cgroup_kill(c->cgroup_fd);
	else if (!rc && c->req->leave_frozen)
		rc = thaw(c);
	return rc;
}

static void finish(struct checkpoint *c)
{
	size_t i;

	/* First of all: whatever is still frozen runs on. */
	nl_end(c->nl);
	image_abort(c->writer);
	nlmsg_free(c->snapshot);
	nlmsg_free(c->thaw);
	for (i = 0; i < c->nr_early; i++)
		proc_close(&c->early[i]);
	free(c->early);
	c->res->obstacles = c->dump.obstacles;
	c->res->nr_obstacles = c->dump.nr_obstacles;
	c->dump.obstacles = NULL;
	c->dump.nr_obstacles = 0;
	dump_free(&c->dump);
	places_close(c->places);
	if (c->cgroup_fd >= 0)
		close(c->cgroup_fd);
	if (c->signal_fd >= 0)
		close(c->signal_fd);
	c->res->duration_ns = now_ns() - c->start_ns;
}

/* From the begin to the end; what failed is in c->sentence or among the obstacles. */
static int attempt(struct checkpoint *c)
{
	int rc;

	fail_capture(c->sentence, sizeof(c->sentence));
	rc = prepare(c);
	if (!rc)
		rc = checkpoint_may_go_on(c);
	if (!rc)
		rc = freeze(c);
	if (!rc)
		rc = look(c);
	if (!rc)
		rc = c->req->check_only ? thaw(c) : save(c);
	finish(c);
	fail_capture(NULL, 0);
	return rc;
}

/* A process that ends or calls exec at the wrong moment is there no more when
 * we look again; nothing tells when that is.  False when it is enough. */
static bool try_again(const struct checkpoint *c, int number)
{
	struct timespec pause = { .tv_nsec = FIRST_PAUSE_NS << number };

	if (!c->fleeting || number == MAX_ATTEMPTS - 1 || remaining_ms(c) == 0)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

int checkpoint_make(const struct checkpoint_request *req, struct checkpoint_result *res)
{
	struct checkpoint c;
	uint64_t start_ns = now_ns();
	int rc, number = 0;
	size_t i;

	memset(res, 0, sizeof(*res));
	do {
		checkpoint_result_free(res);
		c = (struct checkpoint){ .req = req, .res = res, .start_ns = start_ns,
					 .cgroup_fd = -1, .signal_fd = -1 };
		rc = attempt(&c);
	} while (rc && try_again(&c, number++));
	if (rc && !res->nr_obstacles)
		fail(rc, "%s", c.sentence);
	if (!req->check_only)
		for (i = 0; i < res->nr_obstacles; i++)
			fail(CK_REFUSED, "%s", res->obstacles[i]);
	return rc;
}

void checkpoint_result_free(struct checkpoint_result *res)
{
	size_t i;

	for (i = 0; i < res->nr_obstacles; i++)
		free(res->obstacles[i]);
	free(res->obstacles);
	free(res->image);
	memset(res, 0, sizeof(*res));
}
