/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a ckctl inside of a job's cgroup says what it is there: by a memfd that it
 * holds, whose name begins with a word for that.  No registry, and nothing to
 * clean up after it.
 */
#ifndef CKCTL_MARK_H
#define CKCTL_MARK_H

#include <stdbool.h>
#include <sys/types.h>

/* The calling process has the mark @name from now on, and can be looked at by its user's
 * ckctl.  The descriptor, close-on-exec, which is to be kept; -1 and errno. */
int mark_make(const char *name);

/*
 * Does the process whose directory in /proc is @dir, and whose exe there is a link to
 * @exe, run this very program, and have a mark that begins with @word?  No, too,
 * where the caller may not look.
 */
bool mark_is(int dir, const char *exe, const char *word);
/* What is in that mark, in bytes; -1 without one. */
off_t mark_size(int dir, const char *word);

#endif
