/* SPDX-License-Identifier: GPL-2.0 */
/* Where ckctl itself is, when that is in a job of Slurm. */
#ifndef CKCTL_WHEREABOUTS_H
#define CKCTL_WHEREABOUTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct whereabouts {
	char job[32], node[244], cluster[256];	/* by our environment; "" where it does not say */
};

/* Slurm's variables tell it, and they are taken away, as they would be options of its commands. */
void whereabouts_note(struct whereabouts *w);
/*
 * Inside of the job, beside its tasks, no step is needed to serve this node, which is
 * *@here then, else "": an array of sizeof(w->node).  Among the tasks that are to be
 * saved, those of step @step or, for "", all, we would freeze ourselves: that is
 * refused.  Returns enum ck_exit.
 */
int whereabouts_find(const struct whereabouts *w, const char *id, const char *step,
		     const json_t *nodes, char *here);
/*
 * Are we among the tasks of @job, a number or "5_3", or of its step @step?  Then
 * @cgroup is the one of all of them.  Asked before whereabouts_note().
 */
bool whereabouts_among(const char *job, const char *step, char *cgroup, size_t size);

#endif
