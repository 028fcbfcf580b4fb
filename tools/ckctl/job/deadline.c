// SPDX-License-Identifier: GPL-2.0
#include "deadline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "out.h"

#define MAX_FDS	8

int64_t deadline_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

void deadline_begin(struct deadline *d, const char *what, uint64_t max_wait_ms, int stop_fd)
{
	snprintf(d->what, sizeof(d->what), "%s", what);
	d->start_ms = deadline_now_ms();
	d->max_wait_ms = max_wait_ms;
	d->stop_fd = stop_fd;
}

int deadline_left_ms(const struct deadline *d)
{
	uint64_t spent = (uint64_t)(deadline_now_ms() - d->start_ms);

	if (!d->max_wait_ms)
		return -1;
	if (spent >= d->max_wait_ms)
		return 0;
	return d->max_wait_ms - spent > INT32_MAX ? INT32_MAX : (int)(d->max_wait_ms - spent);
}

int deadline_check(const struct deadline *d)
{
	int ready;

	return deadline_poll(d, NULL, 0, 0, &ready);
}

int deadline_poll(const struct deadline *d, struct pollfd *fds, nfds_t nr, int limit_ms, int *ready)
{
	int64_t until = limit_ms < 0 ? -1 : deadline_now_ms() + limit_ms;
	struct pollfd all[MAX_FDS + 1] = { { .fd = d->stop_fd, .events = POLLIN } };
	int left, wait, n;

	if (nr > MAX_FDS)
		return fail(CK_FAILED, "too many descriptors to wait for");
	if (nr)
		memcpy(all + 1, fds, nr * sizeof(*fds));
	*ready = 0;
	for (;;) {
		left = deadline_left_ms(d);
		if (left == 0)
			return fail(CK_TIMEOUT, "the checkpoint of %s was not complete within %g seconds",
				    d->what, (double)d->max_wait_ms / 1000);
		wait = until < 0 ? -1 : until > deadline_now_ms() ? (int)(until - deadline_now_ms()) : 0;
		if (left >= 0 && (wait < 0 || left < wait))
			wait = left;
		n = poll(all, nr + 1, wait);
		if (n < 0 && errno != EINTR)
			return fail_errno(errno, "cannot wait");
		if (n > 0 && all[0].revents)
			return fail(CK_FAILED, "interrupted");
		if (n > 0)
			break;
		if (until >= 0 && deadline_now_ms() >= until && deadline_left_ms(d) != 0)
			return CK_OK;
	}
	memcpy(fds, all + 1, nr * sizeof(*fds));
	*ready = n;
	return CK_OK;
}
