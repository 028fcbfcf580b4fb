// SPDX-License-Identifier: GPL-2.0
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cgroup.h"
#include "out.h"
#include "policy.h"
#include "slurm.h"

#define MAX_WAIT_SECONDS	(365 * 86400ULL)

int target_max_wait(struct target *t, const char *seconds)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(seconds, &end, 10);
	if (seconds[0] < '0' || seconds[0] > '9' || *end || errno || !value ||
	    value > MAX_WAIT_SECONDS)
		return fail(CK_USAGE,
			    "MaxWait takes a number of seconds from 1 to %llu, not \"%s\"",
			    MAX_WAIT_SECONDS, seconds);
	t->max_wait_ms = value * 1000;
	return CK_OK;
}

/* The value behind "keyword=", whatever its case; NULL when @arg is none of it. */
static const char *value_of(const char *arg, const char *keyword)
{
	size_t len = strlen(keyword);

	return strncasecmp(arg, keyword, len) == 0 && arg[len] == '=' ? arg + len + 1 : NULL;
}

int target_operand(struct target *t, const char *arg)
{
	const char *value;

	value = value_of(arg, "ImageDir");
	if (value) {
		if (!*value)
			return fail(CK_USAGE, "ImageDir= needs a directory");
		t->image_dir = value;
		return CK_OK;
	}
	value = value_of(arg, "MaxWait");
	if (value)
		return target_max_wait(t, value);
	if (!t->name && !t->cgroup) {
		t->name = arg;
		return CK_OK;
	}
	if (strchr(arg, '='))
		return fail(CK_USAGE,
			    "\"%s\" is no keyword of this command; there are ImageDir=DIR and "
			    "MaxWait=SECONDS",
			    arg);
	return fail(CK_USAGE, "\"%s\" is one TARGET too many", arg);
}

/* A cgroup that somebody else made: its own name is the job's. */
static int made_up(const struct target *t, struct job *job)
{
	const char *name;
	int rc;

	memset(job, 0, sizeof(*job));
	job->keep = policy_keep();
	rc = cgroup_resolve(job->cgroup, sizeof(job->cgroup), t->cgroup);
	if (rc)
		return rc;
	name = t->id;
	if (!name) {
		name = strrchr(job->cgroup, '/') + 1;
		if (strncmp(name, "ckpt-", 5) == 0)
			name += 5;
	}
	rc = job_check_id(name);
	if (!rc)
		snprintf(job->id, sizeof(job->id), "%s", name);
	return rc;
}

bool target_slurm(const struct target *t, char *job, size_t job_size, char *step, size_t step_size)
{
	struct capture outer;
	struct job own;
	bool found;

	if (!t->name || t->cgroup || t->id || !slurm_split(t->name, job, job_size, step, step_size))
		return false;
	outer = fail_mute();
	found = job_find(t->name, &own) == CK_OK;
	fail_restore(outer);
	return !found;
}

int target_choose_dir(char *path, size_t size, const char *given, const char *job)
{
	char site[PATH_MAX];
	int rc = CK_OK;

	if (!given) {
		rc = policy_default_dir(site, sizeof(site), geteuid(), job);
		given = *site ? site : ".";
	}
	if (!rc)
		rc = policy_make_dir(given, job);
	return rc ? rc : target_image_dir(path, size, given);
}

/* For commands whose jobs are processes of this node. */
static int find_here(const struct target *t, struct job *job)
{
	char id[32], step[16];

	if (target_slurm(t, id, sizeof(id), step, sizeof(step)))
		return fail(CK_NOTFOUND, "no job of the name %s was started by \"ckctl run\" here; of a job "
			    "of Slurm, \"ckctl able %s\" tells whether its checkpoints are allowed, and "
			    "\"ckctl create %s\" what stands against one", t->name, t->name, t->name);
	return job_find(t->name, job);
}

int target_find(const struct target *t, struct job *job)
{
	int rc;

	if (t->name && t->cgroup)
		return fail(CK_USAGE, "give either a TARGET or --cgroup, not both");
	if (!t->name && !t->cgroup)
		return fail(CK_USAGE, "which job?  Give its name, or --cgroup=PATH");
	if (t->id && !t->cgroup)
		return fail(CK_USAGE, "--name goes with --cgroup; a TARGET has its name already");
	rc = t->cgroup ? made_up(t, job) : find_here(t, job);
	if (!rc && (t->image_dir || !job->image_dir[0]))
		rc = target_choose_dir(job->image_dir, sizeof(job->image_dir), t->image_dir, job->id);
	return rc;
}
