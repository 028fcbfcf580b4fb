// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "image/jobimage.h"
#include "job/slurm.h"
#include "json.h"
#include "out.h"
#include "parts.h"
#include "show.h"

/* ---- text ---- */

/* What the batch system said of the job, of all that it says. */
static const struct {
	const char *key, *title;
} told[] = {
	{ "JobName", "job name" }, { "UserId", "user" }, { "Partition", "partition" },
	{ "Account", "account" }, { "TimeLimit", "time limit" }, { "Command", "command" },
	{ "WorkDir", "directory" }, { "StdIn", "stdin" }, { "StdOut", "stdout" },
	{ "StdErr", "stderr" },
};

static void print_line(const char *title, const char *value)
{
	printf("%-12s ", title);
	print_text(value);
	putchar('\n');
}

static void print_record(const struct job_image *job)
{
	const json_t *slurm = json_object_get(job->record, "job"), *value;
	size_t i;

	value = json_object_get(job->record, "cluster");
	if (json_is_string(value))
		print_line("cluster", json_string_value(value));
	for (i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		const char *text = slurm_field(slurm, told[i].key);

		if (text)
			print_line(told[i].title, text);
	}
	if (job->script)
		printf("script       %s\n", human_bytes(job->script_len));
	if (json_is_false(json_object_get(job->record, "drained")))
		printf("output       was on its way to its file: lines may be missing or doubled\n");
}

static void print_head(const struct job_image *job)
{
	const struct image_meta *meta = &job->meta;
	char when[64];

	print_line("image", job->path);
	print_line("name", meta->id);
	printf("made         %s on ", show_time(meta->time, when, sizeof(when)));
	print_text(meta->host);
	printf(" (");
	print_text(meta->kernel);
	printf(", %s)\nowner        %" PRIu32 "\n", meta->arch, meta->uid);
	print_record(job);
	printf("tasks        %" PRIu64 " process%s, %" PRIu64 " thread%s\n", meta->nr_tasks,
	       meta->nr_tasks == 1 ? "" : "es", meta->nr_threads,
	       meta->nr_threads == 1 ? "" : "s");
	printf("stood still  %s\n", human_ns(meta->standstill_ns));
	printf("pages        %s\n", human_bytes(meta->bytes));
}

static void print_generations(const struct job_image *job)
{
	char when[64];
	size_t i;

	printf("\nGENERATION  MADE                           SIZE\n");
	for (i = 0; i < job->nr_generations; i++)
		printf("%10" PRIu32 "  %-25s  %10s\n", job->generations[i].number,
		       show_time(job->generations[i].time, when, sizeof(when)),
		       human_bytes(job->generations[i].bytes));
}

static int print_part(const struct job_part *part, const struct image *img)
{
	size_t i;
	int rc;

	printf("\n---- step %s on ", part->step);
	print_text(part->node);
	printf(" ----\n");
	rc = show_image(img);
	if (rc || !part->nr_tasks)
		return rc;
	printf("\n   RANK  LOCALID     PID\n");
	for (i = 0; i < part->nr_tasks; i++)
		printf("%7" PRIu32 "  %7" PRIu32 " %7" PRId32 "\n", part->tasks[i].rank,
		       part->tasks[i].localid, part->tasks[i].pid);
	return CK_OK;
}

int show_job(const struct parts *p)
{
	const struct job_image *job = p->job;
	size_t i;
	int rc = CK_OK;

	print_head(job);
	print_generations(job);
	for (i = 0; rc == CK_OK && i < p->nr; i++)
		rc = print_part(&job->parts[i], p->images[i]);
	return rc;
}

/* ---- JSON ---- */

static json_t *json_tasks(const struct job_part *part)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < part->nr_tasks; i++)
		json_array_append_new(array, json_pack(
			"{s:I, s:I, s:I}", "rank", (json_int_t)part->tasks[i].rank,
			"localid", (json_int_t)part->tasks[i].localid,
			"pid", (json_int_t)part->tasks[i].pid));
	return array;
}

static json_t *json_parts(const struct parts *p)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < p->nr; i++)
		json_array_append_new(array, json_pack(
			"{s:s, s:o, s:I, s:o, s:o}", "step", p->job->parts[i].step,
			"node", json_text(p->job->parts[i].node),
			"bytes", (json_int_t)p->job->parts[i].bytes,
			"tasks", json_tasks(&p->job->parts[i]),
			"image", show_image_json(p->images[i])));
	return array;
}

static json_t *json_generations(const struct job_image *job)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < job->nr_generations; i++)
		json_array_append_new(array, json_pack(
			"{s:I, s:I, s:I}", "number", (json_int_t)job->generations[i].number,
			"time", (json_int_t)job->generations[i].time,
			"bytes", (json_int_t)job->generations[i].bytes));
	return array;
}

json_t *show_job_json(const struct parts *p)
{
	const struct job_image *job = p->job;
	const struct image_meta *meta = &job->meta;

	return json_pack(
		"{s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:O, s:o*, s:o, s:o}",
		"image", json_text(job->path), "kind", "job", "id", json_text(meta->id),
		"nodes", json_text(meta->host), "kernel", json_text(meta->kernel),
		"arch", json_text(meta->arch), "uid", (json_int_t)meta->uid,
		"time", (json_int_t)meta->time, "standstill_ns", (json_int_t)meta->standstill_ns,
		"bytes", (json_int_t)meta->bytes, "tasks", (json_int_t)meta->nr_tasks,
		"threads", (json_int_t)meta->nr_threads, "record", job->record,
		"script", job->script ? json_text(job->script) : NULL,
		"parts", json_parts(p), "generations", json_generations(job));
}
