// SPDX-License-Identifier: GPL-2.0
#include "crew.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../kmod/version.h"
#include "channel.h"
#include "deadline.h"
#include "image/dir.h"
#include "json.h"
#include "out.h"
#include "wire.h"

/* An agent at work gives a sign of life every other second. */
#define SILENCE_MS	30000
/* Until all are there: Slurm may be slow with a step, nodes too. */
#define START_MS	120000
/* After one has failed, what others have to say against it. */
#define REST_MS		500
/* After the end of one, why that was. */
#define WORDS_MS	1000

struct member {
	const char *node;		/* in crew.nodes */
	struct channel *channel;	/* NULL before it was there */
	unsigned long rank;
	struct talk_message message;
	json_t *answer;
	unsigned int owed;		/* answers to come */
	int64_t heard_ms;
};

struct crew {
	const struct deadline *deadline;
	json_t *nodes;
	struct channel channels[2];
	size_t nr_channels;
	struct member *members;
	size_t nr;
	json_t *obstacles, *notes;
	bool again;
	int64_t sign_ms;		/* when they heard of us last */
};

/* ---- what they say ---- */

static struct member *member_of(struct crew *c, const struct channel *ch, unsigned long rank)
{
	size_t i;

	for (i = 0; i < c->nr; i++)
		if (c->members[i].channel == ch && c->members[i].rank == rank)
			return &c->members[i];
	return NULL;
}

/* The first word of one that nobody knew of. */
static int greet(struct crew *c, struct channel *ch, unsigned long rank, const char *line)
{
	json_t *hello = json_loads(line, 0, NULL);
	const char *node = json_string_value(json_object_get(hello, "hello"));
	const char *version = json_string_value(json_object_get(hello, "version"));
	size_t i;
	int rc = CK_OK;

	for (i = 0; node && i < c->nr && strcmp(c->members[i].node, node) != 0; i++)
		;
	/* Anything else may come from what Slurm runs before a task. */
	if (node && version && strcmp(version, CKPT_VERSION) != 0)
		rc = fail(CK_FAILED, "%s has ckctl %.40s, here is %s; install one version on all nodes",
			  node, version, CKPT_VERSION);
	else if (node && version && (i == c->nr || c->members[i].channel))
		rc = fail(CK_FAILED, "an agent calls itself %.80s, where none was sent", node);
	else if (node && version) {
		c->members[i].channel = ch;
		c->members[i].rank = rank;
		c->members[i].owed = 0;
	}
	json_decref(hello);
	return rc;
}

static int take_line(struct crew *c, struct channel *ch, unsigned long rank, const char *line)
{
	struct member *m = member_of(c, ch, rank);
	json_t *message;

	if (!m)
		return greet(c, ch, rank, line);
	m->heard_ms = deadline_now_ms();
	if (!talk_add(&m->message, line, &message))
		return fail(CK_FAILED, "%s: the agent sends what is no message", m->node);
	if (!message || json_object_get(message, "alive")) {
		json_decref(message);
		return CK_OK;
	}
	json_decref(m->answer);
	m->answer = message;
	if (m->owed)
		m->owed--;
	return CK_OK;
}

/* An end that nobody asked for. */
static int lost(const struct crew *c, struct channel *ch)
{
	struct pollfd pfd = { .events = POLLIN };
	const char *words, *node = NULL;
	size_t i;

	for (pfd.fd = ch->err; ch->err >= 0 && poll(&pfd, 1, WORDS_MS) > 0;)
		channel_read_words(ch);
	words = channel_words(ch);
	for (i = 0; i < c->nr; i++)
		if (c->members[i].channel == ch)
			node = c->members[i].node;
	if (!ch->many && node)
		return fail(CK_FAILED, "the agent on %s has ended%s%s", node, *words ? ": " : "", words);
	return fail(CK_FAILED, "the agents on the job's nodes %s%s%s",
		    node ? "have ended" : "cannot be started", *words ? ": " : "", words);
}

/* What has ended is noticed when it is listened to. */
static void give_sign(struct crew *c)
{
	static const char text[] = WIRE_WAIT "\n";
	size_t i;

	if (deadline_now_ms() - c->sign_ms < WIRE_WAIT_MS)
		return;
	c->sign_ms = deadline_now_ms();
	for (i = 0; i < c->nr_channels; i++)
		if (write(c->channels[i].to, text, sizeof(text) - 1) < 0)
			continue;
}

static int hear(struct crew *c, int limit_ms)
{
	struct pollfd pfd[4];
	int rc, ready;
	size_t i;

	give_sign(c);
	if (limit_ms > WIRE_WAIT_MS)
		limit_ms = WIRE_WAIT_MS;
	for (i = 0; i < c->nr_channels; i++) {
		pfd[2 * i] = (struct pollfd){ .fd = c->channels[i].from, .events = POLLIN };
		pfd[2 * i + 1] = (struct pollfd){ .fd = c->channels[i].err, .events = POLLIN };
	}
	rc = deadline_poll(c->deadline, pfd, 2 * c->nr_channels, limit_ms, &ready);
	for (i = 0; i < c->nr_channels && !rc; i++) {
		struct channel *ch = &c->channels[i];
		unsigned long rank;
		char *line;
		bool more = true;

		/* What it says of its end comes before that. */
		if (pfd[2 * i + 1].revents)
			channel_read_words(ch);
		if (pfd[2 * i].revents)
			more = channel_read(ch);
		while (!rc && (line = channel_next(ch, &rank)))
			rc = take_line(c, ch, rank, line);
		if (!rc && !more)
			rc = lost(c, ch);
	}
	return rc;
}

/* ---- the start ---- */

/* The program that this is, which is at the same place on all nodes. */
static int own_path(char *path, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);

	if (n < 0)
		return fail_errno(errno, "cannot find ckctl");
	path[n] = '\0';
	return CK_OK;
}

static int start_here(struct crew *c, const char *ckctl, const char *node)
{
	char option[300];
	const char *const argv[] = { ckctl, "job-agent", option, NULL };

	snprintf(option, sizeof(option), "--node=%s", node);
	return channel_start(&c->channels[c->nr_channels++], false, argv);
}

/* One step with a task on each of the other nodes. */
static int start_step(struct crew *c, const char *ckctl, const char *job, const char *here)
{
	char jobid[48], nodes[32], tasks[32], *list, *to;
	size_t i, nr = 0, size = 16;
	int rc;

	for (i = 0; i < c->nr; i++)
		size += strlen(c->members[i].node) + 1;
	list = malloc(size);
	if (!list)
		return fail(CK_FAILED, "out of memory");
	to = stpcpy(list, "--nodelist=");
	for (i = 0; i < c->nr; i++)
		if (!here || strcmp(c->members[i].node, here) != 0)
			to += sprintf(to, nr++ ? ",%s" : "%s", c->members[i].node);
	snprintf(jobid, sizeof(jobid), "--jobid=%s", job);
	snprintf(nodes, sizeof(nodes), "--nodes=%zu", nr);
	snprintf(tasks, sizeof(tasks), "--ntasks=%zu", nr);
	{
		/* When one of them dies, all end: no node waits for what will not come.  The
		 * working directory of here may be none on the nodes, or not the user's. */
		const char *const argv[] = {
			"srun", jobid, "--overlap", nodes, tasks, "--ntasks-per-node=1", list,
			"--mpi=none", "--quiet", "--job-name=" CREW_NAME, "--kill-on-bad-exit=1",
			"--wait=0", "--chdir=/", "--export=" CREW_MARK "=1", "--label", ckctl, "job-agent", NULL,
		};

		rc = nr ? channel_start(&c->channels[c->nr_channels++], true, argv) : CK_OK;
	}
	free(list);
	return rc;
}

static size_t nr_missing(const struct crew *c, const char **node)
{
	size_t i, nr = 0;

	for (i = 0; i < c->nr; i++)
		if (!c->members[i].channel) {
			*node = c->members[i].node;
			nr++;
		}
	return nr;
}

static int await_all(struct crew *c)
{
	int64_t until = deadline_now_ms() + START_MS;
	const char *node = NULL;
	int rc = CK_OK;

	while (!rc && nr_missing(c, &node)) {
		int64_t left = until - deadline_now_ms();

		if (left <= 0)
			return fail(CK_TIMEOUT, "the agent on %s was not there within %d seconds", node,
				    START_MS / 1000);
		rc = hear(c, (int)left);
	}
	return rc;
}

static int make_members(struct crew *c, const json_t *nodes)
{
	const json_t *node;
	size_t i;

	c->nodes = json_deep_copy(nodes);
	c->members = calloc(json_array_size(nodes) + 1, sizeof(*c->members));
	c->obstacles = json_array();
	c->notes = json_array();
	if (!c->nodes || !c->members || !c->obstacles || !c->notes)
		return fail(CK_FAILED, "out of memory");
	json_array_foreach(c->nodes, i, node) {
		const char *name = json_string_value(node);

		if (!name || !dir_name_good(name))
			return fail(CK_FAILED, "\"%s\" cannot be the name of a node", name ? name : "");
		c->members[c->nr++].node = name;
	}
	return CK_OK;
}

int crew_start(struct crew **crew, const char *job, const json_t *nodes, const char *here,
	       const struct deadline *d)
{
	struct crew *c = calloc(1, sizeof(*c));
	char ckctl[PATH_MAX];
	int rc;

	*crew = c;
	if (!c)
		return fail(CK_FAILED, "out of memory");
	c->deadline = d;
	rc = own_path(ckctl, sizeof(ckctl));
	if (!rc)
		rc = make_members(c, nodes);
	if (!rc && here)
		rc = start_here(c, ckctl, here);
	if (!rc)
		rc = start_step(c, ckctl, job, here);
	return rc ? rc : await_all(c);
}

/* ---- questions ---- */

static int send_all(struct crew *c, json_t *request)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < c->nr_channels && !rc; i++)
		if (talk_send(c->channels[i].to, json_incref(request)) < 0)
			rc = lost(c, &c->channels[i]);
	for (i = 0; i < c->nr; i++) {
		json_decref(c->members[i].answer);
		c->members[i].answer = NULL;
		c->members[i].owed++;
		c->members[i].heard_ms = deadline_now_ms();
	}
	json_decref(request);
	return rc;
}

/* Has said no, in answer to the last question. */
static bool has_failed(const struct member *m)
{
	return !m->owed && m->answer && !json_is_true(json_object_get(m->answer, "ok"));
}

/* All have answered, or no more need to. */
static bool is_over(const struct crew *c, int64_t *until)
{
	bool over = true;
	size_t i;

	for (i = 0; i < c->nr; i++) {
		over &= !c->members[i].owed;
		if (has_failed(&c->members[i]) && *until < 0)
			*until = deadline_now_ms() + REST_MS;
	}
	return over || (*until >= 0 && deadline_now_ms() >= *until);
}

/* Who has been silent longest, and how long that may go on. */
static int check_silence(const struct crew *c, int *left_ms)
{
	size_t i;

	*left_ms = SILENCE_MS;
	for (i = 0; i < c->nr; i++) {
		int64_t left = c->members[i].heard_ms + SILENCE_MS - deadline_now_ms();

		if (!c->members[i].owed)
			continue;
		if (left <= 0)
			return fail(CK_TIMEOUT, "%s has not answered for %d seconds", c->members[i].node,
				    SILENCE_MS / 1000);
		if (left < *left_ms)
			*left_ms = (int)left;
	}
	return CK_OK;
}

static int await_answers(struct crew *c)
{
	int64_t until = -1;
	int rc = CK_OK, left;

	while (!rc && !is_over(c, &until)) {
		rc = check_silence(c, &left);
		if (!rc && until >= 0 && left > until - deadline_now_ms())
			left = until > deadline_now_ms() ? (int)(until - deadline_now_ms()) : 0;
		if (!rc)
			rc = hear(c, left);
	}
	return rc;
}

/* What that node has to say under @key, to @list. */
static void take_list(const struct member *m, const char *key, json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(m->answer, key), i, item)
		if (json_is_string(item))
			json_array_append_new(list, json_sprintf("%s: %s", m->node,
								 json_string_value(item)));
}

/* What agents have against it, by node: obstacles of all, else one sentence. */
static int tell(struct crew *c)
{
	const char *text;
	int rc = CK_OK, code;
	size_t i;

	for (i = 0; i < c->nr; i++) {
		take_list(&c->members[i], "notes", c->notes);
		if (!has_failed(&c->members[i]))
			continue;
		code = (int)json_integer_value(json_object_get(c->members[i].answer, "code"));
		c->again |= json_is_true(json_object_get(c->members[i].answer, "again"));
		text = json_string_value(json_object_get(c->members[i].answer, "text"));
		if (!rc)
			rc = fail(code > CK_OK && code <= CK_BUSY ? code : CK_FAILED, "%s: %s",
				  c->members[i].node, text ? text : "no reason given");
		take_list(&c->members[i], "obstacles", c->obstacles);
	}
	return rc;
}

int crew_ask(struct crew *c, json_t *request)
{
	int rc;

	c->again = false;
	json_array_clear(c->obstacles);
	rc = request ? send_all(c, request) : fail(CK_FAILED, "out of memory");
	if (!rc)
		rc = await_answers(c);
	return rc ? rc : tell(c);
}

int crew_abort(struct crew *c)
{
	int rc = send_all(c, json_pack("{s:s}", "cmd", "abort"));
	bool owed = true;
	int left;
	size_t i;

	while (!rc && owed) {
		for (i = 0, owed = false; i < c->nr; i++)
			owed |= c->members[i].owed > 0;
		if (!owed)
			break;
		rc = check_silence(c, &left);
		if (!rc)
			rc = hear(c, left);
	}
	return rc;
}

bool crew_may_try_again(const struct crew *c)
{
	return c->again;
}

json_t *crew_obstacles(const struct crew *c)
{
	return c->obstacles;
}

const json_t *crew_notes(const struct crew *c)
{
	return c->notes;
}

size_t crew_size(const struct crew *c)
{
	return c->nr;
}

const char *crew_node(const struct crew *c, size_t i)
{
	return c->members[i].node;
}

const json_t *crew_answer(const struct crew *c, size_t i)
{
	return c->members[i].answer;
}

json_t *crew_collect(const struct crew *c, const char *key)
{
	json_t *all = json_array();
	size_t i;

	for (i = 0; i < c->nr && all; i++) {
		json_t *list = json_object_get(c->members[i].answer, key);

		if (json_is_array(list) && json_array_extend(all, list) < 0) {
			json_decref(all);
			all = NULL;
		}
	}
	return all;
}

json_t *crew_told(const struct crew *c, const char *key)
{
	json_t *parts, *part, *value = NULL;
	size_t i, k;

	for (i = 0; i < c->nr && !value; i++) {
		parts = json_object_get(c->members[i].answer, "parts");
		json_array_foreach(parts, k, part)
			value = value ? : json_object_get(part, key);
	}
	return value;
}

void crew_end(struct crew *c)
{
	struct pollfd stop = { .events = POLLIN };
	bool hurry;
	size_t i;

	if (!c)
		return;
	stop.fd = c->deadline->stop_fd;
	hurry = poll(&stop, 1, 0) > 0;
	/* All of them at once, then wait. */
	for (i = 0; i < c->nr_channels; i++)
		if (c->channels[i].to >= 0) {
			close(c->channels[i].to);
			c->channels[i].to = -1;
		}
	for (i = 0; i < c->nr_channels; i++)
		channel_end(&c->channels[i], hurry);
	for (i = 0; i < c->nr; i++) {
		talk_message_free(&c->members[i].message);
		json_decref(c->members[i].answer);
	}
	json_decref(c->obstacles);
	json_decref(c->notes);
	json_decref(c->nodes);
	free(c->members);
	free(c);
}
