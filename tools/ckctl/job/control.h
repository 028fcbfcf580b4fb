/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What commands about a job, or a step, leave for others that come later: small
 * files beside what else is known of it (registry.h).  @name is "<job>" or
 * "<job>.<step>".
 */
#ifndef CKCTL_CONTROL_H
#define CKCTL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

/* Its checkpoints are disabled: a flag, which stays until it is taken away. */
struct control_flag {
	int64_t since;
	char by[64];			/* a user's name */
};

/* Returns enum ck_exit; that it is so already is fine. */
int control_disable(const char *cluster, const char *name, bool disable);
/* @flag may be NULL. */
bool control_disabled(const char *cluster, const char *name, struct control_flag *flag);

/* Why the last checkpoint failed; nothing after one that did not. */
struct control_failure {
	int64_t time;
	int code;			/* enum ck_exit */
	char sentence[1024];
};

/* That one has ended so.  Whether it can be written down is of no account. */
void control_ended(const char *cluster, const char *name, int code, const char *sentence);
bool control_failed(const char *cluster, const char *name, struct control_failure *failure);

/*
 * A checkpoint is under way from here to control_over(), which a process watches
 * that does nothing else: it is over as well when the caller dies, or the node.
 */
struct control_way {
	int fd;
	int pid;			/* of who watches; 0 for nobody */
};

struct control_way control_begin(const char *cluster, const char *name);
void control_over(struct control_way *way);
/* Since when? */
bool control_under_way(const char *cluster, const char *name, int64_t *since);
/* Forget one that is not, although nobody signed off. */
void control_sweep(const char *cluster, const char *name);

#endif
