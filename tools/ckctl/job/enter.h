/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_ENTER_H
#define CKCTL_ENTER_H

/*
 * A checkpoint is made where the job lives.  When that is a pid namespace which
 * `ckctl restart` made for it, a child joins it and returns from here; the
 * caller waits for it and ends as it does.  *groups, when not NULL, is what
 * /proc/PID/status says outside of the job's user namespace: its groups, which
 * have no numbers inside.  Returns enum ck_exit.
 */
int job_enter(const char *cgroup, const char **groups);

#endif
