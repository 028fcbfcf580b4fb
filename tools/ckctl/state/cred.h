/* SPDX-License-Identifier: GPL-2.0 */
/* Rights: those of the restorer, and those of a process that is being restored. */
#ifndef CKCTL_CRED_H
#define CKCTL_CRED_H

#include "state.h"

/* Set r->foreign, gives_away, groups from what ckctl was started as, r->image given.
 * Call it before anything changes that. */
int cred_look(struct restore *r);
/* May every process of the image have its credentials?  Asked before anything
 * that the image says is believed. */
int cred_check(const struct restore *r);

/* open(2) of an existing file as @p could: no O_CREAT, no O_TRUNC.  The
 * descriptor, close-on-exec, at or above r->fd_base; -1 and errno. */
int cred_open(struct restore *r, const struct image_process *p, const char *path, int flags);
/* chdir(2) as @p could. */
int cred_chdir(const struct image_process *p, const char *path);

/* @fn with the rights of @p: what it returns, and errno; -1 when they cannot be taken. */
int cred_call(const struct image_process *p, int (*fn)(void *arg), void *arg);

/* A new file without a name in the directory @dir, open for reading and writing,
 * as @p could make one; as above. */
int cred_create(struct restore *r, const struct image_process *p, const char *dir);

#endif
