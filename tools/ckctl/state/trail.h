/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way to a file, directory by directory.  No symbolic link is followed, and no
 * directory of a third user where everybody can make one: whoever puts something
 * in the way of a file that is gone must not decide where it is made again.
 */
#ifndef CKCTL_TRAIL_H
#define CKCTL_TRAIL_H

#include <sys/types.h>

struct trail {
	int dir_fd;			/* the last directory that is there; O_PATH */
	const char *rest;		/* of the path: "name", or "missing/missing/name" */
	const char *why;		/* not further, as in "… is a symbolic link"; NULL */
	size_t bad;			/* of what that is said of: its length in the path */
};

/* For @path, which leads down from the root, with the rights of the caller, who
 * is @uid: 0, or -1 and errno. */
int trail_follow(struct trail *t, const char *path, uid_t uid);
/* One step into the first directory of t->rest, which is there now. */
int trail_step(struct trail *t, const char *path, uid_t uid);
/* -1 and errno: EEXIST when it is there already. */
int trail_make_step(const struct trail *t);
void trail_end(struct trail *t);

#endif
