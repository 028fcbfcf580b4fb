/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The life of a job's keeper: start a command in the job's cgroup, pass signals
 * on to it, checkpoint it at an interval, end as it ends.  Used by `ckctl run`
 * and `ckctl restart`.
 */
#ifndef CKCTL_SUPERVISE_H
#define CKCTL_SUPERVISE_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>
#include "job.h"

/*
 * From now on the signals that are passed on are blocked and will be found by
 * job_supervise(): call it before there is a child.  @old is what the child
 * gets back.
 */
void job_block_signals(sigset_t *old);

/*
 * Fork and execute @argv in the cgroup @cgroup_fd with the signal mask @mask.
 * Returns enum ck_exit; an exec that fails is reported and *status is what a
 * shell would end with, 126 or 127, else 0.
 */
int job_spawn(int cgroup_fd, char **argv, const sigset_t *mask, pid_t *child, int *status);

/*
 * Until @child, which is a child of the caller, ends: pass signals on to it,
 * and make a checkpoint every @interval_s seconds (0: never).  Other children
 * are reaped.  Returns its exit status, or 128 + the signal that ended it.
 */
int job_supervise(const struct job *job, pid_t child, uint64_t interval_s);

/* Remove cgroup and registration, unless there are still processes. */
void job_end(const struct job *job);

#endif
