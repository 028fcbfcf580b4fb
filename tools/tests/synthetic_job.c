// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>

#include "image/dir.h"
#include "out.h"
#include "synthetic.h"

#define SCRIPT	"#!/bin/sh\nsrun ./program\n"
#define ENVIRON	"HOME=/home/user\0SLURM_JOB_ID=5"

/* Ranks as block distribution gives them, but not in order. */
static struct job_task batch[] = { { 0, 0, SYNTHETIC_PID } };
static struct job_task first[] = { { 1, 1, SYNTHETIC_PID + 1 }, { 0, 0, SYNTHETIC_PID } };
static struct job_task second[] = { { 2, 0, SYNTHETIC_PID } };

static const struct job_part parts[] = {
	{ .step = "0", .node = "n2", .tasks = second, .nr_tasks = 1 },
	{ .step = "0", .node = "n1", .tasks = first, .nr_tasks = 2 },
	{ .step = "batch", .node = "n1", .tasks = batch, .nr_tasks = 1 },
};

#define NR_PARTS (sizeof(parts) / sizeof(parts[0]))

int synthetic_job_fill(struct job_image_writer *w, uint32_t seed, struct image_meta *meta)
{
	char record[512], path[4600];
	size_t i;
	int rc = job_image_step(job_image_dir(w), "batch");

	memset(meta, 0, sizeof(*meta));
	if (rc == CK_OK)
		rc = job_image_step(job_image_dir(w), "0");
	/* Rank 3 of step 0 has ended; step 0 began before 2023-11-14T22:13:20Z, wherever that is. */
	snprintf(record, sizeof(record), "{\"seed\": %u, \"cluster\": \"c\", \"job_id\": \"5\", "
		 "\"nodes\": [\"n1\", \"n2\"], \"job\": {\"JobName\": \"test\"}, \"steps\": "
		 "[{\"StepId\": \"5.batch\", \"Tasks\": \"1\"}, {\"StepId\": \"5.0\", "
		 "\"StartTime\": \"2023-11-12T00:00:00\", \"Tasks\": \"4\"}], "
		 "\"exits\": [{\"step\": \"1\", \"rank\": 3, \"status\": 1}, "
		 "{\"step\": \"0\", \"rank\": 3, \"status\": 768}]}",
		 seed);
	if (rc == CK_OK)
		rc = job_image_put(w, DIR_RECORD, record, strlen(record));
	if (rc == CK_OK)
		rc = job_image_put(w, DIR_SCRIPT, SCRIPT, strlen(SCRIPT));
	if (rc == CK_OK)
		rc = job_image_put(w, DIR_ENVIRON, ENVIRON, sizeof(ENVIRON));
	for (i = 0; rc == CK_OK && i < NR_PARTS; i++) {
		snprintf(path, sizeof(path), "%s/%s", job_image_dir(w), parts[i].step);
		rc = synthetic_write(path, parts[i].node, seed + (uint32_t)i, 1);
		if (rc == CK_OK)
			rc = job_image_take(w, &parts[i], meta);
	}
	strcpy(meta->id, "5");
	strcpy(meta->host, "n[1-2]");
	meta->time = 1700000000 + seed;
	return rc;
}

int synthetic_job_write(const char *dir, const char *id, uint32_t seed, unsigned int keep)
{
	struct job_image_writer *w;
	struct image_meta meta;
	int rc = job_image_begin(&w, dir, id);

	if (rc == CK_OK) {
		rc = synthetic_job_fill(w, seed, &meta);
		if (rc == CK_OK)
			return job_image_commit(w, &meta, keep);
		job_image_abort(w);
	}
	return rc;
}

bool synthetic_job_matches(const struct job_image *img, uint32_t seed)
{
	/* The image has them in order. */
	static const size_t order[NR_PARTS] = { 2, 1, 0 };
	struct image *part;
	bool good;
	size_t i;

	good = img->nr_parts == NR_PARTS && img->script && strcmp(img->script, SCRIPT) == 0 &&
	       img->environ_len == sizeof(ENVIRON) &&
	       memcmp(img->environ, ENVIRON, sizeof(ENVIRON)) == 0 &&
	       json_integer_value(json_object_get(img->record, "seed")) == seed;
	for (i = 0; good && i < NR_PARTS; i++) {
		const struct job_part *want = &parts[order[i]];

		good = strcmp(img->parts[i].step, want->step) == 0 &&
		       strcmp(img->parts[i].node, want->node) == 0 &&
		       img->parts[i].nr_tasks == want->nr_tasks && img->parts[i].tasks[0].rank ==
		       want->tasks[want->nr_tasks - 1].rank &&
		       job_image_part(img, &img->parts[i], &part) == CK_OK;
		if (!good)
			break;
		good = image_verify_pages(part, 1) == CK_OK &&
		       synthetic_matches(part, seed + (uint32_t)order[i]);
		image_close(part);
	}
	return good;
}

int open_job_quietly(struct job_image **img, const char *path, char *sentence, unsigned int size)
{
	char own[1024];
	int rc;

	fail_capture(sentence ? sentence : own, sentence ? size : sizeof(own));
	rc = job_image_open(img, path);
	fail_capture(NULL, 0);
	return rc;
}

int prove_job_quietly(const char *path, char *sentence, unsigned int size)
{
	struct job_image *img;
	char own[1024];
	size_t i;
	int rc;

	fail_capture(sentence ? sentence : own, sentence ? size : sizeof(own));
	rc = job_image_open(&img, path);
	for (i = 0; rc == CK_OK && i < img->nr_parts; i++) {
		struct image *part;

		rc = job_image_part(img, &img->parts[i], &part);
		if (rc == CK_OK)
			rc = image_verify_pages(part, 1);
		image_close(part);
	}
	fail_capture(NULL, 0);
	job_image_close(img);
	return rc;
}
