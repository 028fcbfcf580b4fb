/* SPDX-License-Identifier: GPL-2.0 */
/* Files with a name, in places for temporary files, that the job has open. */
#ifndef CKCTL_TEMPFILES_H
#define CKCTL_TEMPFILES_H

#include "state.h"

/* The extended attribute of a file, where the file system knows such, by which the job
 * that a restart continues has it, whenever it was born. */
#define TEMPFILE_MARK	"user.ckpt"

/* All frozen: take hold of their contents, as content_take() does. */
void tempfiles_capture(struct dump *d, struct image_writer *w, bool held);

/* ---- restore ---- */

/* What became of a file of which the image has the contents. */
enum temp_fate {
	TEMP_AS_IT_IS,			/* of such a file: nothing happened to it, or it is no
					 * more the same; other files, too */
	TEMP_MISSING,			/* it will be made again */
	TEMP_CHANGED,			/* it will be brought back */
};

/* Before any file is opened: our own descriptors are not to be found. */
int tempfiles_find(struct restore *r);
/* Of the image's file @file; of what was open or mapped by @path. */
enum temp_fate tempfiles_fate(const struct restore *r, size_t file);
/* Of the image's file @file: is it known that another one is in its place? */
bool tempfiles_is_another(const struct restore *r, size_t file);
enum temp_fate tempfiles_fate_at(const struct restore *r, const char *path);
/* Will there be a directory at @path, where none is yet? */
bool tempfiles_make_dir(const struct restore *r, const char *path);
void tempfiles_release(struct restore *r);

#endif
