/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_TIMERS_H
#define CKCTL_TIMERS_H

#include "../image/image.h"

/* In the skeleton, when all threads exist: make and start its timers. */
int timers_arm(const struct image_process *p);

#endif
