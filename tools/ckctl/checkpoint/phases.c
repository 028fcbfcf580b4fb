// SPDX-License-Identifier: GPL-2.0
/*
 * The job's stand-still is the product: what can be done before the freeze
 * (prepare.c) or after the thaw (save.c) is done there.  In between there are
 * one read of most things, no allocation that could be avoided, and nothing
 * that waits for a disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "clock.h"
#include "context.h"
#include "out.h"
#include "policy.h"
#include "state/omit.h"
#include "state/places.h"

/* Frozen on purpose while a disk is written to; our death thaws in any case. */
#define HELD_DEADLINE_MS	(3600 * 1000U)
/* What is left of MaxWait for the sentence on a task that does not stop. */
#define MIN_RESERVE_MS		400U

/* ---- freeze ---- */

struct room checkpoint_room(const struct checkpoint *c)
{
	return room_look(c->req->cgroup, c->early, c->nr_early);
}

void checkpoint_hold(struct checkpoint *c)
{
	c->held = true;
}

int checkpoint_freeze(struct checkpoint *c)
{
	struct nl_msg *msg = nl_new(c->nl, CKPT_CMD_FREEZE);
	uint32_t deadline = c->held ? HELD_DEADLINE_MS : CKPT_DEFAULT_DEADLINE_MS;
	uint32_t patience = CKPT_DEFAULT_FREEZE_MS;
	int left = checkpoint_remaining_ms(c);

	if (!msg)
		return CK_FAILED;
	if (left >= 0 && (uint32_t)left < deadline)
		deadline = (uint32_t)left + 1;
	/* Time is left for the module to say which task could not be stopped, also on
	 * a busy machine. */
	if (left >= 0) {
		uint32_t reserve = (uint32_t)left / 8;

		if (reserve < MIN_RESERVE_MS)
			reserve = (uint32_t)left / 2 < MIN_RESERVE_MS ? (uint32_t)left / 2 :
				  MIN_RESERVE_MS;
		if ((uint32_t)left - reserve < patience)
			patience = (uint32_t)left - reserve + 1;
	}
	nla_put_s32(msg, CKPT_A_CGROUP_FD, c->cgroup_fd);
	nla_put_u32(msg, CKPT_A_FREEZE_MS, patience);
	nla_put_u32(msg, CKPT_A_DEADLINE_MS, deadline);
	nla_put_u32(c->snapshot, CKPT_A_MODE, c->held ? CKPT_MODE_HELD : CKPT_MODE_COW);
	c->frozen_ns = clock_ns(CLOCK_MONOTONIC);
	return nl_request(c->nl, msg, NULL, NULL);
}

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
	d->nr_streams = c->req->nr_streams;
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

int checkpoint_frozen(struct checkpoint *c)
{
	struct nl_event ev;
	int rc = checkpoint_wait(c, CKPT_EVENT_FROZEN, NULL, &ev);

	/* Who froze it before us decides when it runs on. */
	if (!rc && ev.was_frozen && !c->req->leave_frozen)
		nla_put_flag(c->thaw, CKPT_A_LEAVE_FROZEN);
	if (!rc)
		rc = adopt_processes(c, &ev);
	if (rc)
		return rc;
	rc = omit_find(&c->dump);
	c->fleeting = rc == CK_NOTFOUND;
	/* An image of nothing would replace one of something. */
	if (!rc && !c->dump.nr_procs)
		rc = c->dump.nr_obstacles ? CK_REFUSED :
		     fail(CK_NOTFOUND, "there is no process in %s but those that are left out: the job "
			  "has ended", c->req->cgroup);
	return rc ? rc : prove(c);
}

/* ---- snapshot ---- */

int checkpoint_snapshot(struct checkpoint *c)
{
	struct nl_msg *msg = c->snapshot;

	c->snapshot = NULL;
	return nl_request(c->nl, msg, NULL, NULL);
}

/* All that the module has named; more than that says it better than we can. */
static int take_obstacles(struct checkpoint *c, const char *first, const struct nl_event *ev)
{
	int rc = obstacle_sentence(&c->dump, first);
	size_t at;

	for (at = 0; at < ev->obstacles_len && !rc; at += strlen(ev->obstacles + at) + 1)
		rc = obstacle_sentence(&c->dump, ev->obstacles + at);
	return rc;
}

/* The module records and takes hold of the pages; at the same time, the rest is read. */
int checkpoint_snapped(struct checkpoint *c)
{
	struct capture outer;
	char checked_why[1024], why[1024];
	struct nl_event ev;
	int rc, checked;
	bool refused;

	outer = fail_capture(checked_why, sizeof(checked_why));
	checked = state_check(&c->dump);
	fail_capture(why, sizeof(why));
	rc = checkpoint_wait(c, CKPT_EVENT_SNAPPED, NULL, &ev);
	fail_restore(outer);
	/* Opened early, of one that then shared its parent's memory, until it called exec. */
	if (rc == CK_PERM)
		c->fleeting = true;
	refused = rc == CK_REFUSED;
	if (refused)
		rc = take_obstacles(c, why, &ev);
	if (rc)
		return fail(rc, "%s", why);
	if (checked) {
		/* ESRCH: killed between the module's look and ours. */
		c->fleeting |= checked == CK_NOTFOUND;
		if (checked == CK_PERM)
			moment_denied(c);
		return fail(checked, "%s", checked_why);
	}
	rc = prove_owner(c);
	if (rc)
		return rc;
	c->res->nr_pages = ev.nr_pages;
	c->res->nr_copied = ev.nr_copied;
	rc = policy_image_size(c->req->id, ev.nr_pages * CKPT_PAGE_SIZE);
	if (rc)
		return rc;
	/* A refusal ends the session: the module can be asked nothing more. */
	if (!refused)
		rc = save_contents(c, c->held);
	return rc ? rc : c->dump.nr_obstacles ? CK_REFUSED : CK_OK;
}

const struct dump *checkpoint_dump(const struct checkpoint *c)
{
	return &c->dump;
}

/* ---- thaw ---- */

int checkpoint_thaw(struct checkpoint *c)
{
	struct nl_msg *msg = c->thaw;

	c->thaw = NULL;
	return nl_request(c->nl, msg, NULL, NULL);
}

int checkpoint_thawed(struct checkpoint *c)
{
	struct nl_event ev;
	int rc = checkpoint_wait(c, CKPT_EVENT_THAWED, NULL, &ev);

	if (!rc)
		c->res->standstill_ns = ev.standstill_ns;
	return rc;
}

/* ---- the end ---- */

bool checkpoint_end(struct checkpoint *c)
{
	bool fleeting;
	size_t i;

	if (!c)
		return false;
	/* First of all: whatever is still frozen runs on. */
	nl_end(c->nl);
	fleeting = c->fleeting || moment_is_over(c);
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
	c->res->duration_ns = clock_ns(CLOCK_MONOTONIC) - c->group->start_ns;
	free(c);
	return fleeting;
}
