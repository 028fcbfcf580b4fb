/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The directory of an image that is being written, of either kind: who may
 * write, what was there before, where the new generation goes, and the one step
 * that makes it part of the image.  All int functions return enum ck_exit and
 * have reported failures (out.h), unless they say otherwise.
 */
#ifndef CKCTL_IMAGE_STORE_H
#define CKCTL_IMAGE_STORE_H

#include "manifest.h"

struct store {
	enum image_kind kind;
	char path[4400];		/* of the image */
	char gen_path[4420];
	int parent, dir, gen;		/* descriptors; -1 when not open */
	int lock_fd;			/* of an image of a job */
	uint32_t number;		/* of the generation being made */
	bool locked;
	bool committed;			/* the manifest may name the generation */
	struct manifest *former;	/* NULL for none */
	bool damaged;			/* there is one, which cannot be read */
	uid_t owner;			/* of the image, to whom root gives the files */
	gid_t group;
};

/*
 * Open <dir>/<id>.ckpt, making it if need be; keep other writers out (CK_BUSY);
 * remove what dead ones left; make the directory of the next generation.  In
 * any case, store_close() must follow.
 */
int store_begin(struct store *s, enum image_kind kind, const char *dir, const char *id);
/* A new file in @at, of the image's owner: a descriptor, or -1 and errno. */
int store_create(const struct store *s, int at, const char *name, int flags);
/* The manifest with the newest @keep generations, @newest included; what is not
 * in it any more is removed. */
int store_publish(struct store *s, const struct manifest_generation *newest, unsigned int keep);
/* What was not published is removed; the lock is given back. */
void store_close(struct store *s);
/*
 * What dead writers left of the image <dir>/<id>.ckpt is removed, which may be all of
 * it.  One that lives keeps us out (CK_BUSY); that there is no such image is fine.
 */
int store_sweep(enum image_kind kind, const char *dir, const char *id);

#endif
