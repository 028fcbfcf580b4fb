// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job/exits.h"
#include "job/leftovers.h"
#include "job/slurm.h"
#include "out.h"

static const char usage[] =
	"Usage: ckctl job-epilog\n"
	"Removes from this node what a job left behind; the epilog for Slurm calls it, as root and\n"
	"with Slurm's variables.  Not to be called by hand.\n";

static bool is_number(const char *text)
{
	return text && *text && !text[strspn(text, "0123456789")];
}

int cmd_job_epilog(int argc, char **argv)
{
	static const struct option options[] = { CMD_OPTIONS };
	const char *job = getenv("SLURM_JOB_ID"), *uid = getenv("SLURM_JOB_UID");
	const char *cluster = getenv("SLURM_CLUSTER_NAME"), *node = getenv("SLURMD_NODENAME");
	const char *dir = getenv("SLURM_JOB_WORK_DIR");	/* the user gets nothing of root's environment */
	struct capture outer;
	char sentence[1024];
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (optind < argc || !is_number(job) || !is_number(uid))
		return cmd_usage(argv, "it is for the epilog of Slurm, which tells it the job");
	outer = fail_capture(sentence, sizeof(sentence));
	out_quiet = true;
	leftovers_cgroups(node ? node : "", job);
	exits_remove(job);
	/* What users own, they could have made into a trap for root. */
	rc = chdir("/") < 0 ? CK_FAILED : slurm_become((uid_t)strtoul(uid, NULL, 10), job);
	if (!rc)
		leftovers_files(cluster ? cluster : "", job, dir);
	fail_restore(outer);
	return rc ? fail(rc, "%s", sentence) : CK_OK;
}
