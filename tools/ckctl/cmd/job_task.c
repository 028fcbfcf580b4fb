// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include "out.h"
#include "slot/task.h"

static const char usage[] =
	"Usage: ckctl job-task --image=IMAGE -- PROGRAM [ARGUMENT]…\n"
	"Continue a task of Slurm's from an image or, where that cannot be, start its program; the\n"
	"Slurm plugin has it stand in the task's place.  Not to be called by hand.\n";

enum { OPT_IMAGE = CMD_JSON + 1 };

static const struct option options[] = {
	{ "image", required_argument, NULL, OPT_IMAGE },
	CMD_OPTIONS
};

int cmd_job_task(int argc, char **argv)
{
	struct slot_request req = { .image = NULL };
	int c, rc;

	while ((c = getopt_long(argc, argv, "+" CMD_SHORT, options, NULL)) != -1) {
		if (c == OPT_IMAGE) {
			req.image = optarg;
			continue;
		}
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (!req.image || optind == argc)
		return cmd_usage(argv, "job-task is not to be called by hand");
	req.argv = argv + optind;
	return slot_run(&req);
}
