/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The checkpoint of one step on this node, in a process of its own: it goes
 * where the step's processes live, which may be a pid namespace of theirs
 * (enter.h), and its end is the end of the checkpoint.  The agent speaks with it
 * as the coordinator does with the agent; the commands are
 *
 *	prepare		dir, max_wait_ms, alone
 *	freeze, snapshot, thaw
 *	save		-> tasks [[rank, localid, pid]…]
 *
 * Each answer may have notes as well, [<sentence>…].
 *
 * All int functions return enum ck_exit and have reported failures (out.h).
 */
#ifndef CKCTL_UNIT_H
#define CKCTL_UNIT_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#include "steps.h"
#include "talk.h"

struct unit {
	struct step step;
	pid_t pid;
	int to, from;
	struct talk_lines lines;
	struct talk_message message;
	json_t *answer;			/* to what it was asked last; NULL while it is at work */
};

int unit_start(struct unit *u, const struct step *step, const char *node);
/* Ask, and do not wait. */
int unit_ask(struct unit *u, const json_t *request);
/* Its descriptor can be read: take what comes. */
int unit_hear(struct unit *u);
/* What it holds runs on, what was not saved is gone: have it do that, do not wait. */
void unit_stop(struct unit *u);
/* The same, and wait. */
void unit_end(struct unit *u);

bool unit_is_batch(const struct unit *u);

#endif
