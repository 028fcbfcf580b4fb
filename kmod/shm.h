/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared memory objects without a path: shared anonymous memory, memfds,
 * deleted tmpfs files.  Saved once each, however many processes map them.
 */
#ifndef CKPT_SHM_H
#define CKPT_SHM_H

#include <linux/types.h>

struct ckpt_session;
struct vm_area_struct;

int ckpt_shm_id(struct ckpt_session *s, struct vm_area_struct *vma, u64 *id);
int ckpt_shm_dump(struct ckpt_session *s);
int ckpt_shm_take(struct ckpt_session *s);
void ckpt_shm_release(struct ckpt_session *s);

#endif
