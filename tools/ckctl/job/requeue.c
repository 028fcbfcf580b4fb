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

static int await_pending(const struct deadline *d, const char *id)
{
	int64_t until = deadline_now_ms() + PATIENCE_MS;
	bool pending = false;
	int rc = CK_OK, ready;

	while (!rc && !pending) {
		rc = is_pending(d, id, &pending);
		if (!rc && !pending && deadline_now_ms() >= until)
			rc = fail(CK_TIMEOUT, "job %s has been requeued, but does not come to its end",
				  id);
		/* Slurm tells nobody when it is. */
		if (!rc && !pending)
			rc = deadline_poll(d, NULL, 0, LOOK_AGAIN_MS, &ready);
	}
	return rc;
}

static int update(const struct deadline *d, const char *id, const char *change)
{
	char field[48], *out = NULL;
	const char *const argv[] = { "scontrol", "update", field, change, NULL };
	int rc;

	snprintf(field, sizeof(field), "jobid=%s", id);
	rc = slurm_run(d, argv, &out, NULL);
	free(out);
	return rc;
}

/* On other nodes than it must not begin: then better not at all. */
static int pin(const struct deadline *d, const char *id, const char *nodes)
{
	const char *const hold[] = { "scontrol", "hold", id, NULL };
	char *change, *out = NULL, sentence[1024];
	struct capture outer;
	int rc;

	if (asprintf(&change, "ReqNodeList=%s", nodes) < 0)
		return fail(CK_FAILED, "out of memory");
	outer = fail_capture(sentence, sizeof(sentence));
	rc = update(d, id, change);
	fail_mute();
	if (rc && *nodes)
		slurm_run(d, hold, &out, NULL);
	fail_restore(outer);
	free(change);
	free(out);
	/* Where it had none to choose from, there was nothing to take back. */
	return rc && *nodes ? fail(rc, "job %s is held, as it cannot be kept to %s: %s", id, nodes,
				   sentence) : CK_OK;
}

int requeue_hasten(const struct deadline *d, const char *id, const char *nodes)
{
	struct capture outer;
	char sentence[1024];
	int rc;

	outer = fail_capture(sentence, sizeof(sentence));
	rc = await_pending(d, id);
	fail_restore(outer);
	if (rc && nodes && *nodes)
		return fail(rc, "%s", sentence);
	if (rc) {
		note("job %s begins again all the same, but Slurm has it wait for up to two minutes", id);
		return CK_OK;
	}
	rc = nodes ? pin(d, id, nodes) : CK_OK;
	if (rc)
		return rc;
	/*
	 * Slurm itself would have it wait for two minutes, until its old credential is
	 * worth nothing any more; for a job that is gone from its nodes there is no need.
	 */
	outer = fail_mute();
	update(d, id, "StartTime=now");
	fail_restore(outer);
	return CK_OK;
}

int requeue_release(const struct deadline *d, const char *id)
{
	const char *const argv[] = { "scontrol", "release", id, NULL };
	char *out = NULL;
	int rc = slurm_run(d, argv, &out, NULL);

	free(out);
	return rc;
}

int requeue(const struct deadline *d, const char *id, const char *nodes)
{
	const char *const argv[] = { "scontrol", "requeue", id, NULL };
	char *out;
	int rc = slurm_run(d, argv, &out, NULL);

	if (rc)
		return rc;
	free(out);
	return requeue_hasten(d, id, nodes);
}
