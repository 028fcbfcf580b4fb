/* SPDX-License-Identifier: GPL-2.0 */
/* Where temporary files are: places of every system, and those of a job's environment. */
#ifndef CKCTL_PLACES_H
#define CKCTL_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proc;

struct places {
	char **dirs;			/* resolved */
	size_t nr_dirs;
	uint64_t *devs;			/* of file systems in memory */
	size_t nr_devs;
	char *tmpdir;			/* that was seen last */
	int64_t began;			/* the job, a while before its first process; in seconds */
	char *image;			/* the directory of the image: no such place */
};

/* Before the freeze, for it may wait for a file server: NULL has been reported.
 * @dir and @id as for image_begin(). */
struct places *places_open(const char *dir, const char *id);
void places_close(struct places *places);	/* NULL is fine */
/* The $TMPDIR of @p, and when it began; only the first time that @p is seen. */
void places_learn(struct places *places, struct proc *p);
/* Is the file that is open by @path, on @dev, in one of them? */
bool places_have(const struct places *places, const char *path, uint64_t dev);

#endif
