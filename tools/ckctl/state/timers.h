/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_TIMERS_H
#define CKCTL_TIMERS_H

#include "../image/image.h"

/* In the skeleton, when all threads exist: make and arm its timers; *@armed_ns
 * is what the module needs to have them run from COMMIT on. */
int timers_arm(const struct image_process *p, __u64 *armed_ns);

#endif
