/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A slot: a ckctl that stands, inside of a job's cgroup, in the place where a batch
 * system has put a program that was restarted.  It is no part of the job: images
 * do not have it (state/omit.h).
 *
 * It is known by its program and by a memfd that it holds: no registry, and
 * nothing to clean up after it.  What it forks is one, too, as long as that holds
 * the memfd and executes nothing: the init of a pid namespace, for one.
 */
#ifndef CKCTL_SLOT_H
#define CKCTL_SLOT_H

#include <stdbool.h>

#define SLOT_MARK	"ckpt-slot:"

/* The calling process is the slot @name, "<job>.<step>.<rank>", from now on.  The
 * descriptor, close-on-exec, which is to be kept; -1 and errno. */
int slot_mark(const char *name);

/* Its job is there, all of it: what is found in the cgroup from now on is that. */
void slot_ready(int mark);

/* Is it one whose directory in /proc is @dir, and whose exe there is a link to @exe?
 * No, too, where the caller may not look. */
bool slot_is(int dir, const char *exe);
/* And is its job there? */
bool slot_is_ready(int dir);

#endif
