// SPDX-License-Identifier: GPL-2.0
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../kmod/version.h"
#include "alive.h"
#include "checkpoint/phases.h"
#include "drain.h"
#include "image/dir.h"
#include "json.h"
#include "out.h"
#include "state/proc.h"
#include "state/state.h"
#include "talk.h"
#include "tasks.h"

/* One step on this node: one part of the image. */
struct unit {
	struct step step;
	struct checkpoint_request req;
	struct checkpoint_result res;
	struct checkpoint *checkpoint;	/* NULL when there is none under way */
	char *dir;			/* of the step's parts */
	struct job_task *tasks;
	size_t nr_tasks;
};

struct agent {
	const char *node;
	int in, out;
	struct steps_place place;
	struct checkpoint_group group;
	bool all;			/* all steps that there are, not certain ones */
	struct unit *units;
	size_t nr;
	const struct unit *at;		/* whose turn it is, for messages */
	json_t *obstacles;
	bool again;
};

static bool is_batch(const struct unit *u)
{
	return strcmp(u->step.name, "batch") == 0;
}

/* ---- the checkpoints ---- */

static json_t *in_step(const struct unit *u, const char *sentence)
{
	char *text;
	json_t *value;

	if (!u)
		return json_text(sentence);
	if (asprintf(&text, "step %s: %s", u->step.name, sentence) < 0)
		return NULL;
	value = json_text(text);
	free(text);
	return value;
}

/* All run on; what was not committed is gone. */
static void drop(struct agent *a)
{
	size_t i, k;

	for (i = 0; i < a->nr; i++) {
		struct unit *u = &a->units[i];

		a->again |= checkpoint_end(u->checkpoint);
		for (k = 0; k < u->res.nr_obstacles; k++)
			json_array_append_new(a->obstacles, in_step(u, u->res.obstacles[k]));
		checkpoint_result_free(&u->res);
		/* The last one of a step that has no part after all. */
		if (u->dir)
			rmdir(u->dir);
		free(u->dir);
		free(u->tasks);
	}
	free(a->units);
	a->units = NULL;
	a->at = NULL;
	a->nr = 0;
}

enum which { ALL, BATCH, OTHERS };

/* Do something with each of these, until it fails. */
static int each(struct agent *a, enum which which, int (*fn)(struct checkpoint *c))
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < a->nr && !rc; i++) {
		if (which != ALL && is_batch(&a->units[i]) != (which == BATCH))
			continue;
		a->at = &a->units[i];
		rc = fn(a->units[i].checkpoint);
	}
	if (!rc)
		a->at = NULL;
	return rc;
}

static int each_pair(struct agent *a, enum which which, int (*ask)(struct checkpoint *c),
		     int (*wait)(struct checkpoint *c))
{
	int rc = each(a, which, ask);

	return rc ? rc : each(a, which, wait);
}

/* ---- prepare ---- */

static bool is_asked_for(const json_t *steps, const char *name)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(steps))
		return true;
	json_array_foreach(steps, i, item)
		if (json_is_string(item) && strcmp(json_string_value(item), name) == 0)
			return true;
	return false;
}

/* The steps of the job here; an empty list where it has none. */
static int list_steps(struct agent *a, const json_t *steps, bool batch)
{
	struct step *list;
	size_t nr, i;
	int rc = steps_list(&a->place, &list, &nr);

	if (rc)
		return rc;
	a->units = calloc(nr ? nr : 1, sizeof(*a->units));
	for (i = 0; i < nr && a->units; i++)
		if (is_asked_for(steps, list[i].name) && (batch || strcmp(list[i].name, "batch") != 0))
			a->units[a->nr++].step = list[i];
	free(list);
	return a->units ? CK_OK : fail(CK_FAILED, "out of memory");
}

static int check_place(struct agent *a, const char *job)
{
	size_t i;
	int rc = steps_here(&a->place);

	if (rc)
		return rc;
	if (*a->place.job_id && strcmp(a->place.job_id, job) != 0)
		return fail(CK_FAILED, "the agent was started in job %s, not in job %s",
			    a->place.job_id, job);
	for (i = 0; i < strlen(job); i++)
		if (job[i] < '0' || job[i] > '9')
			return fail(CK_FAILED, "\"%s\" is no job", job);
	return CK_OK;
}

/* The batch script's environment is what the job is submitted with again. */
static int write_environ(const struct unit *u, const char *dir)
{
	struct job_task task = { .pid = 0 };
	pid_t *pids;
	size_t nr, i, len = 0;
	char *text = NULL, path[PATH_MAX];
	FILE *file;
	int fd, rc = tasks_pids(&u->step, &pids, &nr);

	if (rc)
		return rc;
	for (i = 0; i < nr && !task.pid; i++)
		if (!task_read(&u->step, pids[i], task_parent(pids[i]), &task))
			task.pid = 0;
	free(pids);
	if (task.pid)
		text = task_environ(task.pid, &len);
	if (!text)
		return fail(CK_NOTFOUND, "the batch script has ended");
	snprintf(path, sizeof(path), "%.4000s/" DIR_ENVIRON, dir);
	/* Of an attempt before this one. */
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file || fchmod(fd, 0600) < 0 || fwrite(text, 1, len, file) != len ||
	    fflush(file) == EOF || fsync(fd) < 0)
		rc = fail_errno(errno, "cannot write %s", path);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	free(text);
	return rc;
}

static int prepare_unit(struct agent *a, struct unit *u, const char *dir, uint64_t max_wait_ms)
{
	int rc;

	if (asprintf(&u->dir, "%s/%s", dir, u->step.name) < 0) {
		u->dir = NULL;
		return fail(CK_FAILED, "out of memory");
	}
	rc = job_image_step(dir, u->step.name);
	if (rc)
		return rc;
	u->req = (struct checkpoint_request){
		.cgroup = u->step.user, .id = a->node, .image_dir = u->dir, .keep = 1,
		.max_wait_ms = max_wait_ms,
	};
	return checkpoint_prepare(&u->checkpoint, &u->req, &u->res, &a->group);
}

static int prepare(struct agent *a, const json_t *request, json_t *answer)
{
	const char *job = json_string_value(json_object_get(request, "job"));
	const char *dir = json_string_value(json_object_get(request, "dir"));
	json_int_t max_wait = json_integer_value(json_object_get(request, "max_wait_ms"));
	json_t *steps = json_object_get(request, "steps"), *list = json_array();
	size_t i;
	int rc;

	json_object_set_new(answer, "steps", list);
	drop(a);
	if (!job || !dir || *dir != '/' || max_wait < 0)
		return fail(CK_FAILED, "the coordinator asks for what cannot be");
	a->all = !json_is_array(steps);
	rc = check_place(a, job);
	if (!rc)
		rc = list_steps(a, steps, json_is_true(json_object_get(request, "batch")));
	checkpoint_group_begin(&a->group, (unsigned int)a->nr, a->in);
	for (i = 0; i < a->nr && !rc; i++) {
		a->at = &a->units[i];
		if (is_batch(a->at))
			rc = write_environ(a->at, dir);
		if (!rc)
			rc = prepare_unit(a, &a->units[i], dir, (uint64_t)max_wait);
		if (!rc)
			json_array_append_new(list, json_string(a->at->step.name));
	}
	return rc;
}

/* ---- frozen ---- */

static const struct unit *find(const struct agent *a, const char *step)
{
	size_t i;

	for (i = 0; i < a->nr; i++)
		if (strcmp(a->units[i].step.name, step) == 0)
			return &a->units[i];
	return NULL;
}

static int freeze(struct agent *a, const json_t *request, json_t *answer)
{
	bool batch = json_is_true(json_object_get(request, "batch"));
	int rc = each_pair(a, batch ? BATCH : OTHERS, checkpoint_freeze, checkpoint_frozen);

	if (!rc && !batch && find(a, "batch"))
		json_object_set_new(answer, "connections", drain_connections(&find(a, "batch")->step));
	return rc;
}

static int drain(struct agent *a, const json_t *request, json_t *answer)
{
	json_t *connections = json_object_get(request, "connections"), *none = json_array();
	int wait_ms = (int)json_integer_value(json_object_get(request, "wait_ms"));
	const struct unit *batch = find(a, "batch");
	bool drained = true;
	struct step *steps;
	size_t nr = 0, i;

	if (json_is_true(json_object_get(request, "batch"))) {
		drained = !batch || drain_srun(&batch->step, wait_ms, a->in);
	} else {
		steps = calloc(a->nr ? a->nr : 1, sizeof(*steps));
		for (i = 0; i < a->nr && steps; i++)
			if (!is_batch(&a->units[i]))
				steps[nr++] = a->units[i].step;
		drained = steps && drain_tasks(steps, nr, json_is_array(connections) ? connections : none,
					       wait_ms, a->in);
		free(steps);
	}
	json_decref(none);
	json_object_set_new(answer, "drained", json_boolean(drained));
	return CK_OK;
}

/* Those among the frozen processes whose parents are not. */
static int note_tasks(struct unit *u)
{
	const struct dump *d = checkpoint_dump(u->checkpoint);
	size_t i, k;

	u->tasks = calloc(d->nr_procs ? d->nr_procs : 1, sizeof(*u->tasks));
	if (!u->tasks)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < d->nr_procs; i++) {
		const char *text = proc_status(d->procs[i].status, "PPid");
		pid_t parent = text ? atoi(text) : 0;
		struct job_task *task = &u->tasks[u->nr_tasks];

		for (k = 0; k < d->nr_procs && d->procs[k].pid != parent; k++)
			;
		if (k < d->nr_procs || !task_read(&u->step, d->procs[i].pid, parent, task))
			continue;
		for (k = 0; k < u->nr_tasks && u->tasks[k].rank != task->rank; k++)
			;
		u->nr_tasks += k == u->nr_tasks;
	}
	return CK_OK;
}

/* A step that srun launched after the list was made: begin again, with it. */
static int expect_no_other(struct agent *a)
{
	struct step *list;
	size_t nr, i;
	int rc = a->all ? steps_list(&a->place, &list, &nr) : CK_OK;

	if (rc || !a->all)
		return rc;
	for (i = 0; i < nr && !rc; i++)
		if (!find(a, list[i].name) && strcmp(list[i].name, "batch") != 0) {
			a->again = true;
			rc = fail(CK_FAILED, "step %s began in the middle of the checkpoint",
				  list[i].name);
		}
	free(list);
	return rc;
}

static int snapshot(struct agent *a, const json_t *request, json_t *answer)
{
	int rc = each(a, ALL, checkpoint_snapshot), first = CK_OK;
	size_t i;

	(void)request;
	(void)answer;
	/* What stands against it is to be told of all steps. */
	for (i = 0; i < a->nr && !rc; i++) {
		a->at = &a->units[i];
		rc = checkpoint_snapped(a->units[i].checkpoint);
		if (!rc)
			rc = note_tasks(&a->units[i]);
		if (rc == CK_REFUSED) {
			first = rc;
			rc = CK_OK;
		}
	}
	if (!rc)
		a->at = NULL;
	if (!rc && !first)
		rc = expect_no_other(a);
	return rc ? rc : first;
}

static int thaw(struct agent *a, const json_t *request, json_t *answer)
{
	(void)request;
	(void)answer;
	return each_pair(a, ALL, checkpoint_thaw, checkpoint_thawed);
}

/* ---- save ---- */

static json_t *put_part(const struct unit *u)
{
	json_t *tasks = json_array();
	size_t i;

	for (i = 0; i < u->nr_tasks; i++)
		json_array_append_new(tasks, json_pack("[I, I, I]", (json_int_t)u->tasks[i].rank,
						       (json_int_t)u->tasks[i].localid,
						       (json_int_t)u->tasks[i].pid));
	return json_pack("{s:s, s:o}", "step", u->step.name, "tasks", tasks);
}

static int save(struct agent *a, const json_t *request, json_t *answer)
{
	json_t *parts = json_array();
	size_t i;
	int rc = each(a, ALL, checkpoint_record);

	(void)request;
	json_object_set_new(answer, "parts", parts);
	if (!rc)
		rc = each_pair(a, ALL, checkpoint_write, checkpoint_written);
	if (!rc)
		rc = each(a, ALL, checkpoint_commit);
	for (i = 0; i < a->nr && !rc; i++)
		json_array_append_new(parts, put_part(&a->units[i]));
	if (!rc)
		drop(a);
	return rc;
}

static int stop(struct agent *a, const json_t *request, json_t *answer)
{
	(void)request;
	(void)answer;
	drop(a);
	return CK_OK;
}

/* ---- the talk ---- */

static const struct {
	const char *name;
	int (*run)(struct agent *a, const json_t *request, json_t *answer);
} commands[] = {
	{ "prepare", prepare }, { "freeze", freeze }, { "drain", drain }, { "snapshot", snapshot },
	{ "thaw", thaw }, { "save", save }, { "abort", stop },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static json_t *failure(struct agent *a, int rc, const char *sentence)
{
	json_t *text = in_step(a->at, sentence);

	drop(a);
	return json_pack("{s:b, s:i, s:o, s:b, s:O}", "ok", 0, "code", rc, "text", text,
			 "again", (int)a->again, "obstacles", a->obstacles);
}

static json_t *serve(struct agent *a, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "cmd"));
	json_t *answer = json_object();
	char sentence[1024];
	size_t i;
	int rc;

	a->again = false;
	json_decref(a->obstacles);
	a->obstacles = json_array();
	for (i = 0; i < NR_COMMANDS && (!name || strcmp(commands[i].name, name) != 0); i++)
		;
	fail_capture(sentence, sizeof(sentence));
	rc = i < NR_COMMANDS ? commands[i].run(a, request, answer) :
			       fail(CK_FAILED, "the agent does not know the command \"%.40s\"",
				    name ? name : "");
	if (rc) {
		json_decref(answer);
		answer = failure(a, rc, sentence);
	} else {
		json_object_set_new(answer, "ok", json_true());
	}
	fail_capture(NULL, 0);
	return answer;
}

int agent_run(const char *node, int in, int out)
{
	struct agent a = { .node = node, .in = in, .out = out };
	struct talk_lines lines = { 0 };
	struct talk_message message = { 0 };
	json_t *request, *answer;
	struct alive *alive;
	char *line;
	int rc = CK_OK;

	if (!dir_name_good(node))
		return fail(CK_USAGE, "\"%s\" is no name of a node", node);
	if (talk_send(out, json_pack("{s:s, s:s}", "hello", node, "version", CKPT_VERSION)) < 0)
		return fail_errno(errno, "cannot talk to the coordinator");
	alive = alive_start(out);
	while (!rc && talk_read(&lines, in) > 0)
		while (!rc && (line = talk_next(&lines))) {
			if (!talk_add(&message, line, &request))
				rc = fail(CK_FAILED, "the coordinator sends what is no message");
			if (!request)
				continue;
			alive_work(alive, true);
			answer = serve(&a, request);
			alive_work(alive, false);
			json_decref(request);
			if (talk_send(out, answer) < 0)
				rc = fail_errno(errno, "cannot talk to the coordinator");
		}
	drop(&a);
	alive_end(alive);
	json_decref(a.obstacles);
	talk_message_free(&message);
	talk_lines_free(&lines);
	return rc;
}
