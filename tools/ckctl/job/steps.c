// SPDX-License-Identifier: GPL-2.0
#include "steps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "image/jobimage.h"
#include "out.h"
#include "state/proc.h"

/* ---- where ---- */

/* Copy up to the next '/', as much as fits; what comes after it. */
static const char *component(char *to, size_t size, const char *from)
{
	size_t len = strcspn(from, "/");

	snprintf(to, size, "%.*s", (int)len, from);
	return from[len] ? from + len + 1 : from + len;
}

bool steps_parse(const char *cgroup, struct steps_place *place)
{
	const char *at = cgroup, *step, *job;
	char name[NAME_MAX + 1];

	memset(place, 0, sizeof(*place));
	/* A job may have made cgroups of any name below; the first one is Slurm's. */
	step = strstr(at, "/step_");
	if (!step || step == at || (size_t)(step - at) >= sizeof(place->job))
		return false;
	memcpy(place->job, at, (size_t)(step - at));
	job = strrchr(place->job, '/');
	/* Slurm 26.05 names the directory of a job after something else. */
	if (job && strncmp(job, "/job_", 5) == 0)
		snprintf(place->job_id, sizeof(place->job_id), "%.31s", job + 5);
	at = component(name, sizeof(name), step + 1);
	snprintf(place->step, sizeof(place->step), "%.31s", name + 5);
	component(name, sizeof(name), at);
	place->user = strcmp(name, "user") == 0;
	return true;
}

int steps_here(struct steps_place *place)
{
	char own[PATH_MAX];
	int rc = cgroup_own(own, sizeof(own));

	if (!rc && !steps_parse(own, place))
		rc = fail(CK_NOTFOUND, "this process is in no step of a job of Slurm: its cgroup is %s; "
			  "checkpoints of jobs need ProctrackType=proctrack/cgroup in slurm.conf", own);
	return rc;
}

/* ---- which ---- */

/* "…/ckctl job-agent": who works for a checkpoint is not part of one. */
static bool is_agent(pid_t pid)
{
	char text[4096], *second;
	ssize_t n = proc_read(pid, "cmdline", text, sizeof(text));

	if (n <= 0)
		return false;
	second = text + strlen(text) + 1;
	return second < text + n && strcmp(second, "job-agent") == 0;
}

/* There are processes, and they are the job's. */
static int is_wanted(const struct step *step, bool *wanted)
{
	pid_t *pids = NULL;
	size_t nr = 0, i;
	int fd, rc;

	*wanted = false;
	/* Gone since it was listed. */
	fd = open(step->user, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return CK_OK;
	rc = cgroup_pids(fd, &pids, &nr);
	close(fd);
	*wanted = nr > 0;
	for (i = 0; i < nr; i++)
		if (is_agent(pids[i]))
			*wanted = false;
	free(pids);
	return rc;
}

static int add(struct step **steps, size_t *nr, const struct step *step)
{
	struct step *more = realloc(*steps, (*nr + 1) * sizeof(*more));

	if (!more)
		return fail(CK_FAILED, "out of memory");
	*steps = more;
	more[(*nr)++] = *step;
	return CK_OK;
}

int steps_list(const struct steps_place *place, struct step **steps, size_t *nr)
{
	DIR *dir = opendir(place->job);
	struct dirent *e;
	struct step step;
	bool wanted;
	int rc = CK_OK;

	*steps = NULL;
	*nr = 0;
	if (!dir)
		return fail_errno(errno, "cannot list the cgroup %s", place->job);
	while (!rc && (e = readdir(dir))) {
		if (strncmp(e->d_name, "step_", 5) != 0 || !job_step_good(e->d_name + 5))
			continue;
		snprintf(step.name, sizeof(step.name), "%.15s", e->d_name + 5);
		if ((size_t)snprintf(step.user, sizeof(step.user), "%s/%s/user", place->job,
				     e->d_name) >= sizeof(step.user))
			rc = fail(CK_FAILED, "the path of the cgroup %s is too long", place->job);
		snprintf(step.slurm, sizeof(step.slurm), "%.4000s/%.64s/slurm", place->job, e->d_name);
		if (!rc)
			rc = is_wanted(&step, &wanted);
		if (!rc && wanted)
			rc = add(steps, nr, &step);
	}
	closedir(dir);
	if (rc) {
		free(*steps);
		*steps = NULL;
		*nr = 0;
	}
	return rc;
}
