/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Control groups, version 2 only.  Paths are those of directories, under the
 * place where the hierarchy is mounted.  All int functions return enum ck_exit
 * and have reported failures (out.h), unless they say otherwise.
 */
#ifndef CKCTL_CGROUP_H
#define CKCTL_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The directory of ckctl's own cgroup. */
int cgroup_own(char *path, size_t size);
/* A PATH that a person gave: a directory, or one as in /proc/PID/cgroup. */
int cgroup_resolve(char *path, size_t size, const char *arg);

/* Where the cgroup of a job of this name goes: <own>/ckpt-<id>. */
int cgroup_place(const char *id, char *path, size_t size);
/*
 * Make it and open it.  An empty one that was left behind is taken over.  Where
 * it is not permitted, CK_PERM with the sentence.
 */
int cgroup_make(const char *path, int *fd);
int cgroup_open(const char *path, int *fd);
/* Remove it with the empty ones below it; one with processes stays, silently. */
void cgroup_remove(const char *path);

/* All processes in it and below, ascending; free(*pids). */
int cgroup_pids(int fd, pid_t **pids, size_t *nr);
/* Is there any process in it or below?  Unreadable counts as no. */
bool cgroup_populated(int fd);
/* Wait until there is none, @timeout_ms at most: is it so? */
bool cgroup_wait_empty(int fd, int timeout_ms);
/* End all processes with SIGKILL, frozen ones too, and wait for their end. */
int cgroup_kill(int fd);
int cgroup_frozen(int fd, bool *frozen);
int cgroup_thaw(int fd);

#endif
