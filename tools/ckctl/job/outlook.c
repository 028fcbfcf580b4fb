// SPDX-License-Identifier: GPL-2.0
#include "outlook.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"
#include "interval.h"
#include "out.h"
#include "slurm.h"

/* With preempt/qos the time of grace is the QOS's, which only the accounting database tells. */
#define QOS_POLL_S	10
#define QOS_GRACE_S	60

/* The record of the job and, of a step, that of the step; NULL where there is no answer. */
static json_t *ask(const struct outlook_source *s, json_t **step)
{
	struct capture outer;
	const char *format = getenv("SLURM_TIME_FORMAT");
	char *former = format ? strdup(format) : NULL;
	json_t *job = NULL, *steps = NULL;

	/* Times are seconds since the epoch, whatever people like to see. */
	setenv("SLURM_TIME_FORMAT", "%s", 1);
	outer = fail_mute();
	slurm_job(s->stop, s->job, &job);
	if (s->step && slurm_steps(s->stop, s->step, &steps) == CK_OK)
		*step = json_incref(json_array_get(steps, 0));
	fail_restore(outer);
	json_decref(steps);
	if (former)
		setenv("SLURM_TIME_FORMAT", former, 1);
	else
		unsetenv("SLURM_TIME_FORMAT");
	free(former);
	return job;
}

static int64_t seconds_of(const json_t *record, const char *key)
{
	const char *value = slurm_field(record, key);

	return value ? strtoll(value, NULL, 10) : 0;
}

/* Its tasks have been told to end, in this run of it. */
static bool is_preempted(const json_t *job)
{
	int64_t when = seconds_of(job, "PreemptTime");

	return when > 0 && when >= seconds_of(job, "StartTime");
}

/* A step may have a limit of its own; 0 for never. */
static int64_t end_of(const struct outlook_source *s, const json_t *job, const json_t *step)
{
	struct capture outer;
	const char *limit = slurm_field(step, "TimeLimit");
	int64_t end = seconds_of(job, "EndTime"), own = 0;
	uint64_t seconds;

	outer = fail_mute();
	if (limit && interval_parse(limit, &seconds) == CK_OK && seconds_of(step, "StartTime") > 0)
		own = seconds_of(step, "StartTime") + (int64_t)seconds;
	fail_restore(outer);
	/* Where it has no limit, Slurm does not tell the end that this gave it. */
	if (end <= 0 && is_preempted(job))
		end = seconds_of(job, "PreemptTime") + (int64_t)s->grace_s;
	if (own > 0 && (own < end || end <= 0))
		end = own;
	return end > 0 ? end : 0;
}

static char *run(const struct outlook_source *s, const char *const argv[])
{
	struct capture outer;
	char *out = NULL;
	int rc;

	outer = fail_mute();
	rc = slurm_run(s->stop, argv, &out, NULL);
	fail_restore(outer);
	if (!rc)
		return out;
	free(out);
	return NULL;
}

/* How long a job of that partition has when it is preempted; false without an answer. */
static bool ask_partition(struct outlook_source *s, const char *partition)
{
	const char *const argv[] = { "scontrol", "-o", "show", "partition", partition, NULL };
	char *out = run(s, argv);
	json_t *list = out ? slurm_parse(out) : NULL;
	const char *grace = slurm_field(json_array_get(list, 0), "GraceTime");
	bool answered = list != NULL;

	s->grace_s = grace ? strtoull(grace, NULL, 10) : 0;
	s->poll_s = s->grace_s && s->grace_s < 15 ? 5 : s->grace_s / 3;
	json_decref(list);
	free(out);
	return answered;
}

/*
 * A preempted job is told by SIGTERM to its tasks, and its end moves: that is
 * what can be seen from here.  Only where there is any time of grace is it worth
 * to ask again and again, and then three times in it.
 */
static void learn_grace(struct outlook_source *s, const json_t *job)
{
	const char *const argv[] = { "scontrol", "show", "config", NULL };
	const char *partition = slurm_field(job, "Partition");
	char *config = run(s, argv), type[64] = "";

	if (config)
		slurm_setting(config, "PreemptType", type, sizeof(type));
	s->grace_known = config;
	if (strcmp(type, "preempt/qos") == 0) {
		s->grace_s = QOS_GRACE_S;
		s->poll_s = QOS_POLL_S;
	} else if (partition) {
		s->grace_known = ask_partition(s, partition) && config;
	}
	s->poll_s = conf_number("preempt_poll", s->poll_s);
	free(config);
}

bool outlook_ask(struct outlook_source *s, struct outlook *o)
{
	json_t *step = NULL, *job = ask(s, &step);
	const char *state;

	*o = (struct outlook){ .end = 0 };
	if (!job)
		return false;
	if (!s->grace_known)
		learn_grace(s, job);
	state = slurm_field(job, "JobState");
	o->resting = state && strcmp(state, "RUNNING") != 0;
	o->started = seconds_of(job, "StartTime");
	o->end = end_of(s, job, step);
	o->preempted = is_preempted(job);
	json_decref(job);
	json_decref(step);
	return true;
}
