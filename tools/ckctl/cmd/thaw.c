// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <stdio.h>
#include <unistd.h>

#include "job/cgroup.h"
#include "job/target.h"
#include "out.h"

static const char usage[] =
	"Usage: ckctl thaw [OPTION]… TARGET\n"
	"       ckctl thaw [OPTION]… --cgroup=PATH\n"
	"Let a job run on that \"ckctl create --leave-frozen\" left frozen.\n\n"
	"      --cgroup=PATH  the job in this cgroup\n"
	"  -q, --quiet        no notices\n";

static const struct option options[] = {
	{ "cgroup", required_argument, NULL, 'c' },
	CMD_OPTIONS
};

int cmd_thaw(int argc, char **argv)
{
	struct target t = { 0 };
	struct job job;
	bool frozen;
	int c, rc, fd;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		if (c == 'c') {
			t.cgroup = optarg;
			continue;
		}
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	for (; optind < argc; optind++)
		if (target_operand(&t, argv[optind]))
			return CK_USAGE;
	rc = target_find(&t, &job);
	if (!rc)
		rc = cgroup_open(job.cgroup, &fd);
	if (rc)
		return rc;
	rc = cgroup_frozen(fd, &frozen);
	if (!rc && !frozen)
		note("%s is not frozen", job.id);
	else if (!rc)
		rc = cgroup_thaw(fd);
	close(fd);
	return rc;
}
