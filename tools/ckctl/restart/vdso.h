/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's own pages in every address space: vvar (data) and vdso (code).
 * A restarted process gets this kernel's, at the address where the program knows
 * them; where the code is not the same, vdso_old.h.
 */
#ifndef CKCTL_VDSO_H
#define CKCTL_VDSO_H

#include <stddef.h>
#include <stdint.h>

/* XXH64 of this kernel's vdso code, in hex, for image_meta.vdso; returns
 * enum ck_exit.  @size is at least 17. */
int vdso_hash(char *buf, size_t size);

struct vdso {
	uint64_t start;		/* vvar and vdso together; 0, 0 for none */
	uint64_t end;
};

/* Only the code, in this process. */
int vdso_text(struct vdso *v);

/* Where they are in this process. */
int vdso_find(struct vdso *v);

/*
 * Keep @ranges, where saved processes had theirs, free of mappings of our own,
 * so that vdso_move() can use them; sorts them.  Besides enum ck_exit:
 * VDSO_TAKEN, silently, when something of ours other than @own lies there;
 * another layout, that is another exec, may do better.
 */
#define VDSO_TAKEN	(-1)
int vdso_reserve(const struct vdso *own, struct vdso *ranges, size_t nr);

/*
 * Move this process's vvar and vdso to @start, whose range was reserved; 0
 * for none.  Afterwards libc must not be asked for the time.  0 or -errno.
 */
int vdso_move(const struct vdso *own, uint64_t start);

#endif
