/* SPDX-License-Identifier: GPL-2.0 */
/* Opening files with the rights of a process that is being restored. */
#ifndef CKCTL_CRED_H
#define CKCTL_CRED_H

#include "state.h"

/* open(2) of an existing file as @p could: no O_CREAT, no O_TRUNC.  The
 * descriptor, close-on-exec, at or above r->fd_base; -1 and errno. */
int cred_open(struct restore *r, const struct image_process *p, const char *path, int flags);

/* A new file without a name in the directory @dir, open for reading and writing,
 * as @p could make one; as above. */
int cred_create(struct restore *r, const struct image_process *p, const char *dir);

#endif
