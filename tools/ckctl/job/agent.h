/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The agent of a job's checkpoint: what is done on one of the job's nodes.  It
 * runs in a step of the job, or beside one, and does what it is told on its
 * standard input until that ends; talk.h says how.  First it says
 *
 *	{"hello": <node>, "version": <of ckctl>}
 *
 * and then answers each command with {"ok": true, …}, or {"ok": false, "code":
 * <enum ck_exit>, "text": <a sentence>, "again": <it need not fail again>,
 * "obstacles": [<sentence>…]}.  What a user should know although all is well comes
 * with {"ok": true}, as "notes": [<sentence>…].  wire.h has the signs of life of both sides.
 *
 *	prepare	job, dir (of the new generation), steps ([<step>…] or null for all),
 *		max_wait_ms, batch (bool: have a batch step, and save its environment)
 *		-> steps [<step>…]
 *	freeze	batch (bool: that step, or all others) -> connections (drain.h)
 *	drain	batch (bool: from srun on, or up to it), connections, wait_ms -> drained
 *	snapshot
 *		-> pages (how many there are to be saved)
 *	thaw
 *	save	-> parts [{step, tasks [[rank, localid, pid]…]}…]: <dir>/<step>/<node>.ckpt
 *	abort
 *
 * Whatever else comes while it is at work, above all the end of its input or a
 * long silence, is an abort; so are its own end and any failure: all processes
 * run on.
 */
#ifndef CKCTL_AGENT_H
#define CKCTL_AGENT_H

/* Serve @in and @out until @in ends: enum ck_exit. */
int agent_run(const char *node, int in, int out);

#endif
