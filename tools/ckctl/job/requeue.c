// SPDX-License-Identifier: GPL-2.0
#include "requeue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deadline.h"
#include "out.h"
#include "slurm.h"

#define PATIENCE_MS	60000
#define LOOK_AGAIN_MS	500

int requeue_check(const char *id, const json_t *job)
{
	const char *again = slurm_field(job, "Requeue"), *batch = slurm_field(job, "BatchFlag");

	if (!batch || strcmp(batch, "0") == 0)
		return fail(CK_REFUSED, "job %s has no batch script, with which it could begin again", id);
	if (again && strcmp(again, "0") == 0)
		return fail(CK_REFUSED, "job %s may not be requeued; \"scontrol update jobid=%s Requeue=1\" "
			    "allows it", id, id);
	return CK_OK;
}

/* Is it at an end, and waits? */
static int is_pending(const struct deadline *d, const char *id, bool *pending)
{
	json_t *job;
	const char *state;
	int rc = slurm_job(d, id, &job);

	state = rc ? NULL : slurm_field(job, "JobState");
	*pending = state && strcmp(state, "PENDING") == 0;
	json_decref(job);
	return rc;
}

/* Slurm itself would have it wait for two minutes, until its old credential is worth
 * nothing any more; for a job that is gone from its nodes there is no need to. */
static void hasten(const struct deadline *d, const char *id)
{
	int64_t until = deadline_now_ms() + PATIENCE_MS;
	char *out, field[48];
	const char *const argv[] = { "scontrol", "update", field, "StartTime=now", NULL };
	bool pending = false;
	int rc = CK_OK, ready;

	snprintf(field, sizeof(field), "jobid=%s", id);
	while (!rc && !pending && deadline_now_ms() < until) {
		rc = is_pending(d, id, &pending);
		/* Slurm tells nobody when it is. */
		if (!rc && !pending)
			rc = deadline_poll(d, NULL, 0, LOOK_AGAIN_MS, &ready);
	}
	if (pending && slurm_run(d, argv, &out, NULL) == CK_OK)
		free(out);
}

int requeue(const struct deadline *d, const char *id)
{
	const char *const argv[] = { "scontrol", "requeue", id, NULL };
	struct capture outer = fail_captured();
	char *out, ignored[8];
	int rc = slurm_run(d, argv, &out, NULL);

	if (rc)
		return rc;
	free(out);
	fail_capture(ignored, sizeof(ignored));
	hasten(d, id);
	fail_restore(outer);
	return CK_OK;
}
