/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Objects without a path: shared anonymous memory, memfds, mapped files that
 * were removed.  Saved once each, however many processes map them.
 */
#ifndef CKPT_SHM_H
#define CKPT_SHM_H

#include <linux/types.h>

struct ckpt_session;
struct file;
struct vm_area_struct;

int ckpt_shm_id(struct ckpt_session *s, struct vm_area_struct *vma, u64 *id);
bool ckpt_shm_is_removed(const struct file *file);
int ckpt_shm_dump(struct ckpt_session *s);
int ckpt_shm_take(struct ckpt_session *s);
void ckpt_shm_release(struct ckpt_session *s);

#endif
