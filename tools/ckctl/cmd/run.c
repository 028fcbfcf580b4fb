// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interval.h"
#include "job/cgroup.h"
#include "job/janitor.h"
#include "job/supervise.h"
#include "job/target.h"
#include "nl.h"
#include "out.h"
#include "policy.h"

static const char usage[] =
	"Usage: ckctl run [OPTION]… [--] COMMAND [ARGUMENT]…\n"
	"Run COMMAND in a cgroup of its own, so that it can be checkpointed, pass signals on\n"
	"to it, and end with its exit status (128 + N when signal N ended it).\n\n"
	"      --checkpoint=INTERVAL  checkpoint it at this interval: minutes,\n"
	"                             minutes:seconds, hours:minutes:seconds, days-hours,\n"
	"                             days-hours:minutes or days-hours:minutes:seconds\n"
	"      --checkpoint-dir=DIR   where images go (the site's, or the current directory)\n"
	"      --name=ID              name of the job and its image (COMMAND-pid)\n"
	"      --keep=N               keep the last N checkpoints (the site's, or 1)\n"
	"  -q, --quiet                no notices\n";

/* Tells the ckctl that systemd-run starts not to try that again. */
#define REEXEC_MARK	"CKCTL_IN_SCOPE"

enum { OPT_CHECKPOINT = CMD_JSON + 1, OPT_DIR, OPT_NAME, OPT_KEEP };

static const struct option options[] = {
	{ "checkpoint", required_argument, NULL, OPT_CHECKPOINT },
	{ "checkpoint-dir", required_argument, NULL, OPT_DIR },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "keep", required_argument, NULL, OPT_KEEP },
	CMD_OPTIONS
};

struct run {
	struct job job;
	const char *name, *dir;
	uint64_t interval_s;
	char **command;
};

static int parse(int argc, char **argv, struct run *r)
{
	int c, rc;

	/* "+": what follows COMMAND is its own. */
	while ((c = getopt_long(argc, argv, "+" CMD_SHORT, options, NULL)) != -1) {
		switch (c) {
		case OPT_CHECKPOINT:
			if (interval_parse(optarg, &r->interval_s))
				return CK_USAGE;
			break;
		case OPT_DIR:
			r->dir = optarg;
			break;
		case OPT_NAME:
			r->name = optarg;
			break;
		case OPT_KEEP:
			if (job_parse_keep(&r->job.keep, optarg))
				return CK_USAGE;
			break;
		default:
			rc = cmd_option(c, usage);
			if (rc != CMD_GO_ON)
				return rc;
		}
	}
	if (optind == argc)
		return cmd_usage(argv, "run needs a command");
	r->command = argv + optind;
	return CMD_GO_ON;
}

/* COMMAND's name and our pid, as far as that can be a name. */
static int set_name(struct run *r)
{
	const char *base = strrchr(r->command[0], '/');

	base = base ? base + 1 : r->command[0];
	if (!r->name)
		snprintf(r->job.id, sizeof(r->job.id), "%s%.150s-%d",
			 *base && *base != '.' && *base != '-' ? "" : "job", base, getpid());
	else if (job_check_id(r->name))
		return CK_USAGE;
	else
		snprintf(r->job.id, sizeof(r->job.id), "%s", r->name);
	return CK_OK;
}

/* With checkpoints to be made, better now than after an hour: is there a module? */
static int check_module(const struct run *r)
{
	struct nl *nl;
	int rc;

	if (!r->interval_s)
		return CK_OK;
	rc = nl_open(&nl);
	if (!rc)
		nl_end(nl);
	return rc;
}

/* In a login session's own cgroup users may not make one; the user's systemd
 * gives one where they may.  Returns only when that was not possible. */
static void try_in_scope(int argc, char **argv)
{
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char **args;
	int n = 0, i;

	if (geteuid() == 0 || getenv(REEXEC_MARK) || !getenv("XDG_RUNTIME_DIR") || len <= 0)
		return;
	self[len] = '\0';
	args = calloc((size_t)argc + 8, sizeof(*args));
	if (!args || setenv(REEXEC_MARK, "1", 1) < 0) {
		free(args);
		return;
	}
	args[n++] = (char *)"systemd-run";
	args[n++] = (char *)"--user";
	args[n++] = (char *)"--scope";
	args[n++] = (char *)"-q";
	args[n++] = (char *)"--";
	args[n++] = self;
	args[n++] = (char *)"run";
	for (i = 1; i < argc; i++)
		args[n++] = argv[i];
	execvp(args[0], args);
	unsetenv(REEXEC_MARK);
	free(args);
}

static int make_cgroup(struct run *r, int argc, char **argv, int *fd)
{
	struct capture outer;
	char sentence[1024];
	int rc, guard = -1;

	rc = cgroup_place(r->job.id, r->job.cgroup, sizeof(r->job.cgroup));
	if (!rc)
		rc = job_guard(&r->job, &guard);
	if (rc)
		return rc;
	outer = fail_capture(sentence, sizeof(sentence));
	rc = cgroup_make(r->job.cgroup, fd);
	fail_restore(outer);
	job_guard_cgroup(guard, *fd);
	if (rc == CK_PERM)
		try_in_scope(argc, argv);
	unsetenv(REEXEC_MARK);
	return rc ? fail(rc, "%s", sentence) : CK_OK;
}

int cmd_run(int argc, char **argv)
{
	struct run r = { .job.keep = policy_keep() };
	int rc, cgroup_fd, status;
	sigset_t old;
	pid_t child;

	rc = parse(argc, argv, &r);
	if (rc != CMD_GO_ON)
		return rc;
	cmd_conf_notes();
	rc = r.interval_s ? policy_allowed() : CK_OK;
	if (!rc)
		rc = policy_interval(r.interval_s);
	if (!rc)
		rc = set_name(&r);
	if (!rc)
		rc = target_choose_dir(r.job.image_dir, sizeof(r.job.image_dir), r.dir, r.job.id);
	if (!rc)
		rc = check_module(&r);
	if (!rc)
		rc = make_cgroup(&r, argc, argv, &cgroup_fd);
	if (rc)
		return rc;
	job_block_signals(&old, false);
	rc = job_register(&r.job);
	if (rc) {
		cgroup_remove(r.job.cgroup);
		job_unregister(&r.job);
		return rc;
	}
	rc = job_spawn(cgroup_fd, r.command, &old, &child, &status);
	close(cgroup_fd);
	if (rc) {
		job_end(&r.job);
		return status ? status : rc;
	}
	status = job_supervise(&r.job, child, -1, r.interval_s);
	job_end(&r.job);
	return status;
}
