// SPDX-License-Identifier: GPL-2.0
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checkpoint/phases.h"
#include "enter.h"
#include "image/dir.h"
#include "image/jobimage.h"
#include "job.h"
#include "json.h"
#include "out.h"
#include "state/proc.h"
#include "state/state.h"
#include "supervise.h"
#include "tasks.h"

/* In its process. */
struct work {
	const struct step *step;
	const char *node;
	int in;
	struct checkpoint_group group;
	struct checkpoint_request req;
	struct checkpoint_result res;
	struct checkpoint *checkpoint;	/* NULL when there is none under way */
	bool held;			/* the job stands still until all is written */
	char *dir;			/* of the step's parts */
	struct job_task *tasks;
	struct job_streams *streams;	/* what each was launched with */
	size_t nr_tasks;
	json_t *arguments;		/* of the batch script; NULL when they are not known */
};

static bool is_batch(const struct step *step)
{
	return strcmp(step->name, "batch") == 0;
}

/* ---- prepare ---- */

/* Its tasks as they are now, and their standard streams: a shell that is frozen later
 * may have moved its own out of the way for a while. */
static int find_tasks(struct work *w)
{
	pid_t *pids;
	size_t nr, i;
	int rc = tasks_pids(w->step, &pids, &nr);

	if (rc)
		return rc;
	w->tasks = calloc(nr + 1, sizeof(*w->tasks));
	w->streams = calloc(nr + 1, sizeof(*w->streams));
	if (!w->tasks || !w->streams)
		rc = fail(CK_FAILED, "out of memory");
	for (i = 0; i < nr && !rc; i++)
		if (task_read(w->step, pids[i], task_parent(pids[i]), &w->tasks[w->nr_tasks]))
			task_streams(pids[i], &w->streams[w->nr_tasks++]);
	free(pids);
	return rc;
}

/* The batch script's environment is what the job is submitted with again. */
static int write_environ(const struct work *w, const char *dir)
{
	char *text = NULL, path[PATH_MAX];
	int fd, rc = CK_OK;
	size_t len = 0;
	FILE *file;

	if (w->nr_tasks)
		text = task_text(w->tasks[0].pid, "environ", &len);
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

static int prepare(struct work *w, const json_t *request, json_t *answer)
{
	const char *dir = json_string_value(json_object_get(request, "dir"));
	json_int_t max_wait = json_integer_value(json_object_get(request, "max_wait_ms"));
	struct job_view view;
	struct room room;
	int rc;

	if (w->checkpoint)
		return fail(CK_FAILED, "a checkpoint of step %s is under way", w->step->name);
	if (asprintf(&w->dir, "%s/%s", dir, w->step->name) < 0) {
		w->dir = NULL;
		return fail(CK_FAILED, "out of memory");
	}
	checkpoint_group_begin(&w->group, json_is_true(json_object_get(request, "alone")), w->in);
	rc = job_image_step(dir, w->step->name);
	/* What the batch system knows is outside of where the processes may live. */
	if (!rc)
		rc = find_tasks(w);
	if (!rc && is_batch(w->step))
		rc = write_environ(w, dir);
	if (!rc && is_batch(w->step))
		w->arguments = task_script_arguments(w->tasks[0].pid);
	if (!rc)
		rc = job_enter(w->step->user, &view);
	if (rc)
		return rc;
	w->req = (struct checkpoint_request){
		.cgroup = w->step->user, .id = w->node, .image_dir = w->dir, .keep = 1,
		.streams = w->streams, .nr_streams = w->nr_tasks, .view = view,
		.max_wait_ms = (uint64_t)max_wait,
	};
	rc = checkpoint_prepare(&w->checkpoint, &w->req, &w->res, &w->group);
	if (rc)
		return rc;
	room = checkpoint_room(w->checkpoint);
	json_object_set_new(answer, "need", json_integer((json_int_t)room.need));
	json_object_set_new(answer, "left", json_integer((json_int_t)room.left));
	return CK_OK;
}

/* ---- frozen ---- */

static int freeze(struct work *w, const json_t *request, json_t *answer)
{
	int rc;

	(void)answer;
	w->held = json_is_true(json_object_get(request, "held"));
	if (w->held)
		checkpoint_hold(w->checkpoint);
	rc = checkpoint_freeze(w->checkpoint);
	if (!rc)
		rc = checkpoint_frozen(w->checkpoint);
	return rc;
}

/* Those among the frozen processes whose parents are not: with the ids that they
 * have in the image. */
static int note_tasks(struct work *w)
{
	const struct dump *d = checkpoint_dump(w->checkpoint);
	size_t i, k;

	free(w->tasks);
	w->nr_tasks = 0;
	w->tasks = calloc(d->nr_procs + 1, sizeof(*w->tasks));
	if (!w->tasks)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < d->nr_procs; i++) {
		const char *text = proc_status(d->procs[i].status, "PPid");
		pid_t parent = text ? atoi(text) : 0;
		struct job_task *task = &w->tasks[w->nr_tasks];

		for (k = 0; k < d->nr_procs && d->procs[k].pid != parent; k++)
			;
		if (k < d->nr_procs || !task_read(w->step, d->procs[i].pid, parent, task))
			continue;
		for (k = 0; k < w->nr_tasks && w->tasks[k].rank != task->rank; k++)
			;
		w->nr_tasks += k == w->nr_tasks;
	}
	return CK_OK;
}

static int write_pages(struct work *w)
{
	int rc = checkpoint_write(w->checkpoint);

	return rc ? rc : checkpoint_written(w->checkpoint);
}

static int snapshot(struct work *w, const json_t *request, json_t *answer)
{
	int rc = checkpoint_snapshot(w->checkpoint);

	(void)request;
	if (!rc)
		rc = checkpoint_snapped(w->checkpoint);
	json_object_set_new(answer, "pages", json_integer((json_int_t)w->res.nr_pages));
	if (!rc)
		rc = note_tasks(w);
	return rc || !w->held ? rc : write_pages(w);
}

static int thaw(struct work *w, const json_t *request, json_t *answer)
{
	int rc = checkpoint_thaw(w->checkpoint);

	(void)request;
	(void)answer;
	return rc ? rc : checkpoint_thawed(w->checkpoint);
}

/* ---- save ---- */

static int save(struct work *w, const json_t *request, json_t *answer)
{
	json_t *tasks = json_array();
	size_t i;
	int rc = checkpoint_record(w->checkpoint);

	(void)request;
	if (!rc && !w->held)
		rc = write_pages(w);
	if (!rc)
		rc = checkpoint_commit(w->checkpoint);
	for (i = 0; i < w->nr_tasks; i++)
		json_array_append_new(tasks, json_pack("[I, I, I]", (json_int_t)w->tasks[i].rank,
						       (json_int_t)w->tasks[i].localid,
						       (json_int_t)w->tasks[i].pid));
	json_object_set_new(answer, "tasks", tasks);
	json_object_set(answer, "arguments", w->arguments);
	return rc;
}

/* ---- its process ---- */

/* What note() has said, for who asked: nobody reads our standard error. */
static json_t *notes;

static bool keep_note(const char *sentence, bool done)
{
	(void)done;
	if (!notes)
		notes = json_array();
	json_array_append_new(notes, json_text(sentence));
	return false;
}

static const struct {
	const char *name;
	int (*run)(struct work *w, const json_t *request, json_t *answer);
} commands[] = {
	{ "prepare", prepare }, { "freeze", freeze }, { "snapshot", snapshot }, { "thaw", thaw },
	{ "save", save },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* All runs on; what was not committed is gone.  @answer, if any, is why. */
static void drop(struct work *w, int rc, const char *sentence, json_t *answer)
{
	bool again = checkpoint_end(w->checkpoint);
	json_t *obstacles = json_array();
	size_t i;

	w->checkpoint = NULL;
	if (w->res.nr_obstacles)
		rc = CK_REFUSED;
	for (i = 0; i < w->res.nr_obstacles; i++)
		json_array_append_new(obstacles, json_text(w->res.obstacles[i]));
	if (answer)
		json_object_update_new(answer, json_pack("{s:i, s:o, s:b, s:O}", "code", rc, "text",
							 json_text(sentence), "again", (int)again,
							 "obstacles", obstacles));
	json_decref(obstacles);
	checkpoint_result_free(&w->res);
	/* The last one of a step that has no part after all. */
	if (w->dir)
		rmdir(w->dir);
}

static json_t *serve(struct work *w, const json_t *request)
{
	struct capture outer;
	const char *name = json_string_value(json_object_get(request, "cmd"));
	json_t *answer = json_object();
	char sentence[1024];
	size_t i;
	int rc;

	for (i = 0; i < NR_COMMANDS && strcmp(commands[i].name, name ? name : "") != 0; i++)
		;
	outer = fail_capture(sentence, sizeof(sentence));
	/* After a failure, nothing is left to be done. */
	rc = i == NR_COMMANDS || (i && !w->checkpoint) ? fail(CK_FAILED, "nothing is under way") :
	     commands[i].run(w, request, answer);
	if (rc)
		drop(w, rc, sentence, answer);
	fail_restore(outer);
	json_object_set_new(answer, "ok", json_boolean(!rc));
	if (notes)
		json_object_set_new(answer, "notes", notes);
	notes = NULL;
	return answer;
}

static void work(const struct step *step, const char *node, int in, int out) __attribute__((noreturn));

static void work(const struct step *step, const char *node, int in, int out)
{
	struct work w = { .step = step, .node = node, .in = in };
	struct talk_message message = { 0 };
	struct talk_lines lines = { 0 };
	json_t *request;
	char *line;

	out_hear = keep_note;
	while (talk_read(&lines, in) > 0)
		while ((line = talk_next(&lines))) {
			if (!talk_add(&message, line, &request))
				_exit(CK_FAILED);
			if (!request)
				continue;
			if (talk_send(out, serve(&w, request)) < 0)
				break;
			json_decref(request);
		}
	drop(&w, CK_OK, "", NULL);
	_exit(CK_OK);
}

/* ---- the agent's end ---- */

bool unit_is_batch(const struct unit *u)
{
	return is_batch(&u->step);
}

/* Nothing of the agent's is left but these two: the end of each pipe must be known. */
static void become(const struct step *step, const char *node, int in, int out)
{
	job_die_with_parent(in);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(CK_FAILED);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	work(step, node, STDIN_FILENO, STDOUT_FILENO);
}

int unit_start(struct unit *u, const struct step *step, const char *node)
{
	int to[2], from[2];

	memset(u, 0, sizeof(*u));
	u->step = *step;
	u->to = u->from = -1;
	if (pipe2(to, O_CLOEXEC) < 0)
		return fail_errno(errno, "cannot make a pipe");
	u->to = to[1];
	if (pipe2(from, O_CLOEXEC) < 0) {
		close(to[0]);
		return fail_errno(errno, "cannot make a pipe");
	}
	u->from = from[0];
	u->pid = fork();
	if (u->pid == 0) {
		close(to[1]);
		become(step, node, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	return u->pid < 0 ? fail_errno(errno, "cannot start a process") : CK_OK;
}

int unit_ask(struct unit *u, const json_t *request)
{
	json_decref(u->answer);
	u->answer = NULL;
	return talk_send(u->to, json_incref((json_t *)request)) < 0 ?
	       fail_errno(errno, "cannot ask the process of step %s", u->step.name) : CK_OK;
}

int unit_hear(struct unit *u)
{
	char *line;

	if (talk_read(&u->lines, u->from) <= 0)
		return fail(CK_FAILED, "its process has ended");
	while ((line = talk_next(&u->lines)))
		if (!talk_add(&u->message, line, &u->answer))
			return fail(CK_FAILED, "its process sends what is no message");
	return CK_OK;
}

void unit_stop(struct unit *u)
{
	if (u->to >= 0)
		close(u->to);
	/* Nor does it wait for anybody to read what is too long for a pipe. */
	if (u->from >= 0)
		close(u->from);
	u->to = u->from = -1;
}

void unit_end(struct unit *u)
{
	unit_stop(u);
	while (u->pid > 0 && waitpid(u->pid, NULL, 0) < 0 && errno == EINTR)
		;
	talk_lines_free(&u->lines);
	talk_message_free(&u->message);
	json_decref(u->answer);
	memset(u, 0, sizeof(*u));
	u->to = u->from = -1;
}
