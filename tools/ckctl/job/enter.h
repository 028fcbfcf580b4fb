/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_ENTER_H
#define CKCTL_ENTER_H

#include <stdbool.h>
#include <stddef.h>

/* What can only be seen from outside of where a job lives. */
struct job_view {
	/* Its groups, as /proc/PID/status has them, which have no numbers inside of a
	 * user namespace; NULL: look there. */
	const char *groups;
	int *outside;		/* /proc/PID/mem of slots (slot.h) that are not seen inside */
	size_t nr_outside;
};

/*
 * A checkpoint is made where the job lives.  When that is a pid namespace which
 * `ckctl restart` made for it, a child joins it and returns from here; the
 * caller waits for it and ends as it does.  Returns enum ck_exit.
 */
int job_enter(const char *cgroup, struct job_view *view);

/*
 * Have the processes of @cgroup mounts that are not ours, and no pid namespace of their
 * own, where job_enter() would go?  Only from among them can they be checkpointed.
 */
bool job_is_apart(const char *cgroup);

#endif
