/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What note() says in a slot: a restart that is under way says it to nobody, and
 * partly in a child.  So it is kept, and told when the job goes on, on the
 * standard error that the task has; what several tasks of a step on one node say,
 * by one of them.
 */
#ifndef CKCTL_NOTES_H
#define CKCTL_NOTES_H

#include <jansson.h>

/* From now on, in children as well. */
void notes_listen(void);
/* All of it: sentences. */
json_t *notes_heard(void);
/* Tell what somebody must know of it, unless another task of the step @name does or has:
 * those sentences, without what was already told. */
json_t *notes_tell(const char *name);

#endif
