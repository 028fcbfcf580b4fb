/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_INIT_H
#define CKCTL_INIT_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Stay behind as the parent of a job, outside of its cgroup: pass signals on to
 * @child, the job's first process, reap whatever ends, say on the socket
 * @status_fd how @child did.  In a pid namespace of its own (@pidns) that goes
 * on until the job has no processes left, as all would die with its init.  That
 * of a slot passes @all signals on.
 */
void init_run(pid_t child, int status_fd, bool pidns, bool all) __attribute__((noreturn));

#endif
