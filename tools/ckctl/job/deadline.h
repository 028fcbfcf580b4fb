/* SPDX-License-Identifier: GPL-2.0 */
/* How long whoever coordinates a checkpoint may wait for others: MaxWait, and signals. */
#ifndef CKCTL_DEADLINE_H
#define CKCTL_DEADLINE_H

#include <poll.h>
#include <stdint.h>

struct deadline {
	char what[64];			/* "job 5", for the sentence */
	int64_t start_ms;		/* of CLOCK_MONOTONIC */
	uint64_t max_wait_ms;		/* 0 for no limit */
	int stop_fd;			/* give up as soon as this can be read; -1 for none */
};

int64_t deadline_now_ms(void);
void deadline_begin(struct deadline *d, const char *what, uint64_t max_wait_ms, int stop_fd);
/* Milliseconds that are left; -1 without a limit. */
int deadline_left_ms(const struct deadline *d);
/* May the next step be begun?  Returns enum ck_exit, with the sentence. */
int deadline_check(const struct deadline *d);
/* poll(2) on @fds for @limit_ms (-1 for ever) and no longer than that: CK_OK with
 * what poll returned in *@ready, or as above. */
int deadline_poll(const struct deadline *d, struct pollfd *fds, nfds_t nr, int limit_ms, int *ready);

#endif
