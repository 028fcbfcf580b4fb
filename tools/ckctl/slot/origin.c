// SPDX-License-Identifier: GPL-2.0
#include "origin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../slurm/task_name.h"
#include "image/dir.h"
#include "job/deadline.h"
#include "job/registry.h"
#include "job/slurm.h"
#include "job/steps.h"
#include "out.h"

/* Slurm itself has no longer time for a message. */
#define ASK_MS	60000

/* ---- who ---- */

static int number(const char *name, uint32_t *to)
{
	const char *text = getenv(name);
	unsigned long value;
	char *end;

	errno = 0;
	value = text ? strtoul(text, &end, 10) : 0;
	if (!text || *text < '0' || *text > '9' || *end || errno || value > UINT32_MAX)
		return fail(CK_FAILED, "this is no task of Slurm's: %s is \"%s\"", name, text ? text : "");
	*to = (uint32_t)value;
	return CK_OK;
}

static void find_names(struct origin *o, const struct steps_place *place)
{
	const char *node = getenv("SLURMD_NODENAME");
	struct deadline d;

	o->batch = strcmp(place->step, "batch") == 0;
	if (o->batch) {
		snprintf(o->name, sizeof(o->name), "%s", o->job);
		snprintf(o->title, sizeof(o->title), "job %s", o->job);
	} else {
		snprintf(o->name, sizeof(o->name), "%s.%s", o->job, place->step);
		snprintf(o->title, sizeof(o->title), "task %u of step %s", o->rank, o->name);
	}
	snprintf(o->mark, sizeof(o->mark), "%s.%s.%u", o->job, place->step, o->rank);
	if (node)
		snprintf(o->node, sizeof(o->node), "%s", node);
	else
		gethostname(o->node, sizeof(o->node) - 1);
	deadline_begin(&d, o->title, ASK_MS, -1);
	slurm_own_cluster(&d, o->cluster, sizeof(o->cluster));
}

/* ---- which ---- */

static bool is_there(const char *image)
{
	char manifest[PATH_MAX + 32];

	snprintf(manifest, sizeof(manifest), "%s/" DIR_MANIFEST, image);
	return *image && access(manifest, F_OK) == 0;
}

static void choose(struct origin *o, const char *image)
{
	const char *submitted = getenv(TASK_ENV_SUBMITTED), *chosen = "";
	struct registry_entry entry;

	o->own = true;
	registry_read(o->cluster, o->job, &entry);
	o->expected = *entry.image_dir;
	if (*entry.restart_from) {
		chosen = entry.restart_from;
	} else if (is_there(entry.image)) {
		chosen = entry.image;
	} else if (is_there(image)) {
		chosen = image;
	} else if (submitted && *submitted) {
		chosen = submitted;
		o->own = false;
	} else {
		/* There was one. */
		chosen = entry.image;
	}
	snprintf(o->image, sizeof(o->image), "%s", chosen);
}

int origin_find(struct origin *o, const char *image, const char *program)
{
	const char *job = getenv("SLURM_JOB_ID");
	struct steps_place place;
	int rc;

	memset(o, 0, sizeof(*o));
	snprintf(o->image, sizeof(o->image), "%s", image);
	strcpy(o->title, "this task");
	rc = number("SLURM_PROCID", &o->rank);
	if (!rc)
		rc = steps_here(&place);
	if (rc)
		return rc;
	snprintf(o->job, sizeof(o->job), "%s", *place.job_id ? place.job_id : job ? job : "");
	if (!*o->job)
		return fail(CK_FAILED, "this is no task of Slurm's: SLURM_JOB_ID is not set");
	find_names(o, &place);
	o->script = program;
	if (o->batch)
		choose(o, image);
	return CK_OK;
}

/* ---- is it? ---- */

/* Numbers of jobs come again when a cluster is set up anew; the script does not. */
static int check_script(const struct origin *o, const struct source *s)
{
	int fd = open(o->script, O_RDONLY | O_CLOEXEC), rc = CK_OK;
	size_t len = s->job->script_len;
	char *text = malloc(len + 1);
	struct stat st;

	if (fd < 0 || !text || fstat(fd, &st) < 0)
		rc = fail_errno(errno, "cannot read %s", o->script);
	else if ((size_t)st.st_size != len || read(fd, text, len) != (ssize_t)len ||
		 memcmp(text, s->job->script, len) != 0)
		rc = fail(CK_REFUSED, "it was made of a job with another script");
	if (fd >= 0)
		close(fd);
	free(text);
	return rc;
}

static const char *record(const struct source *s, const char *key)
{
	const char *value = json_string_value(json_object_get(s->job->record, key));

	return value ? value : "";
}

static int check_job(const struct origin *o, const struct source *s)
{
	if (!s->job->script)
		return fail(CK_REFUSED, "it is not the image of a batch job");
	if (o->own && (strcmp(record(s, "job_id"), o->job) != 0 ||
		       (*o->cluster && strcmp(record(s, "cluster"), o->cluster) != 0)))
		return fail(CK_REFUSED, "it is the image of job %s of cluster %s", record(s, "job_id"),
			    record(s, "cluster"));
	return check_script(o, s);
}

/*
 * The script comes first, and its steps, which it starts later, must then go on as
 * well: where one of them could not, nothing does.  What is in their memory is
 * proved by each of them.
 */
static int check_steps(const struct source *s)
{
	struct image *image;
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < s->job->nr_parts && !rc; i++) {
		rc = job_image_part(s->job, &s->job->parts[i], &image);
		if (!rc)
			image_close(image);
	}
	return rc;
}

int origin_open(const struct origin *o, struct source *s)
{
	int rc = o->batch ? source_open_batch(s, o->image) : source_open_step(s, o->image);

	if (!rc && o->batch)
		rc = check_job(o, s);
	return rc || !o->batch ? rc : check_steps(s);
}
