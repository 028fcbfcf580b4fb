/* SPDX-License-Identifier: GPL-2.0 */
/* Files without a name that the job has open: their contents are the job's alone. */
#ifndef CKCTL_OBJECTS_H
#define CKCTL_OBJECTS_H

#include "state.h"

struct dump_file;

/* What the module has of an object that is mapped, from its CKPT_REC_SHM. */
struct object_id {
	uint64_t dev, ino, id;
};

/* Is this for the row of objects? */
bool object_is(const struct dump_file *f);
/* Are there any?  Then, all frozen, objects_capture() takes hold of the contents
 * of those that the module does not have: a copy, a clone in the directory of
 * @w, or, when the job is @held until all is written, the file itself.  Where @w is
 * NULL or something stands against an image, it only looks whether they are too large. */
bool objects_any(const struct dump *d);
int objects_capture(struct dump *d, struct image_writer *w, const struct object_id *known,
		    size_t nr, bool held);

#endif
