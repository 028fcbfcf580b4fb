/* SPDX-License-Identifier: GPL-2.0 */
/* The address space of a process, page contents aside. */
#ifndef CKPT_STATE_MM_H
#define CKPT_STATE_MM_H

#include <linux/types.h>

struct ckpt_plan;
struct ckpt_plan_vma;
struct ckpt_session;

extern const struct ckpt_state_ops ckpt_mm_ops;

int ckpt_mm_check_plan(struct ckpt_session *s, const struct ckpt_plan *plan,
		       const struct ckpt_plan_vma *vmas);
int ckpt_mm_replace(struct ckpt_session *s, const struct ckpt_plan *plan,
		    const struct ckpt_plan_vma *vmas);
int ckpt_mm_set_exe(struct ckpt_session *s, int fd);

#endif
