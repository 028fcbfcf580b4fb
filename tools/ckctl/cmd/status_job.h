/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_STATUS_JOB_H
#define CKCTL_STATUS_JOB_H

/* What the keeper of a job's or step's schedule has written down.  Returns enum ck_exit. */
int status_job(const char *name);

#endif
