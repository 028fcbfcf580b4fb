/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A program asks for a checkpoint of its own job at a point where that is good,
 * and learns when it comes back whether it goes on or was just restarted:
 *
 *	#include <ckpt_self.h>			// cc … -lckpt_self
 *
 *	switch (ckpt_self_create()) {
 *	case CKPT_SELF_MADE:			// there is an image now; all goes on
 *		break;
 *	case CKPT_SELF_RESTARTED:		// this is the image: open connections anew, say
 *		break;
 *	default:				// nothing was made; all goes on
 *		fprintf(stderr, "no checkpoint: %s\n", ckpt_self_error());
 *	}
 *
 * In Python:
 *
 *	import ctypes
 *	ckpt = ctypes.CDLL("libckpt_self.so")
 *	ckpt.ckpt_self_error.restype = ctypes.c_char_p
 *	result = ckpt.ckpt_self_create()	# 0: made, 1: restarted, -1: failed
 *	if result < 0:
 *		print("no checkpoint:", ckpt.ckpt_self_error().decode())
 *
 * The whole job is saved, with all of its processes.  Of a parallel program one
 * process should ask, while the others wait for it.  The caller waits for a child
 * of its own meanwhile, "ckctl create self": a SIGCHLD may come of that.
 */
#ifndef CKPT_SELF_H
#define CKPT_SELF_H

#ifdef __cplusplus
extern "C" {
#endif

enum {
	CKPT_SELF_FAILED = -1,
	CKPT_SELF_MADE = 0,
	CKPT_SELF_RESTARTED = 1,
};

/* 1 when there is somebody to make it: the job runs under "ckctl run", or under
 * Slurm with --checkpoint or --checkpoint-dir, and this is the first of its nodes,
 * or in a step of srun_cr; else 0. */
int ckpt_self_possible(void);
/* Have one made, and wait for it. */
int ckpt_self_create(void);
/* Why the last call of this thread failed: a sentence, "" for nothing. */
const char *ckpt_self_error(void);

#ifdef __cplusplus
}
#endif

#endif
