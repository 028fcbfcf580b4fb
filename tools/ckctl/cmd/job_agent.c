// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "job/agent.h"
#include "out.h"

static const char usage[] =
	"Usage: ckctl job-agent [--node=NAME]\n"
	"The part of \"ckctl create JOB\" that runs on each node of a job; not to be called by\n"
	"hand.\n";

int cmd_job_agent(int argc, char **argv)
{
	static const struct option options[] = {
		{ "node", required_argument, NULL, 'n' },
		CMD_OPTIONS
	};
	const char *node = getenv("SLURMD_NODENAME");
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		if (c == 'n') {
			node = optarg;
			continue;
		}
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (optind < argc || !node)
		return cmd_usage(argv, "job-agent takes nothing but the name of its node");
	out_quiet = true;
	signal(SIGPIPE, SIG_IGN);
	return agent_run(node, STDIN_FILENO, STDOUT_FILENO);
}
