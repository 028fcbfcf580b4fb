// SPDX-License-Identifier: GPL-2.0
/* The table of commands and the options that come before one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kmod/version.h"
#include "../slurm/task_name.h"
#include "cmd/cmd.h"
#include "out.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static int cmd_help(int argc, char **argv);

static const struct command commands[] = {
	{ "run", cmd_run, "run a command in a cgroup of its own, checkpoint it at an interval" },
	{ "create", cmd_create, "checkpoint a job now" },
	{ "restart", cmd_restart, "continue a job from an image" },
	{ "list", cmd_list, "list the images in a directory" },
	{ "show", cmd_show, "show what is in an image" },
	{ "verify", cmd_verify, "prove that an image is what was written" },
	{ "check", cmd_check, "tell whether a job could be checkpointed now, and what stands against it" },
	{ "core", cmd_core, "make a core file for a debugger from an image" },
	{ "status", cmd_status, "show the kernel module, or the schedule of a job of Slurm" },
	{ "able", cmd_able, "tell whether a job of Slurm can be checkpointed" },
	{ "disable", cmd_disable, "have no checkpoints made of a job of Slurm" },
	{ "enable", cmd_enable, "allow them again" },
	{ "error", cmd_error, "tell why the last checkpoint of a job of Slurm has failed" },
	{ "vacate", cmd_vacate, "checkpoint a job of Slurm and end it" },
	{ "requeue", cmd_requeue, "checkpoint a job of Slurm and have it begin again from there" },
	{ "config", cmd_config, "show what this site has decided about checkpoints" },
	{ "thaw", cmd_thaw, "let a job run on that was left frozen" },
	{ "help", cmd_help, "show this, or the help of one command" },
	/* What ckctl itself starts is not listed. */
	{ "job-agent", cmd_job_agent, NULL },
	{ "job-epilog", cmd_job_epilog, NULL },
	{ "job-keeper", cmd_job_keeper, NULL },
	{ "job-task", cmd_job_task, NULL },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(FILE *to)
{
	size_t i;

	fputs("Usage: ckctl [--json] [-q] COMMAND [ARGUMENT]…\n"
	      "Checkpoint and restart of running programs.\n\nCommands:\n", to);
	for (i = 0; i < NR_COMMANDS; i++)
		if (commands[i].help)
			fprintf(to, "  %-8s  %s\n", commands[i].name, commands[i].help);
	fputs("\nOptions:\n"
	      "      --json     results as JSON\n"
	      "  -q, --quiet    no progress, no notices\n"
	      "  -h, --help     show this, or after a command, its own help\n"
	      "      --version  show the version\n"
	      "\nckctl(8) has the exit codes, files and examples.\n", to);
}

static int run(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++) {
		char name[32];

		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		/* The name that getopt's messages begin with. */
		snprintf(name, sizeof(name), "ckctl %s", argv[0]);
		argv[0] = name;
		optind = 0;	/* begin anew: the options before the command are done */
		return commands[i].run(argc, argv);
	}
	return fail(CK_USAGE, "there is no command \"%s\"; \"ckctl help\" lists all commands",
		    argv[0]);
}

static int cmd_help(int argc, char **argv)
{
	char option[] = "--help";

	if (argc < 2) {
		help(stdout);
		return CK_OK;
	}
	if (argc > 2)
		return fail(CK_USAGE, "\"ckctl help\" takes one command, not %d", argc - 1);
	if (strcmp(argv[1], "help") == 0 || argv[1][0] == '-') {
		help(stdout);
		return CK_OK;
	}
	return run(2, (char *[]){ argv[1], option, NULL });
}

/*
 * As slurmstepd starts it in the place of a task, where the Slurm plugin could
 * change no more than the first word of the command line (task_name.h).
 */
static int run_task(int argc, char **argv)
{
	const char *image = getenv(TASK_ENV_IMAGE), *command = getenv(TASK_ENV_COMMAND);
	char **args = calloc((size_t)argc + 6, sizeof(*args));
	int n = 0, i;

	if (!image || !command || !args)
		return fail(CK_USAGE, "%s is not to be called by hand", TASK_NAME);
	args[n++] = (char *)"job-task";
	args[n++] = (char *)"--image";
	args[n++] = strdup(image);
	args[n++] = (char *)"--";
	args[n++] = strdup(command);
	for (i = 1; i < argc; i++)
		args[n++] = argv[i];
	/* They stay: it may have to be executed once more. */
	return run(n, args);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "version", no_argument, NULL, 'V' },
		CMD_OPTIONS
	};
	int c, rc;

	if (argc && strcmp(basename(argv[0]), TASK_NAME) == 0)
		return run_task(argc, argv);
	argv[0] = (char *)"ckctl";
	while ((c = getopt_long(argc, argv, "+" CMD_SHORT, options, NULL)) != -1) {
		switch (c) {
		case 'V':
			printf("ckctl %s\n", CKPT_VERSION);
			return CK_OK;
		case 'h':
			help(stdout);
			return CK_OK;
		default:
			rc = cmd_option(c, "");
			if (rc != CMD_GO_ON)
				return rc;
		}
	}
	if (optind == argc) {
		help(stderr);
		return CK_USAGE;
	}
	rc = run(argc - optind, argv + optind);
	/* Results that did not reach the reader are no success. */
	if (fflush(stdout) == EOF && rc == CK_OK)
		rc = fail_errno(errno, "cannot write the results");
	return rc;
}
