/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The life of a job's keeper: start a command in the job's cgroup, pass signals
 * on to it, checkpoint it at an interval, end as it ends.  Used by `ckctl run`
 * and `ckctl restart`.
 */
#ifndef CKCTL_SUPERVISE_H
#define CKCTL_SUPERVISE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "job.h"

/*
 * From now on the signals that are passed on are blocked and will be found by
 * job_supervise(): call it before there is a child.  @old is what the child
 * gets back.
 */
void job_block_signals(sigset_t *old, bool all);

/*
 * Fork and execute @argv in the cgroup @cgroup_fd with the signal mask @mask.
 * Returns enum ck_exit; an exec that fails is reported and *status is what a
 * shell would end with, 126 or 127, else 0.
 */
int job_spawn(int cgroup_fd, char **argv, const sigset_t *mask, pid_t *child, int *status);

/*
 * Until @child, which is a child of the caller, ends: pass signals on to it,
 * and make a checkpoint every @interval_s seconds (0: never).  Other children
 * are reaped.  Where @child is only the job's init (init.h), @status_fd is
 * where the wait status of the job itself comes from, else -1; it is closed.
 * Returns the exit status, or 128 + the signal that ended it.
 */
int job_supervise(const struct job *job, pid_t child, int status_fd, uint64_t interval_s);

/* What both that and the job's init do.  All signals that are passed on, blocked; those
 * that a slot passes on are @all that can be. */
int job_signal_fd(bool all);
/* @info was sent to us and is @child's. */
struct signalfd_siginfo;
void job_pass_on(pid_t child, const struct signalfd_siginfo *info);

/* Be killed when the parent ends, which holds the other end of @alive. */
void job_die_with_parent(int alive);

/* Remove cgroup and registration, unless there are still processes. */
void job_end(const struct job *job);

#endif
