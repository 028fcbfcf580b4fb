// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <inttypes.h>
#include <stdio.h>

#include "json.h"
#include "nl.h"
#include "out.h"
#include "state/state.h"
#include "status_job.h"

static const char usage[] =
	"Usage: ckctl status [--json] [--state-table]\n"
	"       ckctl status [--json] JOB[.STEP]\n"
	"Show the kernel module: version, features, sessions.  Or show what is known of a job of\n"
	"Slurm, or of one step: its last checkpoint and restart, what failed, and when the next\n"
	"one is due.\n\n"
	"      --state-table  print instead, as a Markdown table, what a checkpoint saves and\n"
	"                     what it refuses\n";

static int print_table(void)
{
	size_t i;

	puts("| what | saved and restored | refused, by name |\n|---|---|---|");
	for (i = 0; state_table[i]; i++)
		printf("| %s | %s | %s |\n", state_table[i]->name, state_table[i]->saved,
		       state_table[i]->refused);
	return CK_OK;
}

static int print_status(const struct nl_info *info)
{
	bool proof = info->features & CKPT_FEATURE_PROOF;

	if (out_json)
		return json_print(json_pack("{s:b, s:s, s:I, s:I, s:b, s:o, s:I}", "loaded", 1,
					    "version", info->version, "abi", (json_int_t)info->abi,
					    "sessions", (json_int_t)info->nr_sessions,
					    "can_checkpoint", (int)proof, "xfeatures",
					    json_sprintf("%016" PRIx64, info->xfeatures),
					    "xstate_size", (json_int_t)info->xstate_size));
	printf("module       ckpt %s, loaded\n", info->version);
	printf("protocol     %" PRIu32 "\n", info->abi);
	printf("sessions     %" PRIu32 "\n", info->nr_sessions);
	printf("checkpoint   %s\n", proof ? "yes" :
	       "no: this kernel's /proc/PID/mem is not recognised");
	printf("xstate       %" PRIu32 " bytes, components %#" PRIx64 "\n", info->xstate_size,
	       info->xfeatures);
	return CK_OK;
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "state-table", no_argument, NULL, 't' },
		CMD_OPTIONS
	};
	struct nl_info info;
	bool table = false;
	struct nl *nl;
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		if (c == 't') {
			table = true;
			continue;
		}
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (argc - optind > 1 || (table && optind < argc))
		return cmd_usage(argv, "status takes one job, or none");
	if (optind < argc)
		return status_job(argv[optind]);
	if (table)
		return print_table();
	rc = nl_open(&nl);
	if (rc == CK_NOMODULE && out_json)
		json_print(json_pack("{s:b}", "loaded", 0));
	if (rc)
		return rc;
	rc = nl_info(nl, &info);
	nl_end(nl);
	return rc ? rc : print_status(&info);
}
