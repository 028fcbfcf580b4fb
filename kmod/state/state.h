/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One kind of kernel state = one file here = one row of ckpt_state_table:
 * check, dump, and for what only the kernel can put back, restore.
 *
 * All dump-side functions run on the session's worker, with every thread
 * frozen and off its CPU.  check refuses by name through
 * ckpt_obstacle(), and goes on: a failure of its own is that it could not look.
 */
#ifndef CKPT_STATE_H
#define CKPT_STATE_H

#include "../session.h"

struct ckpt_state_ops {
	const char *name;
	/* For each process, before anything is recorded. */
	int (*check)(struct ckpt_session *s, struct ckpt_process *p);
	/* For each process: its per-process records, after CKPT_REC_PROCESS. */
	int (*dump)(struct ckpt_session *s, struct ckpt_process *p);
	/* For each thread: what follows its place after CKPT_REC_THREAD. */
	int (*dump_thread)(struct ckpt_session *s, struct ckpt_process *p, struct task_struct *t);
};

/* In the order of the records; NULL terminated.  Restore halves are called by
 * restore.c at their own moments and are declared in the files' own headers. */
extern const struct ckpt_state_ops *const ckpt_state_table[];

int ckpt_state_check(struct ckpt_session *s);
int ckpt_state_dump(struct ckpt_session *s);

#endif
