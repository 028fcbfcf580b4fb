// SPDX-License-Identifier: GPL-2.0
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../kmod/version.h"
#include "checkpoint/room.h"
#include "drain.h"
#include "exits.h"
#include "image/dir.h"
#include "json.h"
#include "out.h"
#include "talk.h"
#include "unit.h"
#include "wire.h"

struct agent {
	const char *node;
	int stop_fd;			/* can be read when there is no point in going on */
	struct steps_place place;
	char job[32];
	bool all;			/* all steps that there are, not certain ones */
	struct unit *units;		/* the job's steps here */
	size_t nr;
	/* What is told of a failure: */
	const struct unit *at;
	json_t *obstacles;
	bool again;
	json_t *notes;			/* and of what has gone well */
};

/* ---- the steps ---- */

/* All run on; what was not committed is gone. */
static void drop(struct agent *a)
{
	size_t i;

	/* None stands still until another one has removed its files. */
	for (i = 0; i < a->nr; i++)
		unit_stop(&a->units[i]);
	for (i = 0; i < a->nr; i++)
		unit_end(&a->units[i]);
	free(a->units);
	a->units = NULL;
	a->at = NULL;
	a->nr = 0;
}

static const struct unit *find(const struct agent *a, const char *step)
{
	size_t i;

	for (i = 0; i < a->nr; i++)
		if (strcmp(a->units[i].step.name, step) == 0)
			return &a->units[i];
	return NULL;
}

enum which { ALL, BATCH, OTHERS };

static bool is_of(const struct unit *u, enum which which)
{
	return which == ALL || unit_is_batch(u) == (which == BATCH);
}

/* Wait until all of these have answered. */
static int await(struct agent *a, enum which which)
{
	struct pollfd *pfd = calloc(a->nr + 1, sizeof(*pfd));
	size_t i, owed = 1;
	int rc = pfd ? CK_OK : fail(CK_FAILED, "out of memory");

	while (!rc && owed) {
		pfd[a->nr] = (struct pollfd){ .fd = a->stop_fd, .events = POLLIN };
		for (i = owed = 0; i < a->nr; i++) {
			bool waits = is_of(&a->units[i], which) && !a->units[i].answer;

			owed += waits;
			pfd[i] = (struct pollfd){ .fd = waits ? a->units[i].from : -1,
						  .events = POLLIN };
		}
		if (!owed || (poll(pfd, a->nr + 1, -1) < 0 && errno == EINTR))
			continue;
		a->at = NULL;
		if (pfd[a->nr].revents)
			rc = fail(CK_FAILED, "interrupted");
		for (i = 0; i < a->nr && !rc; i++) {
			a->at = pfd[i].revents ? &a->units[i] : NULL;
			rc = a->at ? unit_hear(&a->units[i]) : CK_OK;
		}
	}
	free(pfd);
	if (!rc)
		a->at = NULL;
	return rc;
}

static json_t *in_step(const struct unit *u, const char *sentence)
{
	json_t *value;
	char *text;

	if (!u)
		return json_text(sentence);
	if (asprintf(&text, "step %s: %s", u->step.name, sentence) < 0)
		return NULL;
	value = json_text(text);
	free(text);
	return value;
}

/* The first of them that says no, and what all have against it. */
static int judge(struct agent *a, enum which which)
{
	const json_t *list, *item;
	const char *text;
	size_t i, k;
	int rc = CK_OK;

	for (i = 0; i < a->nr; i++) {
		const struct unit *u = &a->units[i];

		if (!is_of(u, which) || json_is_true(json_object_get(u->answer, "ok")))
			continue;
		list = json_object_get(u->answer, "obstacles");
		json_array_foreach(list, k, item)
			json_array_append_new(a->obstacles, in_step(u, json_string_value(item)));
		/* Those that have ended are not asked the next time. */
		a->again |= json_is_true(json_object_get(u->answer, "again"));
		if (rc)
			continue;
		a->at = u;
		text = json_string_value(json_object_get(u->answer, "text"));
		rc = fail((int)json_integer_value(json_object_get(u->answer, "code")) ? : CK_FAILED, "%s",
			  text ? text : "");
	}
	return rc;
}

static void take_notes(struct agent *a, enum which which)
{
	const json_t *item;
	size_t i, k;

	for (i = 0; i < a->nr; i++) {
		if (!is_of(&a->units[i], which))
			continue;
		json_array_foreach(json_object_get(a->units[i].answer, "notes"), k, item)
			json_array_append_new(a->notes, in_step(&a->units[i],
								json_string_value(item)));
	}
}

/* Have all of these do something. */
static int have(struct agent *a, enum which which, const json_t *request)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < a->nr && !rc; i++)
		if (is_of(&a->units[i], which))
			rc = unit_ask(&a->units[i], request);
	if (!rc)
		rc = await(a, which);
	if (!rc)
		rc = judge(a, which);
	if (!rc)
		take_notes(a, which);
	return rc;
}

/* ---- the commands ---- */

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

/* A process for each of the steps here; none where the job has none. */
static int start_units(struct agent *a, const json_t *steps, bool batch)
{
	struct step *list;
	size_t nr, i;
	int rc = steps_list(&a->place, &list, &nr);

	if (rc)
		return rc;
	a->units = calloc(nr + 1, sizeof(*a->units));
	if (!a->units)
		rc = fail(CK_FAILED, "out of memory");
	for (i = 0; i < nr && !rc; i++)
		if (is_asked_for(steps, list[i].name) && (batch || strcmp(list[i].name, "batch") != 0))
			rc = unit_start(&a->units[a->nr++], &list[i], a->node);
	free(list);
	return rc;
}

static int check_place(struct agent *a, const char *job)
{
	int rc = steps_here(&a->place);

	if (rc)
		return rc;
	if (*a->place.job_id && strcmp(a->place.job_id, job) != 0)
		return fail(CK_FAILED, "the agent was started in job %s, not in job %s",
			    a->place.job_id, job);
	return CK_OK;
}

/* Is there no room here for a copy of what the job changes while it is written? */
static bool is_cramped(const struct agent *a)
{
	struct room all = { .left = UINT64_MAX };
	size_t i;

	for (i = 0; i < a->nr; i++) {
		uint64_t left = (uint64_t)json_integer_value(json_object_get(a->units[i].answer, "left"));

		all.need += (uint64_t)json_integer_value(json_object_get(a->units[i].answer, "need"));
		if (left < all.left)
			all.left = left;
	}
	return !room_suffices(all);
}

static int prepare(struct agent *a, const json_t *request, json_t *answer)
{
	const char *job = json_string_value(json_object_get(request, "job"));
	const char *dir = json_string_value(json_object_get(request, "dir"));
	json_t *steps = json_object_get(request, "steps"), *list = json_array();
	json_t *theirs = json_deep_copy(request);
	size_t i;
	int rc;

	json_object_set_new(answer, "steps", list);
	drop(a);
	if (!job || !dir || *dir != '/' ||
	    json_integer_value(json_object_get(request, "max_wait_ms")) < 0)
		return fail(CK_FAILED, "the coordinator asks for what cannot be");
	a->all = !json_is_array(steps);
	snprintf(a->job, sizeof(a->job), "%s", job);
	rc = check_place(a, job);
	if (!rc)
		rc = start_units(a, steps, json_is_true(json_object_get(request, "batch")));
	if (a->nr != 1)
		json_object_set_new(theirs, "alone", json_false());
	if (!rc)
		rc = have(a, ALL, theirs);
	json_decref(theirs);
	for (i = 0; i < a->nr && !rc; i++)
		json_array_append_new(list, json_string(a->units[i].step.name));
	json_object_set_new(answer, "cramped", json_boolean(!rc && is_cramped(a)));
	return rc;
}

static int freeze(struct agent *a, const json_t *request, json_t *answer)
{
	bool batch = json_is_true(json_object_get(request, "batch"));
	int rc = have(a, batch ? BATCH : OTHERS, request);

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
		drained = !batch || drain_srun(&batch->step, wait_ms, a->stop_fd);
	} else {
		steps = calloc(a->nr + 1, sizeof(*steps));
		for (i = 0; i < a->nr && steps; i++)
			if (!unit_is_batch(&a->units[i]))
				steps[nr++] = a->units[i].step;
		drained = steps && drain_tasks(steps, nr, json_is_array(connections) ? connections : none,
					       wait_ms, a->stop_fd);
		free(steps);
	}
	json_decref(none);
	json_object_set_new(answer, "drained", json_boolean(drained));
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
	int rc = have(a, ALL, request);
	json_int_t pages = 0;
	size_t i;

	for (i = 0; i < a->nr && !rc; i++)
		pages += json_integer_value(json_object_get(a->units[i].answer, "pages"));
	json_object_set_new(answer, "pages", json_integer(pages));
	return rc ? rc : expect_no_other(a);
}

static int thaw(struct agent *a, const json_t *request, json_t *answer)
{
	(void)answer;
	return have(a, ALL, request);
}

static int save(struct agent *a, const json_t *request, json_t *answer)
{
	json_t *parts = json_array();
	size_t i;
	int rc = have(a, ALL, request);

	json_object_set_new(answer, "parts", parts);
	json_object_set_new(answer, "exits", exits_read(a->job));
	for (i = 0; i < a->nr && !rc; i++)
		json_array_append_new(parts, json_pack("{s:s, s:O, s:O*}", "step", a->units[i].step.name,
						       "tasks", json_object_get(a->units[i].answer, "tasks"),
						       "arguments", json_object_get(a->units[i].answer,
										    "arguments")));
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

	/* Steps end at any time: the next attempt is made without this one. */
	a->again |= rc == CK_NOTFOUND && a->at && a->all;
	drop(a);
	return json_pack("{s:b, s:i, s:o, s:b, s:O}", "ok", 0, "code", rc, "text", text,
			 "again", (int)a->again, "obstacles", a->obstacles);
}

static json_t *serve(struct agent *a, const json_t *request)
{
	struct capture outer;
	const char *name = json_string_value(json_object_get(request, "cmd"));
	json_t *answer = json_object();
	char sentence[1024];
	size_t i;
	int rc;

	a->again = false;
	json_decref(a->obstacles);
	a->obstacles = json_array();
	json_decref(a->notes);
	a->notes = json_array();
	for (i = 0; i < NR_COMMANDS && (!name || strcmp(commands[i].name, name) != 0); i++)
		;
	outer = fail_capture(sentence, sizeof(sentence));
	rc = i < NR_COMMANDS ? commands[i].run(a, request, answer) :
			       fail(CK_FAILED, "the agent does not know the command \"%.40s\"",
				    name ? name : "");
	if (rc) {
		json_decref(answer);
		answer = failure(a, rc, sentence);
	} else {
		json_object_set_new(answer, "ok", json_true());
		json_object_set(answer, "notes", a->notes);
	}
	fail_restore(outer);
	return answer;
}

static int serve_all(struct agent *a, struct wire *w)
{
	struct talk_message message = { 0 };
	struct talk_lines lines = { 0 };
	json_t *request, *answer;
	int rc = CK_OK;
	char *line;

	while (!rc && talk_read(&lines, wire_fd(w)) > 0)
		while (!rc && (line = talk_next(&lines))) {
			if (!talk_add(&message, line, &request))
				rc = fail(CK_FAILED, "the coordinator sends what is no message");
			if (!request)
				continue;
			wire_work(w, true);
			answer = serve(a, request);
			wire_work(w, false);
			json_decref(request);
			if (wire_send(w, answer) < 0)
				rc = fail_errno(errno, "cannot talk to the coordinator");
		}
	talk_message_free(&message);
	talk_lines_free(&lines);
	return rc;
}

int agent_run(const char *node, int in, int out)
{
	struct agent a = { .node = node };
	struct wire *w;
	int rc;

	if (!dir_name_good(node))
		return fail(CK_USAGE, "\"%s\" is no name of a node", node);
	w = wire_open(in, out);
	if (!w)
		return fail_errno(errno, "cannot listen to the coordinator");
	a.stop_fd = wire_fd(w);
	rc = wire_send(w, json_pack("{s:s, s:s}", "hello", node, "version", CKPT_VERSION)) < 0 ?
	     fail_errno(errno, "cannot talk to the coordinator") : serve_all(&a, w);
	drop(&a);
	wire_close(w);
	json_decref(a.obstacles);
	json_decref(a.notes);
	return rc;
}
