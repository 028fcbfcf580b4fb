// SPDX-License-Identifier: GPL-2.0
/* The old verbs of "scontrol checkpoint", besides create and restart. */
#include "cmd.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "checkpoint/phases.h"
#include "job/control.h"
#include "job/coordinate.h"
#include "job/deadline.h"
#include "job/registry.h"
#include "job/requeue.h"
#include "job/slurm.h"
#include "job/target.h"
#include "json.h"
#include "out.h"
#include "policy.h"

/* What the command is about. */
struct verb {
	struct target target;
	struct deadline deadline;
	char job[32], step[16];		/* as it was typed */
	char id[32];			/* of the job: a number */
	char name[64];			/* "<id>" or "<id>.<step>" */
	char cluster[256];
	json_t *record;			/* Slurm's, of the job */
	int stop_fd;			/* what signals are read from, or -1 */
};

/* ---- the command line ---- */

enum { OPT_IMAGE_DIR = CMD_JSON + 1, OPT_MAX_WAIT };

static const struct option plain[] = { CMD_OPTIONS };

static const struct option with_image[] = {
	{ "image-dir", required_argument, NULL, OPT_IMAGE_DIR },
	{ "max-wait", required_argument, NULL, OPT_MAX_WAIT },
	CMD_OPTIONS
};

static int parse_option(struct verb *v, int c, const char *usage)
{
	switch (c) {
	case OPT_IMAGE_DIR:
		v->target.image_dir = optarg;
		return CMD_GO_ON;
	case OPT_MAX_WAIT:
		return target_max_wait(&v->target, optarg) ? CK_USAGE : CMD_GO_ON;
	default:
		return cmd_option(c, usage);
	}
}

/* CMD_GO_ON with the job named, or what the command must return. */
static int parse(struct verb *v, int argc, char **argv, const struct option *options,
		 const char *usage)
{
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		rc = parse_option(v, c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	for (; optind < argc; optind++)
		if (target_operand(&v->target, argv[optind]))
			return CK_USAGE;
	if (!v->target.name)
		return cmd_usage(argv, "which job?");
	if (options == plain && (v->target.image_dir || v->target.max_wait_ms))
		return cmd_usage(argv, "ImageDir and MaxWait do not go with this command");
	if (!slurm_split(v->target.name, v->job, sizeof(v->job), v->step, sizeof(v->step)))
		return cmd_usage(argv, "\"%s\" is no job of Slurm and no step of one", v->target.name);
	return CMD_GO_ON;
}

/* ---- the job ---- */

static void set_name(struct verb *v)
{
	snprintf(v->name, sizeof(v->name), *v->step ? "%s.%s" : "%s", v->id, v->step);
}

/* Whose it is we are from now on. */
static int find(struct verb *v)
{
	uid_t uid;
	int rc;

	deadline_begin(&v->deadline, v->target.name, 0, v->stop_fd);
	rc = slurm_owner(&v->deadline, v->job, &uid, v->id, sizeof(v->id));
	if (!rc)
		rc = slurm_become(uid, v->job);
	if (!rc)
		rc = slurm_job(&v->deadline, v->id, &v->record);
	if (!rc)
		rc = slurm_cluster(&v->deadline, v->cluster, sizeof(v->cluster));
	set_name(v);
	return rc;
}

static const char *state_of(const struct verb *v)
{
	return slurm_field(v->record, "JobState") ? : "UNKNOWN";
}

static int check_step(struct verb *v)
{
	json_t *steps, *step;
	bool found = false;
	const char *name;
	size_t i;
	int rc;

	if (!*v->step)
		return CK_OK;
	/* Asked for a step that has ended, scontrol fails without a word. */
	rc = slurm_steps(&v->deadline, v->id, &steps);
	json_array_foreach(steps, i, step) {
		name = slurm_field(step, "StepId");
		found |= name && strcmp(name, v->name) == 0;
	}
	json_decref(steps);
	return rc || found ? rc : fail(CK_NOTFOUND, "job %s has no step %s that is running", v->id,
				       v->step);
}

static int check_running(struct verb *v)
{
	if (strcmp(state_of(v), "RUNNING") != 0)
		return fail(CK_NOTFOUND, "job %s is not running, but %s", v->id, state_of(v));
	return check_step(v);
}

/* It may still wait for its turn, or be suspended. */
static int check_not_over(struct verb *v)
{
	static const char *const alive[] = {
		"PENDING", "RUNNING", "SUSPENDED", "CONFIGURING", "REQUEUED", "STOPPED",
	};
	size_t i;

	for (i = 0; i < sizeof(alive) / sizeof(alive[0]); i++)
		if (strcmp(state_of(v), alive[i]) == 0)
			return check_step(v);
	return fail(CK_NOTFOUND, "job %s is over: it is %s", v->id, state_of(v));
}

static int done(struct verb *v, int rc)
{
	json_decref(v->record);
	if (v->stop_fd >= 0)
		close(v->stop_fd);
	return rc;
}

static const char *clock_text(int64_t seconds, char *buf, size_t size)
{
	time_t when = (time_t)seconds;
	struct tm tm;

	if (!localtime_r(&when, &tm) || !strftime(buf, size, "%FT%T", &tm))
		snprintf(buf, size, "%jd", (intmax_t)seconds);
	return buf;
}

/* ---- able, disable, enable, error ---- */

static const char able_usage[] =
	"Usage: ckctl able [OPTION]… JOB[.STEP]\n"
	"Tell whether a job of Slurm can be checkpointed: \"Yes\", \"No\" when its checkpoints are\n"
	"disabled, or \"Began at\" and the time when one is under way.\n\n"
	"      --json    as JSON\n"
	"  -q, --quiet   no notices\n";

/* All of a job is saved, or nothing. */
static bool has_disabled_step(const struct verb *v)
{
	json_t *steps, *step;
	bool disabled = false;
	const char *name;
	size_t i;

	if (*v->step || slurm_steps(&v->deadline, v->id, &steps))
		return false;
	json_array_foreach(steps, i, step) {
		name = slurm_field(step, "StepId");
		disabled |= name && control_disabled(v->cluster, name, NULL);
	}
	json_decref(steps);
	return disabled;
}

/* Of a step, that of its job counts as well. */
static bool is_disabled(const struct verb *v)
{
	struct capture outer;
	bool disabled;

	outer = fail_mute();
	disabled = policy_allowed() != CK_OK || control_disabled(v->cluster, v->name, NULL) ||
		   control_disabled(v->cluster, v->id, NULL) || has_disabled_step(v);
	fail_restore(outer);
	return disabled;
}

static int print_able(const struct verb *v)
{
	bool disabled = is_disabled(v);
	int64_t since = 0;
	char buf[64];
	bool began = control_under_way(v->cluster, v->name, &since) ||
		     control_under_way(v->cluster, v->id, &since);

	if (out_json)
		return json_print(json_pack("{s:o, s:b, s:o}", "job", json_text(v->name), "able",
					    !disabled, "began",
					    began ? json_integer(since) : json_null()));
	if (began)
		printf("Began at %s\n", clock_text(since, buf, sizeof(buf)));
	else
		puts(disabled ? "No" : "Yes");
	return CK_OK;
}

int cmd_able(int argc, char **argv)
{
	struct verb v = { .stop_fd = -1 };
	int rc = parse(&v, argc, argv, plain, able_usage);

	if (rc != CMD_GO_ON)
		return rc;
	rc = find(&v);
	if (!rc)
		rc = check_running(&v);
	return done(&v, rc ? rc : print_able(&v));
}

static const char disable_usage[] =
	"Usage: ckctl disable [OPTION]… JOB[.STEP]\n"
	"Have no checkpoints made of a job of Slurm, or of one of its steps, neither at its interval\n"
	"nor by \"ckctl create\", until \"ckctl enable\" allows them again.\n\n"
	"  -q, --quiet   no notices\n";

static const char enable_usage[] =
	"Usage: ckctl enable [OPTION]… JOB[.STEP]\n"
	"Allow the checkpoints again of a job of Slurm, or of one of its steps, that \"ckctl\n"
	"disable\" has disabled, however often.\n\n"
	"  -q, --quiet   no notices\n";

static int set_disabled(int argc, char **argv, const char *usage, bool disable)
{
	struct verb v = { .stop_fd = -1 };
	int rc = parse(&v, argc, argv, plain, usage);

	if (rc != CMD_GO_ON)
		return rc;
	rc = find(&v);
	if (!rc)
		rc = check_not_over(&v);
	return done(&v, rc ? rc : control_disable(v.cluster, v.name, disable));
}

int cmd_disable(int argc, char **argv)
{
	return set_disabled(argc, argv, disable_usage, true);
}

int cmd_enable(int argc, char **argv)
{
	return set_disabled(argc, argv, enable_usage, false);
}

static const char error_usage[] =
	"Usage: ckctl error [OPTION]… JOB[.STEP]\n"
	"Tell why the last checkpoint of a job of Slurm, or of a step, has failed: \"error(N): \" and\n"
	"the reason, where N is the exit status that ckctl ended with, or \"no error\".\n\n"
	"      --json    as JSON\n"
	"  -q, --quiet   no notices\n";

static int print_error(const struct verb *v)
{
	struct control_failure f;
	bool failed = control_failed(v->cluster, v->name, &f);

	if (out_json)
		return json_print(json_pack("{s:o, s:o, s:o, s:o}", "job", json_text(v->name), "code",
					    json_integer(failed ? f.code : 0), "time",
					    failed ? json_integer(f.time) : json_null(), "sentence",
					    failed ? json_text(f.sentence) : json_null()));
	if (!failed) {
		puts("no error");
		return CK_OK;
	}
	printf("error(%d): ", f.code);
	print_text(f.sentence);
	putchar('\n');
	return CK_OK;
}

int cmd_error(int argc, char **argv)
{
	struct capture outer;
	struct verb v = { .stop_fd = -1 };
	int rc = parse(&v, argc, argv, plain, error_usage), found;
	char sentence[1024];

	if (rc != CMD_GO_ON)
		return rc;
	outer = fail_capture(sentence, sizeof(sentence));
	found = find(&v);
	fail_restore(outer);
	/* One that Slurm has forgotten is still known here. */
	if (found == CK_NOTFOUND) {
		snprintf(v.id, sizeof(v.id), "%s", v.job);
		set_name(&v);
		if (registry_find(v.id, v.cluster, sizeof(v.cluster)))
			found = CK_OK;
	}
	return done(&v, found ? fail(found, "%s", sentence) : print_error(&v));
}

/* ---- vacate, requeue ---- */

static const char vacate_usage[] =
	"Usage: ckctl vacate [OPTION]… JOB[.STEP] [ImageDir=DIR] [MaxWait=SECONDS]\n"
	"Checkpoint a job of Slurm, or one of its steps, and end it then.  When the checkpoint fails\n"
	"it runs on.\n\n"
	"      --image-dir=DIR   the same as ImageDir=DIR\n"
	"      --max-wait=SECONDS  the same as MaxWait=SECONDS\n"
	"      --json            the checkpoint as JSON\n"
	"  -q, --quiet           no progress, no notices\n";

/* For a command that a signal may end between its steps, too, and not in their middle. */
static int find_to_end(struct verb *v)
{
	v->stop_fd = checkpoint_signal_fd();
	return v->stop_fd < 0 ? fail_errno(errno, "cannot watch for signals") : find(v);
}

static int create(const struct verb *v)
{
	const struct coordinate_request req = {
		.job = v->job, .step = v->step, .image_dir = v->target.image_dir,
		.max_wait_ms = v->target.max_wait_ms,
	};

	return cmd_create_job(&req);
}

int cmd_vacate(int argc, char **argv)
{
	struct verb v = { .stop_fd = -1 };
	const char *const scancel[] = { "scancel", v.name, NULL };
	int rc = parse(&v, argc, argv, with_image, vacate_usage);
	char *out;

	if (rc != CMD_GO_ON)
		return rc;
	rc = find_to_end(&v);
	if (!rc)
		rc = check_running(&v);
	if (!rc)
		rc = create(&v);
	if (!rc)
		rc = slurm_run(&v.deadline, scancel, &out, NULL);
	if (!rc)
		free(out);
	if (!rc && !out_json)
		printf("ended %s\n", v.name);
	return done(&v, rc);
}

static const char requeue_usage[] =
	"Usage: ckctl requeue [OPTION]… JOB [ImageDir=DIR] [MaxWait=SECONDS]\n"
	"Checkpoint a batch job of Slurm, and requeue it then: it goes on from there as soon as Slurm\n"
	"finds room for it.  When the checkpoint fails it runs on.\n\n"
	"      --image-dir=DIR   the same as ImageDir=DIR\n"
	"      --max-wait=SECONDS  the same as MaxWait=SECONDS\n"
	"      --json            the checkpoint as JSON\n"
	"  -q, --quiet           no progress, no notices\n";

/* Its output file would be emptied, and then be no file any more that it could go on with. */
static void warn_of_output(const struct verb *v)
{
	struct registry_entry entry;

	if (registry_read(v->cluster, v->id, &entry) == CK_OK && !*entry.image_dir)
		note("job %s was submitted without --checkpoint and --checkpoint-dir; unless it was with "
		     "--open-mode=append, Slurm empties its output file, and it begins from the start",
		     v->id);
}

int cmd_requeue(int argc, char **argv)
{
	struct verb v = { .stop_fd = -1 };
	int rc = parse(&v, argc, argv, with_image, requeue_usage);

	if (rc != CMD_GO_ON)
		return rc;
	if (*v.step)
		return cmd_usage(argv, "a step cannot be requeued, only its job can");
	rc = find_to_end(&v);
	if (!rc)
		rc = check_running(&v);
	if (!rc)
		rc = requeue_check(v.id, v.record);
	if (!rc)
		warn_of_output(&v);
	if (!rc)
		rc = create(&v);
	if (!rc)
		rc = requeue(&v.deadline, v.id, NULL);
	if (!rc && !out_json)
		printf("requeued %s\n", v.name);
	return done(&v, rc);
}
