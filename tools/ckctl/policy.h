/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a site's decisions (conf.h) mean for a checkpoint of the calling
 * process's user.  They are for the good order, and no barrier: who has a ckctl of
 * their own decides for themselves.  All int functions return enum ck_exit and
 * have reported failures (out.h).
 */
#ifndef CKCTL_POLICY_H
#define CKCTL_POLICY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* allow_users, allow_groups: may they have checkpoints at all?  Root may. */
int policy_allowed(void);
/* min_interval; @seconds of 0 is none. */
int policy_interval(uint64_t seconds);
/* max_image: may the image @name have that many bytes? */
int policy_image_size(const char *name, uint64_t bytes);
/* keep: complete checkpoints kept where nobody says how many. */
unsigned int policy_keep(void);

/* default_dir for a job: "" where the site has none. */
int policy_default_dir(char *path, size_t size, uid_t uid, const char *job);
/* When @dir is that of this user's @job it is made, should it not be there yet. */
int policy_make_dir(const char *dir, const char *job);

#endif
