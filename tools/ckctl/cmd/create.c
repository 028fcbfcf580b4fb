// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "checkpoint/checkpoint.h"
#include "job/coordinate.h"
#include "job/enter.h"
#include "job/target.h"
#include "job/whereabouts.h"
#include "json.h"
#include "out.h"
#include "policy.h"
#include "self.h"

static const char usage[] =
	"Usage: ckctl create [OPTION]… TARGET [ImageDir=DIR] [MaxWait=SECONDS]\n"
	"       ckctl create [OPTION]… --cgroup=PATH [ImageDir=DIR] [MaxWait=SECONDS]\n"
	"       ckctl create [--json] [-q] self [ImageDir=DIR] [MaxWait=SECONDS]\n"
	"Checkpoint a job now: TARGET is the name that \"ckctl run\" gave it, or a job of Slurm\n"
	"(5, 5_3) on all its nodes, or a step of one (5.0).  The image is DIR/TARGET.ckpt, of\n"
	"5_3 with the number that Slurm gives that task; DIR is where it was told to go when\n"
	"the job was started, where the site wants it, or here.\n"
	"\"self\" is for a program that asks for a checkpoint of its own job, and waits for it:\n"
	"\"made\" is what it reads then, and \"restarted\" when it continues from that image.\n"
	"The number of its own job of Slurm, or of its own step, is for all of that.\n\n"
	"      --cgroup=PATH     all processes of this cgroup, and of those below it\n"
	"      --name=ID         with --cgroup, name of the image (that of the cgroup)\n"
	"      --image-dir=DIR   the same as ImageDir=DIR\n"
	"      --max-wait=SECONDS  the same as MaxWait=SECONDS: when the checkpoint is not\n"
	"                        complete by then, it has failed and the job runs on\n"
	"      --keep=N          keep the last N checkpoints (as it was started,\n"
	"                        else the site's, or 1)\n"
	"      --kill            end the job when the checkpoint is complete\n"
	"      --leave-frozen    leave the job frozen then; \"ckctl thaw\" lets it run on\n"
	"      --stop            write while the job stands still, not behind its back\n"
	"      --stream          have the pages sent instead of written by the kernel\n"
	"      --json            the result as JSON\n"
	"  -q, --quiet           no progress, no notices\n";

enum {
	OPT_CGROUP = CMD_JSON + 1, OPT_NAME, OPT_IMAGE_DIR, OPT_MAX_WAIT, OPT_KEEP, OPT_KILL,
	OPT_LEAVE_FROZEN, OPT_STOP, OPT_STREAM,
};

static const struct option options[] = {
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "image-dir", required_argument, NULL, OPT_IMAGE_DIR },
	{ "max-wait", required_argument, NULL, OPT_MAX_WAIT },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "kill", no_argument, NULL, OPT_KILL },
	{ "leave-frozen", no_argument, NULL, OPT_LEAVE_FROZEN },
	{ "stop", no_argument, NULL, OPT_STOP },
	{ "stream", no_argument, NULL, OPT_STREAM },
	CMD_OPTIONS
};

static int parse_option(int c, struct target *t, struct checkpoint_request *req)
{
	switch (c) {
	case OPT_CGROUP:
		t->cgroup = optarg;
		return CMD_GO_ON;
	case OPT_NAME:
		t->id = optarg;
		return CMD_GO_ON;
	case OPT_IMAGE_DIR:
		t->image_dir = optarg;
		return CMD_GO_ON;
	case OPT_MAX_WAIT:
		return target_max_wait(t, optarg) ? CK_USAGE : CMD_GO_ON;
	case OPT_KEEP:
		return job_parse_keep(&req->keep, optarg) ? CK_USAGE : CMD_GO_ON;
	case OPT_KILL:
		req->kill = true;
		return CMD_GO_ON;
	case OPT_LEAVE_FROZEN:
		req->leave_frozen = true;
		return CMD_GO_ON;
	case OPT_STOP:
		req->stop = true;
		return CMD_GO_ON;
	case OPT_STREAM:
		req->stream = true;
		return CMD_GO_ON;
	default:
		return cmd_option(c, usage);
	}
}

static int parse(int argc, char **argv, struct target *t, struct checkpoint_request *req)
{
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		rc = parse_option(c, t, req);
		if (rc != CMD_GO_ON)
			return rc;
	}
	for (; optind < argc; optind++)
		if (target_operand(t, argv[optind]))
			return CK_USAGE;
	if (req->kill && req->leave_frozen)
		return cmd_usage(argv, "--kill and --leave-frozen exclude each other");
	return CMD_GO_ON;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

/* What is said of it all the same, for --json: with -q as well, as programs call it. */
static json_t *notes;

static bool keep_note(const char *sentence, bool done)
{
	(void)done;
	json_array_append_new(notes, json_text(sentence));
	return true;
}

static void keep_notes(void)
{
	notes = json_array();
	out_hear = keep_note;
}

/* ---- a job of Slurm ---- */

static int print_job(const struct coordinate_result *res)
{
	double seconds = (double)res->duration_ns / 1e9;
	uint64_t rate = seconds > 0 ? (uint64_t)((double)res->bytes / seconds) : 0;
	size_t nodes = json_array_size(res->nodes);

	if (res->batch && !res->drained)
		note(COORDINATE_NOT_DRAINED);
	if (out_json)
		return json_print(json_pack("{s:o, s:I, s:I, s:I, s:f, s:f, s:I, s:O, s:o*, s:o}",
			"image", json_text(res->image), "tasks", (json_int_t)res->nr_tasks,
			"threads", (json_int_t)res->nr_threads, "bytes", (json_int_t)res->bytes,
			"seconds", seconds, "standstill_ms", (double)res->standstill_ns / 1e6,
			"generation", (json_int_t)res->generation, "nodes", res->nodes,
			"drained", res->batch ? json_boolean(res->drained) : NULL, "notes",
			json_incref(notes)));
	printf("made %s: %ju task%s, %ju thread%s on %zu node%s, %s in %.2f s (%s/s), stood still %s\n",
	       res->image, (uintmax_t)res->nr_tasks, plural(res->nr_tasks),
	       (uintmax_t)res->nr_threads, plural(res->nr_threads), nodes, plural(nodes),
	       human_bytes(res->bytes), seconds, human_bytes(rate), human_ns(res->standstill_ns));
	return CK_OK;
}

int cmd_create_job(const struct coordinate_request *req)
{
	struct coordinate_result res;
	int rc;

	keep_notes();
	rc = coordinate(req, &res);
	if (!rc)
		rc = print_job(&res);
	coordinate_result_free(&res);
	return rc;
}

static int create_job(char **argv, const struct target *t, const struct checkpoint_request *from,
		      const char *job, const char *step)
{
	const struct coordinate_request req = {
		.job = job, .step = step, .image_dir = t->image_dir, .keep = from->keep,
		.max_wait_ms = t->max_wait_ms,
	};

	if (from->kill || from->leave_frozen || from->stop || from->stream)
		return cmd_usage(argv, "--kill, --leave-frozen, --stop and --stream do not go with a "
				 "job of Slurm");
	return cmd_create_job(&req);
}

static int create_self(char **argv, const struct target *t, const struct checkpoint_request *from,
		       const char *cgroup)
{
	if (from->kill || from->leave_frozen || from->stop || from->stream || from->keep)
		return cmd_usage(argv, "only ImageDir and MaxWait go with a job that is ckctl's own");
	return self_create(t, cgroup);
}

/* ---- a cgroup ---- */

static int print(const struct checkpoint_result *res)
{
	double seconds = (double)res->duration_ns / 1e9;
	uint64_t rate = seconds > 0 ? (uint64_t)((double)res->bytes / seconds) : 0;

	if (out_json)
		return json_print(json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:I, s:o}",
			"image", json_text(res->image), "tasks", (json_int_t)res->nr_tasks,
			"threads", (json_int_t)res->nr_threads, "bytes", (json_int_t)res->bytes,
			"pages", (json_int_t)res->nr_pages, "zero_pages", (json_int_t)res->nr_zero,
			"copied_pages", (json_int_t)res->nr_copied, "seconds", seconds,
			"standstill_ms", (double)res->standstill_ns / 1e6,
			"generation", (json_int_t)res->generation, "notes",
			json_incref(notes)));
	printf("made %s: %ju task%s, %ju thread%s, %s in %.2f s (%s/s), stood still %s\n",
	       res->image, (uintmax_t)res->nr_tasks, plural(res->nr_tasks),
	       (uintmax_t)res->nr_threads, plural(res->nr_threads), human_bytes(res->bytes),
	       seconds, human_bytes(rate), human_ns(res->standstill_ns));
	return CK_OK;
}

int cmd_create(int argc, char **argv)
{
	struct checkpoint_request req = { 0 };
	struct checkpoint_result res;
	struct target t = { 0 };
	char id[32], step[16], cgroup[PATH_MAX];
	struct job job;
	int rc;

	rc = parse(argc, argv, &t, &req);
	if (rc != CMD_GO_ON)
		return rc;
	cmd_conf_notes();
	if (self_is(&t))
		return create_self(argv, &t, &req, NULL);
	if (target_slurm(&t, id, sizeof(id), step, sizeof(step)))
		return whereabouts_among(id, step, cgroup, sizeof(cgroup)) ?
			create_self(argv, &t, &req, cgroup) :
			create_job(argv, &t, &req, id, step);
	rc = policy_allowed();
	if (!rc)
		rc = target_find(&t, &job);
	if (rc)
		return rc;
	cmd_request(&req, &t, &job);
	req.image_dir = job.image_dir;
	if (!req.keep)
		req.keep = job.keep;
	rc = job_enter(job.cgroup, &req.view);
	if (rc)
		return rc;
	keep_notes();
	rc = checkpoint_make(&req, &res);
	if (!rc)
		rc = print(&res);
	checkpoint_result_free(&res);
	return rc;
}
