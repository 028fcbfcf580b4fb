// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "image/jobimage.h"
#include "interval.h"
#include "job/cgroup.h"
#include "job/janitor.h"
#include "job/slurm.h"
#include "job/supervise.h"
#include "job/target.h"
#include "json.h"
#include "out.h"
#include "policy.h"
#include "restart/start.h"
#include "restart_job.h"

static const char usage[] =
	"Usage: ckctl restart [OPTION]… IMAGE[@GENERATION] [ImageDir=DIR]\n"
	"       ckctl restart [OPTION]… JOB[@GENERATION] [ImageDir=DIR] [StickToNodes]\n"
	"Continue a job from its last checkpoint.  IMAGE is a path, or the name of a job,\n"
	"looked up as NAME.ckpt in ImageDir or the current directory.  The job gets the\n"
	"standard streams of this command, which passes signals on to it and ends as it\n"
	"ends.\n"
	"JOB is the number of a batch job of Slurm, or IMAGE that of one: it goes on where\n"
	"Slurm finds room for it, under its own number while Slurm knows it.  The other\n"
	"options do not go with it.\n\n"
	"      --checkpoint=INTERVAL  checkpoint the job again, at this interval\n"
	"      --detach               return when the job runs\n"
	"      --force                accept files that were changed since the checkpoint\n"
	"      --image-dir=DIR        the same as ImageDir=DIR\n"
	"      --keep=N               keep the last N checkpoints (the site's, or 1)\n"
	"      --name=ID              name of the job (that of the image)\n"
	"      --pid-namespace=WHEN   auto: in a pid namespace of its own when its process ids\n"
	"                             are taken here (the default); always; never\n"
	"      --pidfile=FILE         write the id of the job's first process to FILE\n"
	"      --stick-to-nodes       the same as StickToNodes: on the nodes where the\n"
	"                             checkpoint was made\n"
	"      --json                 what was restarted, as JSON, with --detach\n"
	"  -q, --quiet                no progress, no notices\n";

enum {
	OPT_CHECKPOINT = CMD_JSON + 1, OPT_DETACH, OPT_FORCE, OPT_IMAGE_DIR, OPT_KEEP, OPT_NAME,
	OPT_PID_NAMESPACE, OPT_PIDFILE, OPT_STICK_TO_NODES,
};

static const struct option options[] = {
	{ "checkpoint", required_argument, NULL, OPT_CHECKPOINT },
	{ "detach", no_argument, NULL, OPT_DETACH },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "image-dir", required_argument, NULL, OPT_IMAGE_DIR },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "pid-namespace", required_argument, NULL, OPT_PID_NAMESPACE },
	{ "pidfile", required_argument, NULL, OPT_PIDFILE },
	{ "stick-to-nodes", no_argument, NULL, OPT_STICK_TO_NODES },
	CMD_OPTIONS
};

struct request_line {
	const char *image, *image_dir, *name, *pidfile;
	uint64_t interval_s;
	unsigned int keep;
	bool detach, force, same_nodes;
	bool plain;			/* with an option that is not for jobs of Slurm */
	enum start_pidns pidns;
};

/* ---- the command line ---- */

static int parse_operand(struct request_line *q, char **argv, const char *arg)
{
	if (strncasecmp(arg, "ImageDir=", 9) == 0)
		q->image_dir = arg + 9;
	else if (strcasecmp(arg, "StickToNodes") == 0)
		q->same_nodes = true;
	else if (!q->image)
		q->image = arg;
	else
		return cmd_usage(argv, "restart takes one image, \"%s\" is too many", arg);
	return CK_OK;
}

static int parse_pidns(struct request_line *q, char **argv, const char *when)
{
	static const char *const words[] = { "auto", "always", "never" };
	unsigned int i;

	for (i = 0; i < 3; i++) {
		if (strcmp(when, words[i]) != 0)
			continue;
		q->pidns = i;
		return CK_OK;
	}
	return cmd_usage(argv, "--pid-namespace takes auto, always or never, not \"%s\"", when);
}

static int parse(struct request_line *q, int argc, char **argv)
{
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		rc = CK_OK;
		q->plain |= c > CMD_JSON && c != OPT_IMAGE_DIR && c != OPT_STICK_TO_NODES;
		switch (c) {
		case OPT_CHECKPOINT:
			rc = interval_parse(optarg, &q->interval_s);
			break;
		case OPT_DETACH:
			q->detach = true;
			break;
		case OPT_FORCE:
			q->force = true;
			break;
		case OPT_IMAGE_DIR:
			q->image_dir = optarg;
			break;
		case OPT_KEEP:
			rc = job_parse_keep(&q->keep, optarg);
			break;
		case OPT_NAME:
			q->name = optarg;
			rc = job_check_id(optarg);
			break;
		case OPT_PID_NAMESPACE:
			rc = parse_pidns(q, argv, optarg);
			break;
		case OPT_PIDFILE:
			q->pidfile = optarg;
			break;
		case OPT_STICK_TO_NODES:
			q->same_nodes = true;
			break;
		default:
			rc = cmd_option(c, usage);
			if (rc == CMD_GO_ON)
				rc = CK_OK;
			else
				return rc == CK_OK ? CMD_GO_ON : rc;
		}
		if (rc)
			return rc;
	}
	for (; optind < argc; optind++) {
		rc = parse_operand(q, argv, argv[optind]);
		if (rc)
			return rc;
	}
	if (!q->image)
		return cmd_usage(argv, "restart what?  Give the image or the name of the job");
	if (q->detach && q->interval_s)
		return cmd_usage(argv, "--checkpoint needs somebody who stays: not with --detach");
	return CK_OK;
}

static int find_image(const struct request_line *q, char *path, size_t size)
{
	const char *at = strrchr(q->image, '@');
	char name[4400];
	size_t len;
	int rc;

	if (!q->image_dir || strchr(q->image, '/'))
		return cmd_image_path(path, size, q->image);
	if (!at)
		return image_path(path, size, q->image_dir, q->image);
	snprintf(name, sizeof(name), "%.*s", (int)(at - q->image), q->image);
	rc = image_path(path, size, q->image_dir, name);
	len = strlen(path);
	if (!rc && len + strlen(at) < size)
		strcpy(path + len, at);
	return rc;
}

/* ---- the steps ---- */

/* 0: it is there, and still empty. */
static int write_pidfile(const struct request_line *q, pid_t pid)
{
	FILE *file = q->pidfile ? fopen(q->pidfile, "we") : NULL;
	bool ok = file && (!pid || fprintf(file, "%d\n", pid) > 0);

	if (file && fclose(file) != 0)
		ok = false;
	return ok || !q->pidfile ? CK_OK : fail_errno(errno, "cannot write %s", q->pidfile);
}

/* The job that it becomes: its checkpoints go where the image is. */
static int describe(const struct request_line *q, const struct image *image, struct job *job)
{
	const char *name = q->name ? q->name : image->meta.id;
	char *path = realpath(image->path, NULL);
	int rc;

	memset(job, 0, sizeof(*job));
	job->keep = q->keep;
	if (!path)
		return fail_errno(errno, "cannot find the directory of %s", image->path);
	snprintf(job->image_dir, sizeof(job->image_dir), "%s", dirname(path));
	free(path);
	rc = job_check_id(name);
	if (!rc)
		memcpy(job->id, name, strlen(name) + 1);
	return rc;
}

static int tell(const struct restart *r, const struct job *job, const struct request_line *q,
		uint64_t ns)
{
	const struct image *img = r->image;
	size_t nr_tasks = img->nr_processes - img->nr_relaunched;
	char anew[48] = "";

	if (out_json && q->detach)
		return json_print(json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "id",
					    json_text(job->id), "pid", (json_int_t)r->main, "tasks",
					    (json_int_t)nr_tasks, "threads",
					    (json_int_t)r->tree.nr_threads, "relaunched",
					    (json_int_t)img->nr_relaunched, "bytes",
					    (json_int_t)img->meta.bytes, "ns", (json_int_t)ns,
					    "cgroup", json_text(job->cgroup)));
	if (img->nr_relaunched)
		snprintf(anew, sizeof(anew), ", %zu started anew", img->nr_relaunched);
	/* stdout is the job's own, unless there is nobody else to read it. */
	if (!out_quiet)
		fprintf(q->detach ? stdout : stderr, "restarted %s: %zu task%s, %zu thread%s%s, %s in %s\n",
			job->id, nr_tasks, nr_tasks == 1 ? "" : "s", r->tree.nr_threads,
			r->tree.nr_threads == 1 ? "" : "s", anew, human_bytes(img->meta.bytes),
			human_ns(ns));
	return CK_OK;
}

static int look(struct restart *r, const struct request_line *q, const char *path)
{
	struct image *image;
	int rc = image_open(&image, path);

	if (!rc)
		rc = start_look(r, image, q->pidns);
	return rc == VDSO_TAKEN ? start_again() : rc;
}

static int run(struct restart *r, const struct request_line *q, struct started *started)
{
	int rc = write_pidfile(q, start_is_apart(r, q->pidns) ? 0 : r->tree.main);

	if (!rc)
		rc = start_run(r, q->pidns, started);
	/* It is too late for that to be the end of anything. */
	if (!rc && started->status_fd >= 0)
		write_pidfile(q, r->main);
	return rc;
}

/* The restarted job runs in a cgroup and under a name of its own. */
static int start(struct restart *r, struct job *job, const struct request_line *q,
		 struct started *started)
{
	sigset_t old;
	int rc, guard = -1;

	rc = cgroup_place(job->id, job->cgroup, sizeof(job->cgroup));
	if (!rc)
		rc = job_guard(job, &guard);
	if (rc)
		return rc;
	rc = cgroup_make(job->cgroup, &r->cgroup_fd);
	job_guard_cgroup(guard, r->cgroup_fd);
	if (rc)
		return rc;
	/* From here on they end the restart in good order, later they are the job's. */
	job_block_signals(&old, false);
	rc = job_register(job);
	if (!rc)
		rc = run(r, q, started);
	if (rc) {
		cgroup_remove(job->cgroup);
		job_unregister(job);
	}
	return rc;
}

/* ---- jobs of Slurm ---- */

static bool is_kind(const char *path, enum image_kind expected)
{
	struct capture outer;
	enum image_kind kind;
	int rc;

	outer = fail_mute();
	rc = image_kind_of(path, &kind);
	fail_restore(outer);
	return rc == CK_OK && kind == expected;
}

/* A number is a job of Slurm's where no image of that name is another's; a path is what is there. */
static bool is_slurms(const struct request_line *q, const char *path, char *job, size_t size,
		      struct restart_job_request *req)
{
	const char *at = strrchr(q->image, '@');
	char name[64], step[16];

	*req = (struct restart_job_request){ .image_dir = q->image_dir, .same_nodes = q->same_nodes };
	snprintf(name, sizeof(name), "%.*s", at ? (int)(at - q->image) : (int)sizeof(name) - 1, q->image);
	if (!slurm_split(name, job, size, step, sizeof(step))) {
		req->image = path;
		return is_kind(path, IMAGE_JOB);
	}
	if (is_kind(path, IMAGE_PLAIN))
		return false;
	/* Why not a step, its image says. */
	if (*step)
		req->image = path;
	else
		req->job = job;
	req->generation = at;
	return true;
}

int cmd_restart(int argc, char **argv)
{
	struct request_line q = { .keep = policy_keep() };
	struct restart r = { .cgroup_fd = -1 };
	uint64_t began = clock_ns(CLOCK_MONOTONIC);
	struct job job;
	struct started started = { .status_fd = -1 };
	struct restart_job_request slurms;
	char path[4500], number[32];
	int rc;

	rc = parse(&q, argc, argv);
	if (rc)
		return rc == CMD_GO_ON ? CK_OK : rc;
	rc = find_image(&q, path, sizeof(path));
	if (rc)
		return rc;
	if (is_slurms(&q, path, number, sizeof(number), &slurms))
		return q.plain ? cmd_usage(argv, "with a job of Slurm, there are ImageDir and StickToNodes, and "
					   "no other options") : restart_job(&slurms);
	if (q.same_nodes)
		return cmd_usage(argv, "StickToNodes is for jobs of Slurm");
	r.state.force = q.force;
	/* What a careless parent left open: these numbers are for our own use. */
	close_range(RESTART_MIN_FD_BASE, ~0U, 0);
	rc = look(&r, &q, path);
	if (!rc)
		rc = describe(&q, r.image, &job);
	if (!rc)
		rc = start(&r, &job, &q, &started);
	if (rc) {
		restart_release(&r);
		return rc;
	}
	rc = tell(&r, &job, &q, clock_ns(CLOCK_MONOTONIC) - began);
	/* What follows may take days. */
	restart_release(&r);
	if (q.detach)
		return rc;
	rc = job_supervise(&job, started.child, started.status_fd, q.interval_s);
	job_end(&job);
	return rc;
}
