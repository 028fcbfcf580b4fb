/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_STATUS_JOB_H
#define CKCTL_STATUS_JOB_H

/* What is known of the checkpoints and the last restart of a job or step.  Returns enum ck_exit. */
int status_job(const char *name);

#endif
