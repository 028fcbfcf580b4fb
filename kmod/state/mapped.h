/* SPDX-License-Identifier: GPL-2.0 */
/* The files that mappings show: their paths and attributes. */
#ifndef CKPT_STATE_MAPPED_H
#define CKPT_STATE_MAPPED_H

struct ckpt_rec_vma;
struct ckpt_session;
struct file;
struct task_struct;

void ckpt_mapped_begin(struct ckpt_session *s);
void ckpt_mapped_end(struct ckpt_session *s);

struct ckpt_rec_vma *ckpt_mapped_record(struct ckpt_session *s, struct task_struct *t,
					const struct file *file, char *buf);

#endif
