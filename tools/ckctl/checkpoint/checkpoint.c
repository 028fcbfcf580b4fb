// SPDX-License-Identifier: GPL-2.0
/* The driver of one checkpoint, and what bounds any of them: MaxWait, signals, retries. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "context.h"
#include "job/cgroup.h"
#include "out.h"

/* Of one checkpoint; the pauses between them double, a second and a half in all. */
#define MAX_ATTEMPTS	8
#define FIRST_PAUSE_NS	10000000L

/* ---- time ---- */

void checkpoint_group_begin(struct checkpoint_group *group, bool alone, int stop_fd)
{
	*group = (struct checkpoint_group){ .start_ns = clock_ns(CLOCK_MONOTONIC), .alone = alone,
					    .stop_fd = stop_fd };
}

static int remaining_ms(const struct checkpoint_group *group, uint64_t max_wait_ms)
{
	uint64_t spent = (clock_ns(CLOCK_MONOTONIC) - group->start_ns) / 1000000;

	if (!max_wait_ms)
		return -1;
	if (spent >= max_wait_ms)
		return 0;
	return max_wait_ms - spent > INT32_MAX ? INT32_MAX : (int)(max_wait_ms - spent);
}

int checkpoint_remaining_ms(const struct checkpoint *c)
{
	return remaining_ms(c->group, c->req->max_wait_ms);
}

static int too_late(const struct checkpoint *c)
{
	return fail(CK_TIMEOUT, "the checkpoint of %s was not complete within %g seconds",
		    c->req->id, (double)c->req->max_wait_ms / 1000);
}

/* Between two steps: has MaxWait passed, was a signal sent? */
int checkpoint_may_go_on(const struct checkpoint *c)
{
	struct pollfd pfd = { .fd = c->group->stop_fd, .events = POLLIN };

	if (checkpoint_remaining_ms(c) == 0)
		return too_late(c);
	return poll(&pfd, 1, 0) > 0 ? fail(CK_FAILED, "interrupted") : CK_OK;
}

int checkpoint_wait(struct checkpoint *c, enum ckpt_event event, const struct nl_stream *stream,
		    struct nl_event *ev)
{
	int rc = nl_wait(c->nl, event, checkpoint_remaining_ms(c), stream, ev);

	/* Gone, or changed under us; the next attempt will not meet it. */
	if (rc && ev)
		c->fleeting =
			ev->event == CKPT_EVENT_FAILED && (ev->err == EAGAIN || ev->err == ESRCH);
	return rc == CK_TIMEOUT && checkpoint_remaining_ms(c) == 0 ? too_late(c) : rc;
}

bool checkpoint_try_again(const struct checkpoint_group *group, uint64_t max_wait_ms, int number)
{
	struct timespec pause = { .tv_nsec = FIRST_PAUSE_NS << number };

	/* Nothing tells when the processes have become what they are about to be. */
	if (number >= MAX_ATTEMPTS - 1 || remaining_ms(group, max_wait_ms) == 0)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

int checkpoint_signal_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* ---- all of it ---- */

static int write_pages(struct checkpoint *c)
{
	int rc = checkpoint_write(c);

	return rc ? rc : checkpoint_written(c);
}

static int thaw(struct checkpoint *c)
{
	int rc = checkpoint_thaw(c);

	return rc ? rc : checkpoint_thawed(c);
}

/* The job runs while the image is written. */
static int save_behind(struct checkpoint *c)
{
	int rc = thaw(c);

	if (!rc)
		rc = checkpoint_record(c);
	if (!rc)
		rc = write_pages(c);
	return rc ? rc : checkpoint_commit(c);
}

static int save_held(struct checkpoint *c)
{
	int rc = write_pages(c);

	if (!rc && !c->req->kill && !c->req->leave_frozen)
		rc = thaw(c);
	if (!rc)
		rc = checkpoint_record(c);
	if (!c->res->standstill_ns)
		c->res->standstill_ns = clock_ns(CLOCK_MONOTONIC) - c->frozen_ns;
	if (!rc)
		rc = checkpoint_commit(c);
	if (!rc && c->req->kill)
		rc = cgroup_kill(c->cgroup_fd);
	else if (!rc && c->req->leave_frozen)
		rc = thaw(c);
	return rc;
}

/* From the begin to the end. */
static int attempt(const struct checkpoint_request *req, struct checkpoint_result *res,
		   const struct checkpoint_group *group, bool *fleeting)
{
	struct checkpoint *c;
	bool cramped;
	int rc = checkpoint_prepare(&c, req, res, group);

	cramped = !rc && !req->check_only && !c->held && !room_suffices(checkpoint_room(c));
	if (cramped)
		checkpoint_hold(c);
	if (!rc)
		rc = checkpoint_freeze(c);
	if (!rc)
		rc = checkpoint_frozen(c);
	if (!rc)
		rc = checkpoint_snapshot(c);
	if (!rc)
		rc = checkpoint_snapped(c);
	if (!rc)
		rc = req->check_only ? thaw(c) : c->held ? save_held(c) : save_behind(c);
	if (!rc && cramped)
		note(CHECKPOINT_HELD_NOTE);
	*fleeting = checkpoint_end(c);
	return rc;
}

/* A refusal that came before anything was looked at is one more obstacle. */
static void keep_refusal(struct checkpoint_result *res, const char *sentence)
{
	res->obstacles = malloc(sizeof(*res->obstacles));
	if (res->obstacles && (res->obstacles[0] = strdup(sentence)))
		res->nr_obstacles = 1;
}

int checkpoint_make(const struct checkpoint_request *req, struct checkpoint_result *res)
{
	struct capture outer;
	struct checkpoint_group group;
	char sentence[1024];
	int rc, number = 0;
	bool fleeting;
	size_t i;

	memset(res, 0, sizeof(*res));
	checkpoint_group_begin(&group, true, checkpoint_signal_fd());
	if (group.stop_fd < 0)
		return fail_errno(errno, "cannot watch for signals");
	do {
		checkpoint_result_free(res);
		outer = fail_capture(sentence, sizeof(sentence));
		rc = attempt(req, res, &group, &fleeting);
		fail_restore(outer);
	} while (rc && fleeting && checkpoint_try_again(&group, req->max_wait_ms, number++));
	close(group.stop_fd);
	/* Whatever came of going on after the first. */
	if (rc && res->nr_obstacles)
		rc = CK_REFUSED;
	if (rc == CK_REFUSED && !res->nr_obstacles)
		keep_refusal(res, sentence);
	if (rc && !res->nr_obstacles)
		fail(rc, "%s", sentence);
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
