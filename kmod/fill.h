/* SPDX-License-Identifier: GPL-2.0 */
/* Page contents of a restored process: from the image's files into its memory. */
#ifndef CKPT_FILL_H
#define CKPT_FILL_H

#include <linux/types.h>

struct ckpt_plan_pages;
struct ckpt_session;

int ckpt_fill(struct ckpt_session *s, const struct ckpt_plan_pages *pages, u32 nr);

#endif
