// SPDX-License-Identifier: GPL-2.0
/* What the manifest of a job's image says of a generation: its texts and its parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dir.h"
#include "manifest_json.h"

/* ---- names and order ---- */

static bool is_number(const char *text)
{
	char again[16];

	snprintf(again, sizeof(again), "%lu", strtoul(text, NULL, 10) & UINT32_MAX);
	return strcmp(again, text) == 0;
}

bool job_step_good(const char *step)
{
	return strcmp(step, "batch") == 0 || is_number(step);
}

int job_part_compare(const struct job_part *a, const struct job_part *b)
{
	bool a_batch = strcmp(a->step, "batch") == 0, b_batch = strcmp(b->step, "batch") == 0;
	unsigned long a_step = strtoul(a->step, NULL, 10), b_step = strtoul(b->step, NULL, 10);

	if (a_batch != b_batch)
		return a_batch ? -1 : 1;
	if (a_step != b_step)
		return a_step < b_step ? -1 : 1;
	return strverscmp(a->node, b->node);
}

/* ---- parts ---- */

static json_t *put_part(const struct job_part *part)
{
	json_t *ranks = json_array(), *localids = json_array(), *pids = json_array();
	size_t i;
	int bad = 0;

	for (i = 0; i < part->nr_tasks; i++) {
		bad |= json_array_append_new(ranks, json_integer(part->tasks[i].rank));
		bad |= json_array_append_new(localids, json_integer(part->tasks[i].localid));
		bad |= json_array_append_new(pids, json_integer(part->tasks[i].pid));
	}
	if (!bad)
		return json_pack("{s:s, s:s, s:o, s:I, s:o, s:o, s:o}", "step", part->step,
				 "node", part->node, "xxh64", put_hex64(part->xxh64),
				 "bytes", (json_int_t)part->bytes, "ranks", ranks,
				 "localids", localids, "pids", pids);
	json_decref(ranks);
	json_decref(localids);
	json_decref(pids);
	return NULL;
}

static bool get_tasks(const json_t *object, struct job_part *part)
{
	const json_t *ranks = json_object_get(object, "ranks");
	const json_t *localids = json_object_get(object, "localids");
	const json_t *pids = json_object_get(object, "pids");
	size_t i, nr = json_array_size(ranks);

	if (!json_is_array(ranks) || !json_is_array(localids) || !json_is_array(pids) ||
	    json_array_size(localids) != nr || json_array_size(pids) != nr)
		return false;
	part->tasks = calloc(nr ? nr : 1, sizeof(*part->tasks));
	if (!part->tasks)
		return false;
	part->nr_tasks = nr;
	for (i = 0; i < nr; i++) {
		struct job_task *task = &part->tasks[i];
		uint32_t pid;

		if (!get_u32(json_array_get(ranks, i), &task->rank) ||
		    !get_u32(json_array_get(localids, i), &task->localid) ||
		    !get_u32(json_array_get(pids, i), &pid) || !pid || pid > INT32_MAX ||
		    (i && task->rank <= task[-1].rank))
			return false;
		task->pid = (int32_t)pid;
	}
	return true;
}

/* They become names of directories. */
static bool get_part(const json_t *object, struct job_part *part)
{
	const char *step = json_string_value(json_object_get(object, "step"));
	const char *node = json_string_value(json_object_get(object, "node"));

	if (!step || !node || strlen(step) >= sizeof(part->step) ||
	    strlen(node) >= sizeof(part->node) || !job_step_good(step) || !dir_name_good(node))
		return false;
	strcpy(part->step, step);
	strcpy(part->node, node);
	return get_hex64(json_object_get(object, "xxh64"), &part->xxh64) &&
	       get_u64(json_object_get(object, "bytes"), &part->bytes) && get_tasks(object, part);
}

static int by_rank(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Each rank of a step is in one part of it; @nr parts are of one step. */
static bool ranks_differ(const struct job_part *parts, size_t nr)
{
	size_t all = 0, at = 0, i, k;
	uint32_t *ranks;
	bool good = true;

	for (i = 0; i < nr; i++)
		all += parts[i].nr_tasks;
	ranks = calloc(all ? all : 1, sizeof(*ranks));
	if (!ranks)
		return false;
	for (i = 0; i < nr; i++)
		for (k = 0; k < parts[i].nr_tasks; k++)
			ranks[at++] = parts[i].tasks[k].rank;
	qsort(ranks, all, sizeof(*ranks), by_rank);
	for (i = 1; i < all; i++)
		good &= ranks[i] != ranks[i - 1];
	free(ranks);
	return good;
}

bool job_parts_good(const struct job_part *parts, size_t nr)
{
	size_t i, first = 0;

	for (i = 1; i <= nr; i++) {
		if (i < nr && job_part_compare(&parts[i - 1], &parts[i]) >= 0)
			return false;
		if (i < nr && strcmp(parts[i].step, parts[first].step) == 0)
			continue;
		if (!ranks_differ(&parts[first], i - first))
			return false;
		first = i;
	}
	return nr > 0;
}

static bool get_parts(const json_t *list, struct manifest_generation *g)
{
	size_t i, nr = json_array_size(list);

	g->parts = calloc(nr + 1, sizeof(*g->parts));
	if (!g->parts)
		return false;
	for (i = 0; i < nr; i++) {
		g->nr_parts = i + 1;
		if (!get_part(json_array_get(list, i), &g->parts[i]))
			return false;
	}
	return job_parts_good(g->parts, nr);
}

/* ---- a generation ---- */

static int put_text(json_t *files, const char *name, const struct manifest_file *file)
{
	return json_object_set_new(files, name, put_file(file, true));
}

int put_job(json_t *object, const struct manifest_generation *g)
{
	json_t *files = json_object(), *parts = json_array();
	int bad = put_text(files, DIR_RECORD, &g->job.record);
	size_t i;

	if (g->job.has_script)
		bad |= put_text(files, DIR_SCRIPT, &g->job.script);
	if (g->job.has_environ)
		bad |= put_text(files, DIR_ENVIRON, &g->job.environ);
	for (i = 0; i < g->nr_parts; i++)
		bad |= json_array_append_new(parts, put_part(&g->parts[i]));
	bad |= json_object_set_new(object, "files", files);
	bad |= json_object_set_new(object, "parts", parts);
	return bad;
}

bool get_job(const json_t *object, struct manifest_generation *g)
{
	const json_t *files = json_object_get(object, "files");

	g->job.has_script = json_object_get(files, DIR_SCRIPT) != NULL;
	g->job.has_environ = json_object_get(files, DIR_ENVIRON) != NULL;
	return get_file(files, DIR_RECORD, &g->job.record, true) &&
	       (!g->job.has_script || get_file(files, DIR_SCRIPT, &g->job.script, true)) &&
	       (!g->job.has_environ || get_file(files, DIR_ENVIRON, &g->job.environ, true)) &&
	       get_parts(json_object_get(object, "parts"), g);
}

void free_job(struct manifest_generation *g)
{
	size_t i;

	for (i = 0; i < g->nr_parts; i++)
		free(g->parts[i].tasks);
	free(g->parts);
}
