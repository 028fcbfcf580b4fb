/* SPDX-License-Identifier: GPL-2.0 */
/* Slurm's time intervals: the six forms that --checkpoint= takes. */
#ifndef CKCTL_INTERVAL_H
#define CKCTL_INTERVAL_H

#include <stdint.h>

#define INTERVAL_MAX	INT32_MAX	/* seconds */

/* minutes, minutes:seconds, hours:minutes:seconds, days-hours,
 * days-hours:minutes, days-hours:minutes:seconds; anything else is refused
 * with CK_USAGE.  0 is an interval: it means no checkpoints, as in Slurm. */
int interval_parse(const char *text, uint64_t *seconds);

#endif
