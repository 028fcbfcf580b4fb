/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKCTL_SIGNALS_H
#define CKCTL_SIGNALS_H

#include "../image/image.h"

/* In the skeleton, after the actions, with everything blocked: what was pending
 * for the process, by its leader; for a thread, by the thread itself. */
int signals_queue(const struct image_process *p);
int signals_queue_thread(const struct image_process *p, const struct image_thread *t);

#endif
