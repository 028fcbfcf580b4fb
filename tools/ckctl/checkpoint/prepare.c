// SPDX-License-Identifier: GPL-2.0
/* Before the freeze: everything that need not be done while the job stands still. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "context.h"
#include "job/cgroup.h"
#include "out.h"
#include "state/contents.h"
#include "state/omit.h"
#include "state/places.h"

/* Descriptors of the jobs' descriptors: each holds a page of kernel memory. */
#define MAX_EARLY_ROOM	8192

/* Six descriptors a process; and no page fault of ours while the job waits. */
static void raise_limits(struct checkpoint *c)
{
	struct rlimit l = { 0 };
	rlim_t room;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
	room = l.rlim_cur / 2 < MAX_EARLY_ROOM ? l.rlim_cur / 2 : MAX_EARLY_ROOM;
	c->early_room = room;
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
		.streams = c->req->streams, .nr_streams = c->req->nr_streams,
		.places = c->places,
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
	if (c->req->leave_frozen)
		nla_put_flag(c->thaw, CKPT_A_LEAVE_FROZEN);
	return CK_OK;
}

static int prepare(struct checkpoint *c)
{
	int rc;

	raise_limits(c);
	rc = nl_open(&c->nl);
	if (rc)
		return rc;
	nl_watch(c->nl, c->group->stop_fd);
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
	return rc ? rc : checkpoint_may_go_on(c);
}

int checkpoint_prepare(struct checkpoint **out, const struct checkpoint_request *req,
		       struct checkpoint_result *res, const struct checkpoint_group *group)
{
	struct checkpoint *c = calloc(1, sizeof(*c));
	int rc;

	*out = NULL;
	if (!c)
		return fail(CK_FAILED, "out of memory");
	c->req = req;
	c->res = res;
	c->group = group;
	c->cgroup_fd = -1;
	c->held = req->stop || req->kill || req->leave_frozen;
	rc = prepare(c);
	if (rc)
		checkpoint_end(c);
	else
		*out = c;
	return rc;
}
