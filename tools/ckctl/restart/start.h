/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A restart in this pid namespace or, where ids are taken, in one of its own: what
 * `ckctl restart` and slots (slot/task.h) have in common.
 */
#ifndef CKCTL_START_H
#define CKCTL_START_H

#include "restart.h"

enum start_pidns {
	START_AUTO,		/* in a pid namespace of its own when ids are not to be had here */
	START_ALWAYS,
	START_NEVER,
};

/* What is waited for when the job runs. */
struct started {
	pid_t child;
	int status_fd;		/* of its init (job/init.h), -1 when it is the job itself */
};

/*
 * All that can be found out while nothing has happened yet; @r takes @image.
 * Besides enum ck_exit, VDSO_TAKEN: start_again() then looks for a better place.
 */
int start_look(struct restart *r, struct image *image, enum start_pidns pidns);
/* Another layout of our own address space: the same command line once more. */
int start_again(void);
/* Will it be in a process of its own (restart.h, apart_run())?  It may come to that later, too. */
bool start_is_apart(const struct restart *r, enum start_pidns pidns);
/* From no process to a running job; what fails leaves none. */
int start_run(struct restart *r, enum start_pidns pidns, struct started *started);

#endif
