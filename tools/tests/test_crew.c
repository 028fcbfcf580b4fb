// SPDX-License-Identifier: GPL-2.0
/*
 * The two ends of the wire between a coordinator and its agents: agents that do
 * not exist, behind an srun that is a shell script, and an agent that is asked
 * for what cannot be.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../kmod/version.h"
#include "job/agent.h"
#include "job/crew.h"
#include "job/deadline.h"
#include "job/talk.h"
#include "job/wire.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

static char sentence[1024];

/* ---- crews ---- */

/* What stands in for srun and the agents on n1 and n2. */
static bool write_srun(const char *script)
{
	char path[600];
	FILE *file;
	bool good;

	snprintf(path, sizeof(path), "%s/srun", scratch());
	file = fopen(path, "w");
	good = file && fprintf(file, "#!/bin/sh\n"
			       "echo \"$@\" >%s/args\n"
			       "say() { printf '%%d: %%s\\n' \"$@\"; }\n"
			       "hello() { say $1 '{\"hello\":\"'$2'\",\"version\":\"%s\"}'; }\n"
			       "next() { while read -r line && [ \"$line\" = '%s' ]; do :; done; [ -n \"$line\" ]; }\n"
			       "%s\n", scratch(), CKPT_VERSION, WIRE_WAIT, script) > 0;
	return file && fclose(file) == 0 && chmod(path, 0755) == 0 && good;
}

static int start(struct crew **crew, struct deadline *d, const char *script)
{
	json_t *nodes = json_pack("[s, s]", "n1", "n2");
	int rc = write_srun(script) ? CK_OK : -1;

	fail_capture(sentence, sizeof(sentence));
	if (!rc)
		rc = crew_start(crew, "5", nodes, NULL, d);
	fail_capture(NULL, 0);
	json_decref(nodes);
	return rc;
}

static int ask(struct crew *crew, const char *cmd)
{
	int rc;

	fail_capture(sentence, sizeof(sentence));
	rc = crew_ask(crew, json_pack("{s:s}", "cmd", cmd));
	fail_capture(NULL, 0);
	return rc;
}

static bool was_called_with(const char *text)
{
	char path[600], args[4096] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/args", scratch());
	file = fopen(path, "r");
	if (file && !fgets(args, sizeof(args), file))
		args[0] = '\0';
	if (file)
		fclose(file);
	return strstr(args, text);
}

static void all_well(struct deadline *d)
{
	struct crew *crew;

	ok(start(&crew, d, "echo 'something from the prolog'; say 0 'and from a task prolog'\n"
		 "hello 1 n1; hello 0 n2\n"
		 "while next; do say 1 '{\"alive\":true}'; say 0 '{\"ok\":true,\\'; say 1 '{\"ok\":true}';"
		 " say 0 '\"notes\":[\"a\"],\"x\":7}'; done") == CK_OK, "a crew is there, whatever else is said");
	ok(was_called_with("--jobid=5 --overlap --nodes=2 --ntasks=2") &&
	   was_called_with("--nodelist=n1,n2") && was_called_with("--chdir=/ ") && was_called_with("job-agent"), "as one step");
	ok(ask(crew, "thaw") == CK_OK && crew_size(crew) == 2 && strcmp(crew_node(crew, 1), "n2") == 0 &&
	   json_integer_value(json_object_get(crew_answer(crew, 1), "x")) == 7,
	   "all have answered, each for its node");
	ok(ask(crew, "save") == CK_OK && crew_abort(crew) == CK_OK, "and again");
	ok(json_array_size(crew_notes(crew)) == 2 &&
	   strcmp(json_string_value(json_array_get(crew_notes(crew), 0)), "n2: a") == 0,
	   "what they note is kept");
	crew_end(crew);
}

static void one_refuses(struct deadline *d)
{
	struct crew *crew;
	json_t *obstacles;

	ok(start(&crew, d, "hello 0 n1; hello 1 n2\n"
		 "next; say 0 '{\"ok\":true}'; say 1 '{\"ok\":false,\"code\":3,\"text\":\"no\",\"again\":true,"
		 "\"obstacles\":[\"a\",\"b\"]}'\n"
		 "while next; do say 0 '{\"ok\":true}'; say 1 '{\"ok\":true}'; done") == CK_OK, "a crew");
	ok(ask(crew, "snapshot") == CK_REFUSED && strcmp(sentence, "n2: no") == 0, "one says no: %s",
	   sentence);
	obstacles = crew_obstacles(crew);
	ok(crew_may_try_again(crew) && json_array_size(obstacles) == 2 &&
	   strcmp(json_string_value(json_array_get(obstacles, 1)), "n2: b") == 0, "and why");
	ok(crew_abort(crew) == CK_OK && ask(crew, "prepare") == CK_OK && !crew_may_try_again(crew) &&
	   !json_array_size(crew_obstacles(crew)), "all are ready to begin anew");
	crew_end(crew);
}

static void they_fail(struct deadline *d)
{
	static const struct {
		const char *what, *script, *text;
		int code;
	} cases[] = {
		{ "Slurm makes no step", "echo 'srun: error: Unable to create step for job 5: busy' >&2; exit 1",
		  "Unable to create step", CK_FAILED },
		{ "another version", "say 0 '{\"hello\":\"n1\",\"version\":\"0\"}'; cat >/dev/null", "one version",
		  CK_FAILED },
		{ "a node that nobody asked for", "hello 0 n9; cat >/dev/null", "n9", CK_FAILED },
		{ "one node twice", "hello 0 n1; hello 1 n1; cat >/dev/null", "n1", CK_FAILED },
	};
	struct crew *crew;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = start(&crew, d, cases[i].script);

		ok(rc == cases[i].code && strstr(sentence, cases[i].text), "%s: %d %s", cases[i].what, rc,
		   sentence);
		crew_end(crew);
	}
	ok(start(&crew, d, "hello 0 n1; hello 1 n2; next; say 0 '{\"ok\":true}';\n"
		 "echo 'srun: error: n2: task 1: Killed' >&2; echo 'srun: error: n1: task 0: Terminated' >&2;"
		 " exit 1") == CK_OK && ask(crew, "thaw") == CK_FAILED && strstr(sentence, "n2: task 1: Killed"),
	   "one is killed: %s", sentence);
	crew_end(crew);
	ok(start(&crew, d, "hello 0 n1; hello 1 n2; next; say 0 '{\"ok\":'; cat >/dev/null") == CK_OK &&
	   ask(crew, "thaw") == CK_FAILED && strstr(sentence, "no message"), "one babbles: %s", sentence);
	crew_end(crew);
}

static void time_is_up(void)
{
	struct deadline d;
	struct crew *crew;
	int64_t began;
	int stop[2];

	deadline_begin(&d, "job 5", 2000, -1);
	ok(start(&crew, &d, "hello 0 n1; hello 1 n2; while next; do say 0 '{\"ok\":true}'; done") == CK_OK &&
	   ask(crew, "thaw") == CK_TIMEOUT && strstr(sentence, "not complete within 2 seconds"),
	   "MaxWait passes: %s", sentence);
	crew_end(crew);
	if (pipe(stop) < 0 || write(stop[1], "x", 1) != 1)
		return;
	deadline_begin(&d, "job 5", 0, stop[0]);
	ok(start(&crew, &d, "trap '' TERM; while :; do sleep 1; done") == CK_FAILED &&
	   strcmp(sentence, "interrupted") == 0, "a signal comes: %s", sentence);
	began = deadline_now_ms();
	crew_end(crew);
	ok(deadline_now_ms() - began < 8000, "whoever does not end by then is ended before a keeper is");
}

/* ---- an agent ---- */

struct agent {
	pid_t pid;
	int to, from;
	struct talk_lines lines;
	struct talk_message message;
};

static bool start_agent(struct agent *a, const char *node)
{
	int to[2], from[2];

	memset(a, 0, sizeof(*a));
	if (pipe(to) < 0 || pipe(from) < 0)
		return false;
	a->pid = fork();
	if (a->pid == 0) {
		close(to[1]);
		close(from[0]);
		fail_capture(sentence, sizeof(sentence));
		_exit(agent_run(node, to[0], from[1]));
	}
	close(to[0]);
	close(from[1]);
	a->to = to[1];
	a->from = from[0];
	return a->pid > 0;
}

static json_t *hear(struct agent *a)
{
	json_t *message = NULL;
	char *line;

	while (!message) {
		while (!message && (line = talk_next(&a->lines)))
			if (!talk_add(&a->message, line, &message))
				return NULL;
		if (!message && talk_read(&a->lines, a->from) <= 0)
			return NULL;
	}
	return message;
}

/* The code of its answer; -1 for none. */
static int order(struct agent *a, const char *text)
{
	json_t *answer;
	int code;

	if (write(a->to, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	answer = hear(a);
	code = !answer ? -1 : json_is_true(json_object_get(answer, "ok")) ? 0 :
	       (int)json_integer_value(json_object_get(answer, "code"));
	snprintf(sentence, sizeof(sentence), "%s",
		 answer && code > 0 ? json_string_value(json_object_get(answer, "text")) : "");
	json_decref(answer);
	return code;
}

static int end_agent(struct agent *a)
{
	int status = -1;

	close(a->to);
	waitpid(a->pid, &status, 0);
	close(a->from);
	talk_lines_free(&a->lines);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void agent(void)
{
	struct agent a;
	json_t *hello;

	if (!start_agent(&a, "n1"))
		return;
	hello = hear(&a);
	ok(strcmp(json_string_value(json_object_get(hello, "hello")), "n1") == 0, "an agent says hello");
	json_decref(hello);
	ok(order(&a, "{\"cmd\":\"dance\"}\n") == CK_FAILED, "it does not do everything: %s", sentence);
	ok(order(&a, "{}\n") == CK_FAILED, "nor nothing: %s", sentence);
	ok(order(&a, "{\"cmd\":\"prepare\",\"job\":\"5\",\"dir\":\"relative\"}\n") == CK_FAILED,
	   "a directory is absolute: %s", sentence);
	ok(order(&a, "{\"cmd\":\"prepare\",\"job\":\"5\",\"dir\":\"/tmp\",\"steps\":null}\n") == CK_NOTFOUND,
	   "outside of a job it has nothing to do: %s", sentence);
	ok(order(&a, WIRE_WAIT "\n{\"cmd\":\"thaw\"}\n") == CK_OK && order(&a, "{\"cmd\":\"abort\"}\n") == CK_OK,
	   "of nothing, all is easily done");
	ok(end_agent(&a) == CK_OK, "it ends with its input");
	if (!start_agent(&a, "n1"))
		return;
	json_decref(hear(&a));
	ok(order(&a, "babble\n") == -1 && end_agent(&a) == CK_FAILED, "and when it is not spoken to");
	if (!start_agent(&a, "../n1"))
		return;
	ok(!hear(&a) && end_agent(&a) == CK_USAGE, "a node's name is one");
}

int main(void)
{
	struct deadline d;
	char path[4096];

	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "%s:%s", scratch(), getenv("PATH"));
	setenv("PATH", path, 1);
	deadline_begin(&d, "job 5", 0, -1);
	all_well(&d);
	one_refuses(&d);
	they_fail(&d);
	time_is_up();
	agent();
	scratch_remove();
	return done();
}
