// SPDX-License-Identifier: GPL-2.0
#include "whereabouts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"
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

/* An interactive shell, or who was let in by ssh, is in a step that is not saved. */
static bool is_among(const struct steps_place *place, const char *step)
{
	return place->user && job_step_good(place->step) && (!*step || strcmp(place->step, step) == 0);
}

int whereabouts_find(const struct whereabouts *w, const char *id, const char *step,
		     const json_t *nodes, char *here)
{
	struct capture outer;
	struct steps_place place;
	bool inside;

	*here = '\0';
	outer = fail_mute();
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
	if (is_among(&place, step))
		return fail(CK_REFUSED, "this ckctl is a process of what it is to stop, step %s of job "
			    "%s; run it outside of the job, or \"ckctl create self\" in it", place.step,
			    id);
	return CK_OK;
}

/* "5_3" is another name of a number, which only Slurm knows: a variable may be another job's. */
static bool is_number_of(const char *id, const char *job)
{
	struct deadline d;
	char number[32];
	uid_t uid;

	if (!strchr(job, '_'))
		return strcmp(id, job) == 0;
	deadline_begin(&d, "create", 0, -1);
	return slurm_owner(&d, job, &uid, number, sizeof(number)) == CK_OK && strcmp(id, number) == 0;
}

bool whereabouts_among(const char *job, const char *step, char *cgroup, size_t size)
{
	struct capture outer;
	const char *id = getenv("SLURM_JOB_ID");
	struct steps_place place;
	bool among;

	outer = fail_mute();
	among = steps_here(&place) == CK_OK && is_among(&place, step) &&
		is_number_of(*place.job_id ? place.job_id : id ? id : "", job);
	fail_restore(outer);
	if (!among)
		return false;
	return (size_t)snprintf(cgroup, size, *step ? "%s/step_%s" : "%s", place.job, step) < size;
}
