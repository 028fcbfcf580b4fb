/* SPDX-License-Identifier: GPL-2.0 */
/* Temporary files that the job has made and that nobody in it has open just now. */
#ifndef CKCTL_CLOSED_H
#define CKCTL_CLOSED_H

#include "state.h"

/* All frozen, the open ones found: the others that are in places for temporary files. */
int closed_find(struct dump *d);

#endif
