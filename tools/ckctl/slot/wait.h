/* SPDX-License-Identifier: GPL-2.0 */
/* The life of a slot whose job runs: hand on what is sent, end as the job ends. */
#ifndef CKCTL_SLOT_WAIT_H
#define CKCTL_SLOT_WAIT_H

struct started;

/*
 * Until the job's first process has ended: its wait status.  All signals are
 * blocked already (job_block_signals()).
 */
int slot_wait(const struct started *started);
/* End with the same status, or by the same signal, but without a core dump. */
void slot_end(int status) __attribute__((noreturn));

#endif
