// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>

#include "interval.h"
#include "job/keeper.h"
#include "job/slurm.h"
#include "out.h"

static const char usage[] =
	"Usage: ckctl job-keeper --checkpoint=INTERVAL --checkpoint-dir=DIR --task=PID JOB[.STEP]\n"
	"Keeps the schedule of a job's checkpoints; the Slurm plugin starts it, beside the job's\n"
	"first task, whose process is PID.  Not to be called by hand.\n";

enum { OPT_CHECKPOINT = CMD_JSON + 1, OPT_DIR, OPT_TASK };

static const struct option options[] = {
	{ "checkpoint", required_argument, NULL, OPT_CHECKPOINT },
	{ "checkpoint-dir", required_argument, NULL, OPT_DIR },
	{ "task", required_argument, NULL, OPT_TASK },
	CMD_OPTIONS
};

int cmd_job_keeper(int argc, char **argv)
{
	struct keeper_request req = { .interval_s = 0 };
	char step[16];
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		switch (c) {
		case OPT_CHECKPOINT:
			if (interval_parse(optarg, &req.interval_s))
				return CK_USAGE;
			break;
		case OPT_DIR:
			req.image_dir = optarg;
			break;
		case OPT_TASK:
			req.task = (pid_t)strtol(optarg, NULL, 10);
			break;
		default:
			rc = cmd_option(c, usage);
			if (rc != CMD_GO_ON)
				return rc;
		}
	}
	if (argc - optind != 1 || !req.image_dir || *req.image_dir != '/' || req.task <= 0 ||
	    !slurm_split(argv[optind], req.job, sizeof(req.job), step, sizeof(step)))
		return cmd_usage(argv, "job-keeper is not to be called by hand");
	req.name = argv[optind];
	req.step = *step;
	return keeper_run(&req);
}
