/* SPDX-License-Identifier: GPL-2.0 */
/* A node of Slurm's, for who must have that very one. */
#ifndef CKCTL_NODE_H
#define CKCTL_NODE_H

struct deadline;

/* Can it take jobs of that partition, now or when those that it has are over?
 * Returns enum ck_exit; @partition may be NULL. */
int node_check(const struct deadline *d, const char *name, const char *partition);
/* The same, by what "scontrol -o show node" has printed. */
int node_judge(const char *printed, const char *name, const char *partition);

#endif
