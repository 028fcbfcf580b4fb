/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The variables of a job that goes on in another launch of it.  A restored program
 * has those of its former launch in its memory, and hands them on: other nodes,
 * perhaps another job, are where it is now.  Used by ckctl and by the plugin.
 */
#ifndef CKCTL_ENVIRON_H
#define CKCTL_ENVIRON_H

#include <stdbool.h>
#include <stddef.h>

/* Environments here are as in /proc/PID/environ: @len bytes, each variable ends
 * with a NUL.  NULL for no such variable. */
const char *environ_get(const char *env, size_t len, const char *name);

/* Is that the batch system's to set? */
bool environ_is_launch(const char *name);

/*
 * What such a variable is to be.  @saved: what the program hands on; @then: what it
 * was itself started with; @now: what the present launch has; each NULL for unset.
 * What the program has set itself goes on being that, unless it says which job it
 * is, and where.
 */
const char *environ_merge(const char *name, const char *saved, const char *then, const char *now);

#endif
