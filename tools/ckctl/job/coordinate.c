// SPDX-License-Identifier: GPL-2.0
#include "coordinate.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "checkpoint/phases.h"
#include "control.h"
#include "crew.h"
#include "deadline.h"
#include "image/dir.h"
#include "image/jobimage.h"
#include "out.h"
#include "policy.h"
#include "registry.h"
#include "slurm.h"
#include "target.h"
#include "whereabouts.h"

/* How long the job stands still for what its tasks have written to arrive. */
#define DRAIN_MS	2000

struct coordinator {
	const struct coordinate_request *req;
	struct coordinate_result *res;
	struct deadline deadline;
	struct checkpoint_group group;	/* for the pauses between attempts */
	uid_t uid;
	char id[32];			/* of the job: a number */
	char name[64];			/* of the image */
	char cluster[256];
	char image_dir[PATH_MAX];
	json_t *job;			/* what Slurm says */
	json_t *steps;			/* those of them that are to be saved, but for batch */
	json_t *nodes;			/* where these may be */
	bool batch;			/* and the batch step */
	bool held;			/* it stands still until all is written */
	bool counts;			/* what comes of it is its last checkpoint */
	struct whereabouts own;
	char here[sizeof(((struct whereabouts *)0)->node)];	/* our node, beside the job; or "" */
	struct job_image_writer *writer;
	struct crew *crew;
};

/* ---- what there is ---- */

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

static bool is_step(const struct coordinator *c)
{
	return c->req->step && *c->req->step;
}

/* The part of a step's id behind the job's. */
static const char *step_name(const json_t *step)
{
	const char *id = slurm_field(step, "StepId");
	const char *dot = id ? strchr(id, '.') : NULL;

	return dot ? dot + 1 : "";
}

static bool is_wanted(const struct coordinator *c, const json_t *step)
{
	const char *title = slurm_field(step, "Name");

	if (!is_number(step_name(step)) || (title && strcmp(title, CREW_NAME) == 0))
		return false;
	return !is_step(c) || strcmp(step_name(step), c->req->step) == 0;
}

static int find_job(struct coordinator *c)
{
	const char *state;
	int rc = slurm_owner(&c->deadline, c->req->job, &c->uid, c->id, sizeof(c->id));

	if (!rc)
		rc = slurm_become(c->uid, c->req->job);
	if (!rc)
		rc = policy_allowed();
	if (!rc)
		rc = slurm_job(&c->deadline, c->id, &c->job);
	if (rc)
		return rc;
	state = slurm_field(c->job, "JobState");
	if (!state || strcmp(state, "RUNNING") != 0)
		return fail(CK_NOTFOUND, "job %s is not running, but %s", c->req->job,
			    state ? state : "unknown to Slurm");
	if (slurm_field(c->job, "HetJobId"))
		return fail(CK_REFUSED, "job %s is part of a heterogeneous job, which cannot be "
			    "checkpointed", c->req->job);
	c->batch = strcmp(slurm_field(c->job, "BatchFlag") ? : "0", "0") != 0 && !is_step(c);
	if (is_step(c))
		snprintf(c->name, sizeof(c->name), "%s.%.16s", c->id, c->req->step);
	else
		snprintf(c->name, sizeof(c->name), "%s", c->id);
	return CK_OK;
}

/* Steps come and go: before each attempt, anew. */
static int find_steps(struct coordinator *c)
{
	json_t *all, *step;
	size_t i;
	int rc = slurm_steps(&c->deadline, c->id, &all);

	if (rc)
		return rc;
	json_decref(c->steps);
	c->steps = json_array();
	json_array_foreach(all, i, step)
		if (is_wanted(c, step))
			json_array_append(c->steps, step);
	json_decref(all);
	if (c->batch || json_array_size(c->steps))
		return CK_OK;
	if (is_step(c))
		return fail(CK_NOTFOUND, "job %s has no step %s that is running", c->id, c->req->step);
	return fail(CK_NOTFOUND, "job %s has no step that is running", c->id);
}

/* A step may begin on any node of the job while we are at work. */
static int find_nodes(struct coordinator *c)
{
	const char *list = slurm_field(is_step(c) ? json_array_get(c->steps, 0) : c->job, "NodeList");

	return list ? slurm_nodes(&c->deadline, list, &c->nodes) :
		      fail(CK_FAILED, "Slurm does not say where job %s runs", c->name);
}

/* ---- where the image goes ---- */

/* A job that is checkpointed every few minutes need not ask each time. */
static int find_cluster(struct coordinator *c)
{
	if (!*c->here || !*c->own.cluster)
		return slurm_cluster(&c->deadline, c->cluster, sizeof(c->cluster));
	strcpy(c->cluster, c->own.cluster);
	return CK_OK;
}

static int find_image_dir(struct coordinator *c)
{
	struct registry_entry entry;
	json_t *path;
	int rc = find_cluster(c);

	/* From here on there is a place to write it down. */
	c->counts = !rc;
	if (!rc)
		rc = registry_read(c->cluster, c->name, &entry);
	/* A step that was given none of its own has the job's. */
	if (!rc && !*entry.image_dir)
		rc = registry_read(c->cluster, c->id, &entry);
	if (!rc)
		rc = target_choose_dir(c->image_dir, sizeof(c->image_dir), c->req->image_dir ? :
				       *entry.image_dir ? entry.image_dir : NULL, c->id);
	if (rc)
		return rc;
	/* It is told to agents, in JSON. */
	path = json_string(c->image_dir);
	json_decref(path);
	return path ? CK_OK : fail(CK_REFUSED, "the image directory must have a name in UTF-8");
}

/* ---- who has a say ---- */

static int check_flag(const struct coordinator *c, const char *name)
{
	struct control_flag flag;

	if (!control_disabled(c->cluster, name, &flag))
		return CK_OK;
	return fail(CK_REFUSED, "the checkpoints of %s were disabled by %s; \"ckctl enable %s\" allows "
		    "them again", name, *flag.by ? flag.by : "somebody", name);
}

/* The job and each of its steps can be disabled: all of it is saved, or nothing. */
static int check_enabled(struct coordinator *c)
{
	const json_t *step;
	char name[64];
	size_t i;
	int rc = check_flag(c, c->id);

	json_array_foreach(c->steps, i, step) {
		snprintf(name, sizeof(name), "%s.%.16s", c->id, step_name(step));
		if (!rc)
			rc = check_flag(c, name);
	}
	c->counts = !rc;
	return rc;
}

/* ---- one attempt ---- */

static int prepare(struct coordinator *c)
{
	int left = deadline_left_ms(&c->deadline);

	return crew_ask(c->crew, json_pack(
		"{s:s, s:s, s:s, s:o, s:I, s:b, s:b}", "cmd", "prepare", "job", c->id,
		"dir", job_image_dir(c->writer), "steps",
		is_step(c) ? json_pack("[s]", c->req->step) : json_null(), "max_wait_ms",
		(json_int_t)(left < 0 ? 0 : left ? left : 1), "batch", (int)c->batch,
		"alone", crew_size(c->crew) == 1));
}

/* What is asked for must have been found somewhere, and without its script a batch
 * job has ended. */
static int check_found(struct coordinator *c)
{
	const json_t *found, *item;
	size_t i, k, nr = 0;
	bool batch = false;

	for (i = 0; i < crew_size(c->crew); i++) {
		found = json_object_get(crew_answer(c->crew, i), "steps");
		json_array_foreach(found, k, item) {
			batch |= strcmp(json_string_value(item), "batch") == 0;
			nr++;
		}
	}
	if (nr && batch == c->batch)
		return CK_OK;
	return fail(CK_NOTFOUND, "%s of job %s %s on %s", c->batch ? "the batch script" : "no process",
		    c->name, c->batch ? "was not found" : "was found",
		    slurm_field(c->job, "NodeList") ? : "its nodes");
}

/* The slowest decides when all run on: where one must be held, the others may as well. */
static bool is_cramped(const struct coordinator *c)
{
	bool cramped = false;
	size_t i;

	for (i = 0; i < crew_size(c->crew); i++)
		cramped |= json_is_true(json_object_get(crew_answer(c->crew, i), "cramped"));
	return cramped;
}

static int ask(struct coordinator *c, const char *cmd)
{
	return crew_ask(c->crew, json_pack("{s:s}", "cmd", cmd));
}

static int freeze(struct coordinator *c, bool batch)
{
	return crew_ask(c->crew, json_pack("{s:s, s:b, s:b}", "cmd", "freeze", "batch", (int)batch,
					   "held", (int)c->held));
}

/* Half of the way of the tasks' output. */
static int drain_half(struct coordinator *c, bool batch, json_t *connections)
{
	size_t i;
	int rc = crew_ask(c->crew, json_pack("{s:s, s:b, s:O, s:i}", "cmd", "drain", "batch",
					     (int)batch, "connections", connections,
					     "wait_ms", DRAIN_MS));

	for (i = 0; i < crew_size(c->crew) && !rc; i++)
		if (!json_is_true(json_object_get(crew_answer(c->crew, i), "drained")))
			c->res->drained = false;
	return rc;
}

static int drain(struct coordinator *c)
{
	json_t *connections = json_array();
	size_t i;
	int rc;

	c->res->drained = true;
	/* Only the node of the batch step has any. */
	for (i = 0; i < crew_size(c->crew); i++)
		json_array_extend(connections, json_object_get(crew_answer(c->crew, i),
							       "connections"));
	rc = drain_half(c, false, connections);
	if (!rc)
		rc = drain_half(c, true, connections);
	json_decref(connections);
	return rc;
}

/* All parts together; an agent has looked at its own. */
static int check_size(struct coordinator *c)
{
	uint64_t pages = 0;
	size_t i;

	for (i = 0; i < crew_size(c->crew); i++)
		pages += (uint64_t)json_integer_value(json_object_get(crew_answer(c->crew, i), "pages"));
	return policy_image_size(c->name, pages * CKPT_PAGE_SIZE);
}

static int attempt(struct coordinator *c)
{
	int rc = prepare(c);

	if (!rc)
		rc = check_found(c);
	c->held = !rc && is_cramped(c);
	if (!rc)
		rc = freeze(c, false);
	if (!rc && c->batch)
		rc = drain(c);
	if (!rc && c->batch)
		rc = freeze(c, true);
	if (!rc)
		rc = ask(c, "snapshot");
	if (!rc)
		rc = check_size(c);
	if (!rc)
		rc = ask(c, "thaw");
	/* What was told to end before it stood still is perhaps half of a job. */
	if (!rc)
		rc = slurm_alive(&c->deadline, c->id);
	return rc ? rc : ask(c, "save");
}

/* ---- the image ---- */

static int take_part(struct coordinator *c, const char *node, const json_t *from,
		     struct image_meta *sum)
{
	const json_t *tasks = json_object_get(from, "tasks"), *item;
	const char *step = json_string_value(json_object_get(from, "step"));
	struct job_part part = { .nr_tasks = json_array_size(tasks) };
	size_t i;
	int rc;

	if (!step || strlen(step) >= sizeof(part.step) || strlen(node) >= sizeof(part.node))
		return fail(CK_FAILED, "%s: the agent saved what it was not asked for", node);
	strcpy(part.step, step);
	strcpy(part.node, node);
	part.tasks = calloc(part.nr_tasks + 1, sizeof(*part.tasks));
	if (!part.tasks)
		return fail(CK_FAILED, "out of memory");
	json_array_foreach(tasks, i, item)
		part.tasks[i] = (struct job_task){
			.rank = (uint32_t)json_integer_value(json_array_get(item, 0)),
			.localid = (uint32_t)json_integer_value(json_array_get(item, 1)),
			.pid = (int32_t)json_integer_value(json_array_get(item, 2)),
		};
	rc = job_image_take(c->writer, &part, sum);
	free(part.tasks);
	return rc;
}

static int take_parts(struct coordinator *c, struct image_meta *sum)
{
	const json_t *parts, *part;
	size_t i, k;
	int rc = CK_OK;

	c->res->nodes = json_array();
	for (i = 0; i < crew_size(c->crew) && !rc; i++) {
		parts = json_object_get(crew_answer(c->crew, i), "parts");
		if (json_array_size(parts))
			json_array_append_new(c->res->nodes, json_string(crew_node(c->crew, i)));
		json_array_foreach(parts, k, part)
			if (!rc)
				rc = take_part(c, crew_node(c->crew, i), part, sum);
	}
	return rc;
}

static int put_record(struct coordinator *c)
{
	json_t *record = json_pack("{s:s, s:s, s:I, s:I, s:b, s:O, s:O, s:O, s:o, s:O*}", "cluster", c->cluster,
				   "job_id", c->id, "uid", (json_int_t)geteuid(),
				   "gid", (json_int_t)getegid(), "batch", (int)c->batch,
				   "nodes", c->nodes, "job", c->job, "steps", c->steps,
				   "exits", crew_collect(c->crew, "exits"),
				   "arguments", crew_told(c->crew, "arguments"));
	char *text;
	int rc;

	if (is_step(c))
		json_object_set_new(record, "step_id", json_string(c->req->step));
	if (c->batch)
		json_object_set_new(record, "drained", json_boolean(c->res->drained));
	text = record ? json_dumps(record, JSON_INDENT(1)) : NULL;
	rc = text ? job_image_put(c->writer, DIR_RECORD, text, strlen(text)) :
		    fail(CK_FAILED, "out of memory");
	free(text);
	json_decref(record);
	return rc;
}

/* What the image does not have, above all. */
static void tell_notes(const struct coordinator *c)
{
	const json_t *notes = crew_notes(c->crew), *item;
	size_t i;

	if (c->held)
		note(CHECKPOINT_HELD_NOTE);
	json_array_foreach(notes, i, item)
		note("%s", json_string_value(item));
}

/* That is what the job continues from, wherever it is.  Who has no home does without. */
static void tell_registry(const struct coordinator *c)
{
	struct capture outer;

	outer = fail_mute();
	registry_made(c->cluster, c->name, c->res->image);
	fail_restore(outer);
}

static int commit(struct coordinator *c)
{
	struct image_meta meta = { .uid = geteuid(), .time = time(NULL) };
	struct job_image_writer *w;
	int rc = take_parts(c, &meta);

	if (!rc && c->batch)
		rc = job_image_adopt(c->writer, DIR_ENVIRON);
	if (!rc)
		rc = put_record(c);
	if (!rc)
		rc = deadline_check(&c->deadline);
	if (rc)
		return rc;
	snprintf(meta.id, sizeof(meta.id), "%s", c->name);
	snprintf(meta.host, sizeof(meta.host), "%s", slurm_field(c->job, "NodeList") ? : "");
	c->res->generation = job_image_number(c->writer);
	c->res->nr_tasks = meta.nr_tasks;
	c->res->nr_threads = meta.nr_threads;
	c->res->bytes = meta.bytes;
	c->res->standstill_ns = meta.standstill_ns;
	w = c->writer;
	c->writer = NULL;
	rc = job_image_commit(w, &meta, c->req->keep ? : policy_keep());
	if (!rc && asprintf(&c->res->image, "%s/%s.ckpt", c->image_dir, c->name) < 0)
		c->res->image = NULL;
	if (!rc)
		tell_notes(c);
	if (!rc && c->res->image)
		tell_registry(c);
	return rc || c->res->image ? rc : fail(CK_FAILED, "out of memory");
}

/* ---- all of it ---- */

static int put_script(struct coordinator *c)
{
	char *text;
	size_t len;
	int rc = slurm_script(&c->deadline, c->id, &text, &len);

	if (rc)
		return rc;
	rc = job_image_put(c->writer, DIR_SCRIPT, text, len);
	free(text);
	return rc;
}

static int begin(struct coordinator *c)
{
	int rc = find_job(c);

	if (!rc)
		rc = find_steps(c);
	if (!rc)
		rc = find_nodes(c);
	if (!rc)
		rc = whereabouts_find(&c->own, c->id, is_step(c) ? c->req->step : "", c->nodes,
				      c->here);
	if (!rc)
		rc = find_image_dir(c);
	if (!rc)
		rc = check_enabled(c);
	if (!rc)
		rc = job_image_begin(&c->writer, c->image_dir, c->name);
	if (!rc && c->batch)
		rc = put_script(c);
	return rc;
}

/* Until one is complete, or has failed for good. */
static int make(struct coordinator *c)
{
	struct capture outer;
	char sentence[1024];
	const json_t *obstacles = NULL;
	bool again;
	int rc, number = 0;
	size_t i;

	do {
		outer = fail_capture(sentence, sizeof(sentence));
		rc = number ? find_steps(c) : CK_OK;
		/* Without steps there is no attempt: what the last one met is of no account. */
		obstacles = rc ? NULL : crew_obstacles(c->crew);
		if (!rc)
			rc = attempt(c);
		again = rc && obstacles && crew_may_try_again(c->crew);
		/* All run on before anything else is done. */
		if (rc) {
			fail_mute();
			again = crew_abort(c->crew) == CK_OK && again;
		}
		fail_restore(outer);
	} while (again && checkpoint_try_again(&c->group, c->req->max_wait_ms, number++));
	if (!rc)
		return commit(c);
	for (i = 0; i < json_array_size(obstacles); i++)
		fail(rc, "%s", json_string_value(json_array_get(obstacles, i)));
	return json_array_size(obstacles) ? rc : fail(rc, "%s", sentence);
}

int coordinate(const struct coordinate_request *req, struct coordinate_result *res)
{
	struct coordinator c = { .req = req, .res = res };
	struct control_way way = { .fd = -1 };
	char what[64];
	int rc, fd;

	memset(res, 0, sizeof(*res));
	fd = checkpoint_signal_fd();
	if (fd < 0)
		return fail_errno(errno, "cannot watch for signals");
	/* An agent that is gone is noticed when it is listened to. */
	signal(SIGPIPE, SIG_IGN);
	snprintf(what, sizeof(what), "job %.32s%s%.16s", req->job, req->step && *req->step ? "." : "",
		 req->step ? req->step : "");
	deadline_begin(&c.deadline, what, req->max_wait_ms, fd);
	checkpoint_group_begin(&c.group, false, fd);
	whereabouts_note(&c.own);
	rc = begin(&c);
	if (!rc)
		way = control_begin(c.cluster, c.name);
	if (!rc)
		rc = crew_start(&c.crew, c.id, c.nodes, *c.here ? c.here : NULL, &c.deadline);
	if (!rc)
		rc = make(&c);
	crew_end(c.crew);
	job_image_abort(c.writer);
	control_over(&way);
	if (c.counts)
		control_ended(c.cluster, c.name, rc, fail_first());
	res->batch = c.batch;
	res->duration_ns = (uint64_t)(deadline_now_ms() - c.deadline.start_ms) * 1000000;
	json_decref(c.job);
	json_decref(c.steps);
	json_decref(c.nodes);
	close(fd);
	return rc;
}

void coordinate_result_free(struct coordinate_result *res)
{
	json_decref(res->nodes);
	free(res->image);
	memset(res, 0, sizeof(*res));
}
