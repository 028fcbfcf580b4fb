/* SPDX-License-Identifier: GPL-2.0 */
/* The calling process's own capabilities, as bits: 1 << CAP_*. */
#ifndef CKCTL_CAPS_H
#define CKCTL_CAPS_H

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>

#define CAPS_BIT(cap)	(1ULL << (cap))

struct caps {
	uint64_t effective, permitted, inheritable;
};

/* 0, or -1 and errno. */
int caps_get(struct caps *caps);
int caps_set(const struct caps *caps);

/* Is it effective? */
bool caps_have(int cap);
/* Give up all but @keep for good: 0, or -1 and errno. */
int caps_keep(uint64_t keep);

/*
 * What ckctl got from its file and not from its user ends here: nothing stays
 * unless that user is root.
 */
void caps_end_loan(void);

#endif
