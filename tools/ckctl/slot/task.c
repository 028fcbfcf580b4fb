// SPDX-License-Identifier: GPL-2.0
#include "task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../../slurm/task_name.h"
#include "job/slot.h"
#include "job/supervise.h"
#include "notes.h"
#include "origin.h"
#include "out.h"
#include "restart/start.h"
#include "source.h"
#include "story.h"
#include "wait.h"

/* An image with which that many attempts in a row have failed is left alone. */
#define MAX_FAILURES	3

struct slot {
	const struct slot_request *req;
	struct origin own;
	struct source source;
	struct restart restart;
	struct started started;
	struct story story;
	char script[PATH_MAX];		/* as the saved shell has it open; "" for not */
	int mark;			/* slot_mark() */
	bool tried;			/* it came to an attempt, which is counted */
	int ended;			/* that task had ended, so: there is nothing to do; else -1 */
	/* What the program has instead, should it come to that: */
	sigset_t signals;
	struct rlimit files;
};

/* ---- what is written down ---- */

/* By one of a step's tasks, for all, but for what others have @told; and who has no home
 * does without. */
static void write_story(struct slot *s, json_t *told)
{
	struct capture outer;

	s->story.time = time(NULL);
	snprintf(s->story.node, sizeof(s->story.node), "%s", s->own.node);
	json_decref(s->story.notes);
	s->story.notes = s->own.rank ? json_incref(told) : notes_heard();
	outer = fail_mute();
	if (!s->own.rank)
		story_write(s->own.cluster, s->own.name, &s->story);
	else if (told)
		story_add(s->own.cluster, s->own.name, s->own.rank, &s->story);
	fail_restore(outer);
}

/* Was it this very image the last time? */
static void recall(struct slot *s)
{
	story_read(s->own.cluster, s->own.name, &s->story);
	if (s->story.manifest != s->source.job->manifest ||
	    s->story.generation != s->source.job->number)
		s->story.failures = 0;
	s->story.manifest = s->source.job->manifest;
	s->story.generation = s->source.job->number;
	snprintf(s->story.image, sizeof(s->story.image), "%s", s->source.path);
	s->story.continued = false;
	s->story.sentence[0] = '\0';
}

/* ---- from the image to the job ---- */

/* The shell reads its script on, which Slurm has put somewhere, once more. */
static void find_script(struct slot *s, const struct image *image)
{
	const char *name = strrchr(s->req->argv[0], '/'), *slash;
	size_t i;

	for (i = 0; i < image->nr_files && s->own.batch && name; i++) {
		slash = strrchr(image->files[i].path, '/');
		if (image->files[i].rec->kind != CKPT_FILE_REG || !slash || strcmp(slash, name) != 0 ||
		    image->files[i].rec->size != s->source.job->script_len)
			continue;
		snprintf(s->script, sizeof(s->script), "%s", image->files[i].path);
		s->restart.state.moved_from = s->script;
		s->restart.state.moved_to = s->req->argv[0];
		return;
	}
}

static int look(struct slot *s)
{
	struct restart *r = &s->restart;
	struct image *image;
	int rc = source_find(&s->source, s->own.rank, &s->ended);

	if (rc || s->ended >= 0)
		return rc;
	rc = source_image(&s->source, s->own.rank, &image);
	if (rc)
		return rc;
	find_script(s, image);
	r->slot = true;
	r->cgroup_fd = -1;
	r->state.same_output = true;
	r->launched = s->source.job->environ;
	r->launched_len = s->source.job->environ_len;
	return start_look(r, image, START_AUTO);
}

/* What fails because there is a newer image by now is no failure of that one. */
static int open_and_look(struct slot *s)
{
	struct capture outer;
	char sentence[1024];
	bool again;
	int rc;

	do {
		source_close(&s->source);
		outer = fail_capture(sentence, sizeof(sentence));
		rc = origin_open(&s->own, &s->source);
		if (!rc)
			recall(s);
		if (!rc && s->story.failures >= MAX_FAILURES)
			rc = fail(CK_REFUSED, "that has failed %u times in a row", s->story.failures);
		else if (!rc)
			rc = look(s);
		fail_restore(outer);
		again = rc && rc != VDSO_TAKEN && source_replaced(&s->source);
	} while (again);
	return rc && rc != VDSO_TAKEN ? fail(rc, "%s", sentence) : rc;
}

static int run(struct slot *s)
{
	json_t *told;
	int rc;

	/* It counts as failed until it has not. */
	s->tried = true;
	s->story.failures++;
	write_story(s, NULL);
	rc = start_run(&s->restart, START_AUTO, &s->started);
	if (rc)
		return rc;
	s->story.failures = 0;
	s->story.continued = true;
	slot_ready(s->mark);
	told = notes_tell(s->own.name);
	write_story(s, told);
	json_decref(told);
	return CK_OK;
}

static int attempt(struct slot *s)
{
	int rc = open_and_look(s);

	if (rc == VDSO_TAKEN) {
		sigprocmask(SIG_SETMASK, &s->signals, NULL);
		rc = start_again();
	}
	return rc || s->ended >= 0 ? rc : run(s);
}

/* ---- from the start ---- */

/* Somebody wants an end of it: neither way will do. */
static void obey(const struct slot *s)
{
	if (s->restart.interrupted)
		slot_end(s->restart.interrupted);
	sigprocmask(SIG_SETMASK, &s->signals, NULL);
}

/* Beside others of its step that go on, it would do what all of them have done already. */
static bool has_others(const struct slot *s)
{
	return s->source.job && !s->own.batch && source_tasks(&s->source) > 1;
}

static void tell(struct slot *s, const char *why)
{
	snprintf(s->story.sentence, sizeof(s->story.sentence), "%s", why);
	/* One that it has not even come to is not counted by run(). */
	if (s->source.job && s->story.failures < MAX_FAILURES && !s->tried)
		s->story.failures++;
	write_story(s, NULL);
	fail(CK_FAILED, "%s cannot continue from %s: %s; it %s", s->own.title,
	     *s->source.path ? s->source.path : s->own.image, why, has_others(s) ?
	     "ends here, as the others of its step go on" : "starts from the beginning");
}

static int from_the_start(const struct slot *s)
{
	char **argv = s->req->argv;

	setrlimit(RLIMIT_NOFILE, &s->files);
	unsetenv("CKCTL_LAYOUTS");
	unsetenv(TASK_ENV_COMMAND);
	unsetenv(TASK_ENV_IMAGE);
	unsetenv(TASK_ENV_SUBMITTED);
	execvp(argv[0], argv);
	fail_errno(errno, "cannot execute %s", argv[0]);
	return errno == ENOENT ? 127 : 126;
}

int slot_run(const struct slot_request *req)
{
	struct capture outer;
	struct slot s = { .req = req, .started.status_fd = -1, .mark = -1, .ended = -1 };
	char why[1024] = "";
	int rc;

	notes_listen();
	getrlimit(RLIMIT_NOFILE, &s.files);
	job_block_signals(&s.signals, true);
	/* What a careless parent left open: these numbers are for our own use. */
	close_range(RESTART_MIN_FD_BASE, ~0U, 0);
	outer = fail_capture(why, sizeof(why));
	rc = origin_find(&s.own, req->image, req->argv[0]);
	if (!rc && *s.own.image) {
		s.mark = slot_mark(s.own.mark);
		rc = s.mark < 0 ? fail_errno(errno, "cannot mark this process") : attempt(&s);
	}
	fail_restore(outer);
	if (!rc && s.ended >= 0)
		slot_end(s.ended);
	if (!rc && *s.own.image) {
		restart_release(&s.restart);
		source_close(&s.source);
		slot_end(slot_wait(&s.started));
	}
	if (rc) {
		obey(&s);
		tell(&s, why);
		if (has_others(&s))
			_exit(CK_FAILED);
	} else if (s.own.expected) {
		fail(CK_NOTFOUND, "%s has no checkpoint yet; it starts from the beginning", s.own.title);
	}
	sigprocmask(SIG_SETMASK, &s.signals, NULL);
	return from_the_start(&s);
}
