// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "checkpoint/checkpoint.h"
#include "job/enter.h"
#include "job/target.h"
#include "json.h"
#include "out.h"
#include "self.h"

static const char usage[] =
	"Usage: ckctl check [OPTION]… TARGET\n"
	"       ckctl check [OPTION]… --cgroup=PATH\n"
	"       ckctl check self\n"
	"Tell whether a job could be checkpointed now.  It is frozen for a moment, as for a\n"
	"checkpoint, but nothing is written.  What stands against it is named; the exit\n"
	"status is then 3.  Not for jobs of Slurm: \"ckctl create\" names that of one.\n"
	"\"self\" only tells whether there is somebody whom a process of a job could ask for one.\n\n"
	"      --cgroup=PATH  all processes of this cgroup, and of those below it\n"
	"      --json         the result as JSON\n"
	"  -q, --quiet        only the exit status\n";

static int print(const struct job *job, const struct checkpoint_result *res)
{
	json_t *list;
	size_t i;

	if (!out_json) {
		if (!out_quiet && !res->nr_obstacles)
			printf("%s can be checkpointed now (stood still %s)\n", job->id,
			       human_ns(res->standstill_ns));
		for (i = 0; !out_quiet && i < res->nr_obstacles; i++)
			printf("%s\n", res->obstacles[i]);
		return CK_OK;
	}
	list = json_array();
	for (i = 0; i < res->nr_obstacles; i++)
		json_array_append_new(list, json_text(res->obstacles[i]));
	return json_print(json_pack("{s:o, s:b, s:o, s:f}", "job", json_text(job->id), "possible",
				    res->nr_obstacles == 0, "obstacles", list, "standstill_ms",
				    (double)res->standstill_ns / 1e6));
}

int cmd_check(int argc, char **argv)
{
	struct checkpoint_request req = { .check_only = true };
	struct checkpoint_result res;
	struct target t = { 0 };
	struct job job;
	int rc, printed;
	bool over;

	/* The module, and what stands against a checkpoint, is for who makes it. */
	if (argc == 2 && strcmp(argv[1], "self") == 0)
		return self_check();
	rc = cmd_target(argc, argv, usage, &t, &job, &over);
	if (over)
		return rc;
	cmd_request(&req, &t, &job);
	rc = job_enter(job.cgroup, &req.view);
	if (rc)
		return rc;
	rc = checkpoint_make(&req, &res);
	if (!rc || res.nr_obstacles) {
		printed = print(&job, &res);
		rc = printed ? printed : res.nr_obstacles ? CK_REFUSED : CK_OK;
	}
	checkpoint_result_free(&res);
	return rc;
}
