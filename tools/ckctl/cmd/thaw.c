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

int cmd_thaw(int argc, char **argv)
{
	struct target t = { 0 };
	bool frozen, over;
	struct job job;
	int rc, fd;

	rc = cmd_target(argc, argv, usage, &t, &job, &over);
	if (over)
		return rc;
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
