/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A program that asks for a checkpoint of itself, by a ckctl of its own.  That one
 * is no part of the image; at a restart it is started anew, whereby it knows.
 */
#ifndef CKCTL_CMD_SELF_H
#define CKCTL_CMD_SELF_H

#include "job/target.h"

/* The TARGET of create and check that stands for that. */
bool self_is(const struct target *t);
/* Both return enum ck_exit.  With @cgroup, TARGET is not "self" but the job of Slurm or the
 * step whose cgroup that is, and all of that is asked for. */
int self_create(const struct target *t, const char *cgroup);
/* Is there anybody who could be asked? */
int self_check(void);

#endif
