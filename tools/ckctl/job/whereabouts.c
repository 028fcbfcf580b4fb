// SPDX-License-Identifier: GPL-2.0
#include "whereabouts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/jobimage.h"
#include "out.h"
#include "slurm.h"
#include "steps.h"
#include "tasks.h"

void whereabouts_note(struct whereabouts *w)
{
	const char *node = getenv("SLURMD_NODENAME"), *job = getenv("SLURM_JOB_ID");
	const char *cluster = getenv("SLURM_CLUSTER_NAME");

	snprintf(w->job, sizeof(w->job), "%s", job ? job : "");
	snprintf(w->cluster, sizeof(w->cluster), "%s", cluster ? cluster : "");
	if (node)
		snprintf(w->node, sizeof(w->node), "%s", node);
	else if (gethostname(w->node, sizeof(w->node)) < 0)
		w->node[0] = '\0';
	w->node[sizeof(w->node) - 1] = '\0';
	if (!node)
		w->node[strcspn(w->node, ".")] = '\0';
	slurm_clean_environment();
}

static bool has(const json_t *nodes, const char *name)
{
	const json_t *node;
	size_t i;

	json_array_foreach(nodes, i, node)
		if (strcmp(json_string_value(node), name) == 0)
			return true;
	return false;
}

int whereabouts_find(const struct whereabouts *w, const char *id, const char *step, bool batch,
		     const json_t *nodes, char *here)
{
	struct capture outer = fail_captured();
	struct steps_place place;
	char ignored[8];
	bool inside;

	*here = '\0';
	fail_capture(ignored, sizeof(ignored));
	inside = steps_here(&place) == CK_OK &&
		 strcmp(*place.job_id ? place.job_id : w->job, id) == 0;
	fail_restore(outer);
	if (!inside)
		return CK_OK;
	if (!place.user) {
		/* With a /tmp of the job's own, say, only a step of it is where they are. */
		if (has(nodes, w->node) && !tasks_are_apart(&place))
			strcpy(here, w->node);
		return CK_OK;
	}
	/* An interactive shell, or who was let in by ssh, is in a step that is not saved. */
	if (!job_step_good(place.step))
		return CK_OK;
	if (strcmp(place.step, "batch") == 0 ? batch : !*step || strcmp(place.step, step) == 0)
		return fail(CK_REFUSED, "this ckctl is a process of what it is to stop, step %s of job "
			    "%s; run it outside of the job", place.step, id);
	return CK_OK;
}
