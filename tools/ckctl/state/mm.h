/* SPDX-License-Identifier: GPL-2.0 */
/* The address space of a process: what its skeleton asks of the kernel. */
#ifndef CKCTL_MM_H
#define CKCTL_MM_H

#include <linux/ckpt.h>
#include "state.h"

/* In the skeleton: the plan for RESTORE, in memory that is never freed. */
int mm_plan(struct restore *r, const struct image_process *p, struct ckpt_plan *plan);
/* In the skeleton, when nothing in it needs the heap any more: the addresses
 * that prctl(2) knows, among them the end of the heap. */
int mm_set_fields(const struct image_process *p);

/* In the coordinator: the file @path has been made again; open it for who maps it. */
int mm_open_made(struct restore *r, const char *path);

/* shm.c: is @shm the program of @p, which was removed? */
bool shm_is_program(const struct image_shm *shm, const struct image_process *p);

#endif
