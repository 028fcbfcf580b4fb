/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An image of another kernel: its programs know where that kernel's vdso was and
 * what was where in it, and its code reads data that this kernel keeps in another
 * form.  The old code is put back where it was, each of its functions turned into
 * a jump to this kernel's of that name, and this kernel's vdso goes beside it.
 */
#ifndef CKCTL_VDSO_OLD_H
#define CKCTL_VDSO_OLD_H

#include <stdbool.h>
#include "../image/image.h"
#include "vdso.h"

#define VDSO_MAX_FUNCTIONS	32

/* From byte @from of the old code to byte @to of this kernel's. */
struct vdso_jump {
	uint32_t from;
	int64_t to;			/* -1: there is none, as if the system call were unknown */
};

struct vdso_old {
	bool used;			/* the image's kernel had another vdso */
	const void *code;		/* of the image */
	size_t len;
	struct vdso_jump jumps[VDSO_MAX_FUNCTIONS];
	size_t nr_jumps;
};

/* Where things go in one process. */
struct vdso_place {
	struct vdso kept;		/* all of it, for RESTORE to leave alone */
	struct vdso then;		/* the old kernel's vvar and vdso */
	uint64_t own;			/* this kernel's vvar and vdso; 0 for none */
	uint64_t code;			/* the old code; 0 for none */
};

/* CK_OK with old->used false where this kernel's vdso is that of the image; CK_REFUSED
 * where the image has none or one that is not understood. */
int vdso_old_look(struct vdso_old *old, const struct image *image);
/* @own is this kernel's, anywhere.  CK_REFUSED where it does not fit in. */
int vdso_old_place(const struct vdso_old *old, const struct image_process *p,
		   const struct vdso *own, struct vdso_place *place);
/* In the skeleton, whose own vdso is at place->own: put the old code at place->code.
 * 0 or -errno. */
int vdso_old_put(const struct vdso_old *old, const struct vdso_place *place, uint64_t own_code);

#endif
