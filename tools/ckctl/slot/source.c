// SPDX-License-Identifier: GPL-2.0
#include "source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "image/dir.h"
#include "job/slurm.h"
#include "out.h"

/* After that many seconds, all tasks of a step have begun. */
#define ALL_BEGIN_S	10

/* ---- which image ---- */

static bool is_image(const char *path)
{
	char manifest[PATH_MAX + 32];

	snprintf(manifest, sizeof(manifest), "%s/" DIR_MANIFEST, path);
	return access(manifest, F_OK) == 0;
}

static int open_job(struct source *s)
{
	int rc = job_image_open(&s->job, s->path);

	if (!rc && s->job->owner != geteuid())
		rc = fail(CK_PERM, "%s belongs to user %u", s->path, s->job->owner);
	return rc;
}

int source_open_batch(struct source *s, const char *path)
{
	memset(s, 0, sizeof(*s));
	if (strlen(path) >= sizeof(s->path))
		return fail(CK_FAILED, "the path of the image is too long");
	strcpy(s->path, path);
	strcpy(s->step, "batch");
	return open_job(s);
}

/* "<job image>/gen-<n>/<step>": its first part with "@<n>", and its last. */
static bool split_generation(struct source *s, const char *path)
{
	char copy[PATH_MAX], *step, *gen;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy))
		return false;
	step = strrchr(copy, '/');
	if (!step || step == copy || step[1] < '0' || step[1] > '9' || !job_step_good(step + 1) ||
	    strlen(step + 1) >= sizeof(s->step))
		return false;
	*step++ = '\0';
	gen = strrchr(copy, '/');
	if (!gen || gen == copy || !dir_generation_number(gen + 1))
		return false;
	*gen++ = '\0';
	if (!is_image(copy))
		return false;
	strcpy(s->step, step);
	return (size_t)snprintf(s->path, sizeof(s->path), "%s@%u", copy, dir_generation_number(gen)) <
	       sizeof(s->path);
}

/* "17.0" of "17.0.ckpt". */
static bool is_step_image(const char *name)
{
	char id[64], job[32], step[16];
	size_t len = strlen(name);

	if (len <= 5 || len - 5 >= sizeof(id) || strcmp(name + len - 5, ".ckpt") != 0)
		return false;
	snprintf(id, sizeof(id), "%.*s", (int)len - 5, name);
	return slurm_split(id, job, sizeof(job), step, sizeof(step)) && *step;
}

/* The one image of a step in a directory. */
static int search(struct source *s, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	size_t nr = 0;

	if (!dir)
		return fail_errno(errno, "cannot look for an image in %s", path);
	while ((e = readdir(dir)))
		if (is_step_image(e->d_name) && nr++ == 0 &&
		    (size_t)snprintf(s->path, sizeof(s->path), "%s/%s", path, e->d_name) >=
			    sizeof(s->path))
			nr = SIZE_MAX / 2;
	closedir(dir);
	if (nr == 1)
		return CK_OK;
	return nr ? fail(CK_USAGE, "%s has the images of several steps; name the one that is meant",
			 path) :
		    fail(CK_NOTFOUND, "there is no image of a step in %s", path);
}

/* Of an image that was named as a whole, its only step. */
static int only_step(struct source *s)
{
	const struct job_part *part = NULL;
	size_t i;

	for (i = 0; i < s->job->nr_parts; i++) {
		const struct job_part *p = &s->job->parts[i];

		if (strcmp(p->step, "batch") == 0)
			continue;
		if (part && strcmp(part->step, p->step) != 0)
			return fail(CK_USAGE, "%s has several steps; name one of them: %s/<step>",
				    s->path, s->job->gen_path);
		part = p;
	}
	if (!part)
		return fail(CK_NOTFOUND, "%s has no step", s->path);
	strcpy(s->step, part->step);
	return CK_OK;
}

int source_open_step(struct source *s, const char *path)
{
	int rc = CK_OK;

	memset(s, 0, sizeof(*s));
	if (split_generation(s, path))
		return open_job(s);
	if (!is_image(path))
		rc = search(s, path);
	else if ((size_t)snprintf(s->path, sizeof(s->path), "%s", path) >= sizeof(s->path))
		rc = fail(CK_FAILED, "the path of the image is too long");
	if (!rc)
		rc = open_job(s);
	return rc ? rc : only_step(s);
}

/* ---- which part ---- */

static const struct job_task *task_of(const struct job_part *part, uint32_t rank)
{
	size_t i;

	for (i = 0; i < part->nr_tasks; i++)
		if (part->tasks[i].rank == rank)
			return &part->tasks[i];
	return NULL;
}

static const json_t *record_of(const struct source *s)
{
	const json_t *steps = json_object_get(s->job->record, "steps"), *step;
	const char *id, *dot;
	size_t i;

	json_array_foreach(steps, i, step) {
		id = slurm_field(step, "StepId");
		dot = id ? strrchr(id, '.') : NULL;
		if (dot && strcmp(dot + 1, s->step) == 0)
			return step;
	}
	return NULL;
}

uint32_t source_tasks(const struct source *s)
{
	const char *tasks = slurm_field(record_of(s), "Tasks");

	return tasks ? (uint32_t)strtoul(tasks, NULL, 10) : 0;
}

/* A task that is not there may have ended, or not have begun: not all nodes are equally quick. */
static bool had_begun(const struct source *s)
{
	const char *start = slurm_field(record_of(s), "StartTime");
	struct tm tm = { .tm_isdst = -1 };

	return start && strptime(start, "%Y-%m-%dT%H:%M:%S", &tm) &&
	       s->job->meta.time - (int64_t)mktime(&tm) >= ALL_BEGIN_S;
}

/* How that task had ended, as its node told; -1 when it did not. */
static int exit_of(const struct source *s, uint32_t rank)
{
	const json_t *exits = json_object_get(s->job->record, "exits"), *item;
	const char *step;
	size_t i;

	json_array_foreach(exits, i, item) {
		step = json_string_value(json_object_get(item, "step"));
		if (step && strcmp(step, s->step) == 0 &&
		    json_integer_value(json_object_get(item, "rank")) == rank)
			return (int)(json_integer_value(json_object_get(item, "status")) & 0xffff);
	}
	return -1;
}

int source_find(struct source *s, uint32_t rank, int *ended)
{
	size_t i;

	*ended = -1;
	s->part = NULL;
	for (i = 0; i < s->job->nr_parts && !s->part; i++)
		if (strcmp(s->job->parts[i].step, s->step) == 0 && task_of(&s->job->parts[i], rank))
			s->part = &s->job->parts[i];
	if (!s->part && rank < source_tasks(s))
		*ended = exit_of(s, rank);
	if (!s->part && *ended < 0 && rank < source_tasks(s) && had_begun(s))
		*ended = 0;
	if (s->part || *ended >= 0)
		return CK_OK;
	if (rank < source_tasks(s))
		return fail(CK_NOTFOUND, "step %s was only just beginning, and that task is not in it",
			    s->step);
	return fail(CK_NOTFOUND, "there was no such task of step %s", s->step);
}

int source_image(const struct source *s, uint32_t rank, struct image **image)
{
	pid_t *roots = calloc(s->part->nr_tasks + 1, sizeof(*roots));
	size_t i, at = 0;
	int rc = roots ? job_image_part(s->job, s->part, image) : fail(CK_FAILED, "out of memory");

	for (i = 0; i < s->part->nr_tasks && roots; i++) {
		roots[i] = s->part->tasks[i].pid;
		if (s->part->tasks[i].rank == rank)
			at = i;
	}
	if (!rc) {
		rc = image_select(*image, roots, s->part->nr_tasks, at);
		if (rc)
			image_close(*image);
	}
	free(roots);
	return rc;
}

bool source_replaced(const struct source *s)
{
	return s->job && job_image_replaced(s->job);
}

void source_close(struct source *s)
{
	job_image_close(s->job);
	memset(s, 0, sizeof(*s));
}
