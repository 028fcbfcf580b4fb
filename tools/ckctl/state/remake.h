/* SPDX-License-Identifier: GPL-2.0 */
/* Temporary files at a restart: made again, brought back, and taken away again. */
#ifndef CKCTL_REMAKE_H
#define CKCTL_REMAKE_H

#include <sys/types.h>
#include "tempfiles.h"

struct trail;

struct restore_temp {
	const struct image_process *process;	/* somebody who had it, for their rights */
	enum temp_fate fate;
	bool needed;			/* it was open, or mapped such that the job wrote it */
	bool another;			/* TEMP_AS_IT_IS: another file is in its place */
	int fd;				/* TEMP_CHANGED: to write it by */
	bool made;			/* as this inode */
	dev_t dev;
	ino_t ino;
};

/* A directory that was made on the way to a file. */
struct made_dir {
	const struct image_process *process;
	char *path;
};

struct restore_temps {
	struct restore_temp *files;	/* [image->nr_shms] */
	struct made_dir *dirs;
	size_t nr_dirs;
};

/* Operations of the row of temporary files. */
int remake_all(struct restore *r);
void remake_undo(struct restore *r);
int remake_commit(struct restore *r);
/* Tell the next restart from @img that what @fd is open on is @shm, as far as the file
 * system lets us; what a former one has told. */
void remake_mark(const struct image *img, const struct image_shm *shm, int fd);
bool remake_is_marked(const struct image *img, const struct image_shm *shm, int fd);
/* Why @shm cannot be made: @err of trail_follow() or of what came after it. */
int remake_failed(const struct image_shm *shm, const struct trail *trail, int err);

#endif
