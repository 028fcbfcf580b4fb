/* SPDX-License-Identifier: GPL-2.0 */
/* Clocks as one number. */
#ifndef CKCTL_CLOCK_H
#define CKCTL_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds; 0 where the kernel has no such clock. */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* The same in milliseconds, signed for differences. */
static inline int64_t clock_ms(clockid_t clock)
{
	return (int64_t)(clock_ns(clock) / 1000000);
}

#endif
