/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_JANITOR_H
#define CKCTL_JANITOR_H

#include "job.h"

/*
 * Start a process that removes cgroup and registration of @job when the caller
 * and the job's processes have ended, however that comes.  Call it single
 * threaded, with the place of the cgroup known and before there is anything to
 * remove.  *to is where job_guard_cgroup() says which one it became.  Returns
 * enum ck_exit.
 */
int job_guard(struct job *job, int *to);
/* The cgroup was made and is @cgroup_fd, or was not (-1).  Closes @to. */
void job_guard_cgroup(int to, int cgroup_fd);

/* Standard streams lead nowhere: for who stays behind, as long as the job may. */
void job_drop_streams(void);

#endif
