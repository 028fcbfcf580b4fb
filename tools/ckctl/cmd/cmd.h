/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The commands: cmd/<name>.c has cmd_<name>(), main.c has the table.
 *
 * A command gets its own argv ("ckctl <name>" first, so that getopt's
 * messages read right), parses it with getopt_long(), and returns enum ck_exit.
 * Every command takes the options in CMD_OPTIONS:
 *
 *	static const char usage[] = "Usage: ckctl verify [OPTION]… IMAGE\n…";
 *	static const struct option options[] = {
 *		{ "keep", required_argument, NULL, 'k' },
 *		CMD_OPTIONS
 *	};
 *
 *	while ((c = getopt_long(argc, argv, "k:" CMD_SHORT, options, NULL)) != -1) {
 *		switch (c) {
 *		case 'k':
 *			…
 *			break;
 *		default:
 *			rc = cmd_option(c, usage);
 *			if (rc != CMD_GO_ON)
 *				return rc;
 *		}
 *	}
 */
#ifndef CKCTL_CMD_H
#define CKCTL_CMD_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

struct checkpoint_request;
struct coordinate_request;
struct job;
struct target;

#define CMD_JSON	0x10000		/* no short option */

#define CMD_SHORT	"qh"
#define CMD_OPTIONS							\
	{ "json", no_argument, NULL, CMD_JSON },			\
	{ "quiet", no_argument, NULL, 'q' },				\
	{ "help", no_argument, NULL, 'h' },				\
	{ NULL, 0, NULL, 0 },

#define CMD_TARGET_OPTIONS						\
	{ "cgroup", required_argument, NULL, 'c' },			\
	CMD_OPTIONS

#define CMD_GO_ON	(-1)

/* What all commands do with the options above and with getopt's '?' and ':'
 * (getopt has told the user): CMD_GO_ON or what the command must return. */
int cmd_option(int c, const char *usage);
/* A command line that getopt is content with but the command is not: the
 * sentence and where to read more.  Returns CK_USAGE. */
int cmd_usage(char **argv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The image that the user names: a path, or a name looked up as
 * <cwd>/<name>.ckpt; "@<n>" after it picks an older generation. */
int cmd_image_path(char *buf, size_t size, const char *arg);
/* The whole command line of a command that has no options but CMD_TARGET_OPTIONS
 * and takes one job: CK_OK with the job found, or what the command must return
 * when @over is set. */
int cmd_target(int argc, char **argv, const char *usage, struct target *t, struct job *job,
	       bool *over);
/* A checkpoint of that job, as far as the target says what it should be. */
void cmd_request(struct checkpoint_request *req, const struct target *t, const struct job *job);

/* A checkpoint of a job of Slurm, and what there is to say about it. */
int cmd_create_job(const struct coordinate_request *req);
/* What is wrong in the site's configuration, as notices. */
void cmd_conf_notes(void);

int cmd_run(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_core(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_thaw(int argc, char **argv);
int cmd_config(int argc, char **argv);
int cmd_able(int argc, char **argv);
int cmd_disable(int argc, char **argv);
int cmd_enable(int argc, char **argv);
int cmd_error(int argc, char **argv);
int cmd_vacate(int argc, char **argv);
int cmd_requeue(int argc, char **argv);
/* Not for people. */
int cmd_job_agent(int argc, char **argv);
int cmd_job_epilog(int argc, char **argv);
int cmd_job_keeper(int argc, char **argv);
int cmd_job_task(int argc, char **argv);

#endif
