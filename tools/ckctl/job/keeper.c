// SPDX-License-Identifier: GPL-2.0
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "cgroup.h"
#include "clock.h"
#include "conf.h"
#include "control.h"
#include "deadline.h"
#include "diary.h"
#include "environ.h"
#include "out.h"
#include "outlook.h"
#include "registry.h"
#include "schedule.h"
#include "slurm.h"
#include "steps.h"
#include "tasks.h"
#include "try.h"
#include "turn.h"
#include "voice.h"

/* Where a site has not decided otherwise. */
#define LAST_MARGIN_S	60
#define LAST_FACTOR	3

#define SAY_AGAIN_MS	1000
#define ASK_AGAIN_MS	30000		/* where Slurm did not answer */
#define TURN_MS		(10 * 60000)	/* for one's turn, which somebody may just keep */
#define SWEEP_EVERY	64		/* jobs */
/* What is written of a job's memory in a second, before anything is known of it. */
#define FIRST_RATE	(100 << 20)

struct keeper {
	const struct keeper_request *req;
	struct outlook_source outlook;
	struct schedule schedule;
	struct voice voice;
	struct diary diary;
	struct ask ask;			/* processes of the job, for one of their own */
	char cluster[256];
	bool disabled;			/* "ckctl disable", and that was said */
	bool resting;			/* Slurm said last that it is suspended, or about to end */
	int64_t waiting;		/* since when it has been due, but others first; or 0 */
	struct turn turn;
};

/* ---- what is written down ---- */

/* A time of the schedule on the wall clock. */
static int64_t wall_s(int64_t at_ms)
{
	return (clock_ms(CLOCK_REALTIME) + at_ms - deadline_now_ms()) / 1000;
}

/* Who cannot write in the home directory has checkpoints all the same. */
static int write_diary(struct keeper *k)
{
	struct capture outer;
	int rc;

	k->diary.next = k->diary.ended ? 0 : wall_s(schedule_due(&k->schedule));
	outer = fail_mute();
	rc = diary_write(k->cluster, k->req->name, &k->diary);
	fail_restore(outer);
	return rc;
}

static void introduce(struct keeper *k)
{
	struct capture outer;
	struct registry_entry entry = { .image_dir = "" };
	char sentence[1024];
	int rc;

	snprintf(entry.image_dir, sizeof(entry.image_dir), "%s", k->req->image_dir);
	outer = fail_capture(sentence, sizeof(sentence));
	rc = registry_write(k->cluster, k->req->name, &entry);
	fail_restore(outer);
	if (rc)
		voice_say(&k->voice, "ckctl: %s; other ckctl commands will not know where the images "
			  "of %s are\n", sentence, k->req->name);
	/* Not all jobs of an array at once. */
	if (strtoul(k->req->job, NULL, 10) % SWEEP_EVERY == 0)
		registry_sweep(k->cluster);
}

/* ---- what Slurm knows ---- */

/* When it has to end, and whether it runs.  Where Slurm does not answer, all is as it was. */
static void look(struct keeper *k)
{
	int64_t now, end = k->schedule.end;
	struct outlook o;
	bool answered = outlook_ask(&k->outlook, &o);

	now = deadline_now_ms();
	if (answered) {
		k->resting = o.resting;
		k->schedule.hurry = o.preempted;
		k->schedule.poll = (int64_t)k->outlook.poll_s * 1000;
		end = o.end ? now + o.end * 1000 - clock_ms(CLOCK_REALTIME) : SCHEDULE_NEVER;
	}
	schedule_end(&k->schedule, now, end);
	if ((!answered || !k->outlook.grace_known) && k->schedule.look > now + ASK_AGAIN_MS)
		k->schedule.look = now + ASK_AGAIN_MS;
}

/* ---- what is known here ---- */

/* Nobody is left: Slurm is about to end us. */
static bool tasks_are_gone(const struct keeper *k)
{
	struct capture outer;
	char path[PATH_MAX + 64];
	struct steps_place place;
	bool gone = false;
	int fd;

	outer = fail_mute();
	if (steps_here(&place) == CK_OK) {
		snprintf(path, sizeof(path), "%s/step_%s/user", place.job, place.step);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		gone = fd >= 0 && !cgroup_populated(fd);
		if (fd >= 0)
			close(fd);
	}
	fail_restore(outer);
	return gone || (!k->req->step && kill(k->req->task, 0) < 0 && errno == ESRCH);
}

/* How long the first checkpoint may take, by the memory that the job uses here. */
static int64_t first_duration(void)
{
	struct capture outer;
	char path[PATH_MAX + 64], text[32] = "";
	struct steps_place place;
	FILE *file = NULL;

	outer = fail_mute();
	if (steps_here(&place) == CK_OK) {
		snprintf(path, sizeof(path), "%s/memory.current", place.job);
		file = fopen(path, "re");
	}
	fail_restore(outer);
	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = '\0';
		fclose(file);
	}
	return strtoll(text, NULL, 10) / FIRST_RATE * 1000;
}

/* The schedule of the job is kept, since it was started: this step's need not be. */
static bool is_covered(struct keeper *k)
{
	struct outlook o;
	struct diary diary;
	bool covered;

	if (!k->req->step || !diary_read(k->cluster, k->req->job, &diary))
		return false;
	covered = diary.interval_s && !diary.ended && outlook_ask(&k->outlook, &o) &&
		  diary.started >= o.started - 60;
	diary_free(&diary);
	return covered;
}

/* ---- checkpoints ---- */

/* What the image does not have, above all: each is said once. */
static void tell_notes(struct keeper *k, json_t *notes)
{
	const json_t *item;
	size_t i;

	json_array_foreach(notes, i, item)
		voice_note(&k->voice, json_string_value(item));
	json_decref(k->diary.last.notes);
	k->diary.last.notes = json_incref(notes);
}

static void note_success(struct keeper *k, const json_t *result)
{
	const char *image = json_string_value(json_object_get(result, "image"));

	k->diary.last.time = clock_ms(CLOCK_REALTIME) / 1000;
	snprintf(k->diary.last.image, sizeof(k->diary.last.image), "%s", image ? image : "");
	k->diary.last.bytes = (uint64_t)json_integer_value(json_object_get(result, "bytes"));
	k->diary.last.tasks = (uint64_t)json_integer_value(json_object_get(result, "tasks"));
	k->diary.last.seconds = json_number_value(json_object_get(result, "seconds"));
	k->diary.last.standstill_ms = json_number_value(json_object_get(result, "standstill_ms"));
	memset(&k->diary.failure, 0, sizeof(k->diary.failure));
	tell_notes(k, json_object_get(result, "notes"));
}

static void note_failure(struct keeper *k, const struct try *t)
{
	int64_t wait = schedule_due(&k->schedule) - deadline_now_ms();

	k->diary.failure.time = clock_ms(CLOCK_REALTIME) / 1000;
	k->diary.failure.count++;
	try_sentence(t, k->diary.failure.sentence, sizeof(k->diary.failure.sentence));
	voice_say(&k->voice, "%sckctl: note: the checkpoint of %s failed; the next try is in %jd "
		  "seconds\n", t->words ? t->words : "", k->req->name,
		  (intmax_t)(wait > 0 ? (wait + 999) / 1000 : 0));
}

/* Somebody wants none: that is said once. */
static bool is_disabled(struct keeper *k)
{
	struct control_flag flag;
	bool disabled = control_disabled(k->cluster, k->req->name, &flag) ||
			control_disabled(k->cluster, k->req->job, &flag);

	if (disabled && !k->disabled)
		voice_say(&k->voice, "ckctl: note: the checkpoints of %s were disabled by %s; none is made "
			  "until \"ckctl enable\" allows them\n", k->req->name, flag.by);
	k->disabled = disabled;
	return disabled;
}

/* Suspended, or at its end, with nothing that could be saved, and nothing to be said about. */
static bool is_idle(const struct keeper *k)
{
	return k->resting || tasks_are_gone(k);
}

static void failed(struct keeper *k, const struct try *t, int64_t begun)
{
	/* It may have come to that in the middle of it. */
	look(k);
	if (is_idle(k)) {
		schedule_skipped(&k->schedule, deadline_now_ms());
		control_ended(k->cluster, k->req->name, CK_OK, "");
		return;
	}
	schedule_failed(&k->schedule, begun, deadline_now_ms());
	note_failure(k, t);
}

/* What Slurm calls this node: its tasks know, and ckctl create wants to. */
static void learn_node(struct keeper *k)
{
	const char *name;
	char *env;
	size_t len;

	if (getenv("SLURMD_NODENAME"))
		return;
	env = task_text(k->req->task, "environ", &len);
	name = env ? environ_get(env, len, "SLURMD_NODENAME") : NULL;
	if (name) {
		setenv("SLURMD_NODENAME", name, 1);
		snprintf(k->diary.node, sizeof(k->diary.node), "%s", name);
	}
	free(env);
}

/*
 * The job or step, for ckctl create.  One task of an array has the array's own number: by
 * that alone, all of its tasks are meant.
 */
static const char *whole_name(const struct keeper *k, char *buf, size_t size)
{
	const char *array = getenv("SLURM_ARRAY_JOB_ID"), *index = getenv("SLURM_ARRAY_TASK_ID");

	if (!array || !index || strcmp(array, k->req->job) != 0)
		return k->req->name;
	snprintf(buf, size, "%s_%s%s", array, index, k->req->name + strlen(k->req->job));
	return buf;
}

/* False when it is time to go. */
static bool make_checkpoint(struct keeper *k)
{
	int64_t begun = deadline_now_ms();
	char name[96];
	struct try t;
	bool stopped;

	learn_node(k);
	try_checkpoint(whole_name(k, name, sizeof(name)), k->req->image_dir, 0, STDIN_FILENO, &t);
	stopped = t.stopped;
	if (t.result) {
		schedule_made(&k->schedule, begun, deadline_now_ms());
		note_success(k, t.result);
	} else if (!stopped) {
		failed(k, &t, begun);
	}
	try_free(&t);
	return !stopped;
}

/* One that the job itself has asked for; false when it is time to go. */
static bool serve(struct keeper *k)
{
	int64_t begun = deadline_now_ms();
	struct ask_request req;
	char name[96];
	json_t *result;
	bool go_on;

	if (!ask_take(&k->ask, &req))
		return true;
	if (*req.step) {
		ask_drop(&k->ask);
		return true;
	}
	learn_node(k);
	go_on = ask_serve(&k->ask, whole_name(k, name, sizeof(name)), k->req->image_dir, &req, STDIN_FILENO,
			  &result);
	if (result && k->req->interval_s) {
		schedule_made(&k->schedule, begun, deadline_now_ms());
		note_success(k, result);
		write_diary(k);
	}
	json_decref(result);
	return go_on;
}

/* ---- taking turns with the other jobs of this node ---- */

/* May it go ahead?  What cannot be put off does so anyway. */
static bool take_turn(struct keeper *k)
{
	int64_t now = deadline_now_ms();

	if (!k->waiting)
		k->waiting = now;
	return turn_take(&k->turn) || now >= k->waiting + TURN_MS || schedule_last(&k->schedule) <= now;
}

/* When there is something to do. */
static int64_t next_wake(const struct keeper *k)
{
	int64_t at = schedule_wake(&k->schedule), last = schedule_last(&k->schedule);

	if (!k->waiting)
		return at;
	at = k->waiting + TURN_MS;
	if (k->schedule.look < at)
		at = k->schedule.look;
	return last < at ? last : at;
}

static bool act(struct keeper *k)
{
	int64_t last_end = k->schedule.end;
	bool turn = false, go_on = true;

	/* Who waits asks Slurm when it is its turn. */
	if (k->waiting && k->schedule.look > deadline_now_ms()) {
		turn = take_turn(k);
		if (!turn)
			return true;
	}
	look(k);
	if (k->schedule.end != last_end)
		write_diary(k);
	if (schedule_due(&k->schedule) > deadline_now_ms()) {
		k->waiting = 0;
	} else if (is_idle(k) || is_disabled(k)) {
		schedule_skipped(&k->schedule, deadline_now_ms());
		write_diary(k);
		k->waiting = 0;
	} else if (turn || take_turn(k)) {
		go_on = make_checkpoint(k);
		if (go_on)
			write_diary(k);
		k->waiting = 0;
	}
	if (!k->waiting)
		turn_leave(&k->turn);
	return go_on;
}

/* ---- all of it ---- */

/* Wait for what is next: false when the pipe has been closed. */
static bool sleep_until(struct keeper *k, int64_t at)
{
	struct pollfd pfd[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN }, { .events = POLLIN },
		{ .fd = k->turn.watch, .events = POLLIN },
	};
	int64_t left;

	for (;;) {
		pfd[1].fd = ask_fd(&k->ask);
		left = at - deadline_now_ms();
		if (left <= 0)
			return true;
		if (voice_pending(&k->voice) && left > SAY_AGAIN_MS)
			left = SAY_AGAIN_MS;
		if (left > 86400000)
			left = 86400000;
		if (poll(pfd, 3, (int)left) <= 0)
			continue;
		if (pfd[2].revents && !pfd[0].revents)
			return true;
		if (pfd[0].revents || !serve(k))
			return false;
		/* What has been served moves the schedule. */
		if (k->req->interval_s)
			at = next_wake(k);
	}
}

/* For all in the job, or in the step. */
static void listen_to_job(struct keeper *k)
{
	struct capture outer;
	char path[PATH_MAX + 64];
	struct steps_place place;
	int rc;

	outer = fail_mute();
	rc = steps_here(&place);
	fail_restore(outer);
	if (rc)
		return;
	if (k->req->step)
		snprintf(path, sizeof(path), "%s/step_%s", place.job, place.step);
	else
		snprintf(path, sizeof(path), "%s", place.job);
	ask_open(&k->ask, path);
}

static void begin(struct keeper *k)
{
	schedule_begin(&k->schedule, deadline_now_ms(), k->req->interval_s,
		       (uint32_t)strtoul(k->req->job, NULL, 10));
	k->schedule.margin = (int64_t)conf_number("last_margin", LAST_MARGIN_S) * 1000;
	k->schedule.factor = (int64_t)conf_number("last_factor", LAST_FACTOR);
	k->schedule.duration = first_duration();
	snprintf(k->diary.image_dir, sizeof(k->diary.image_dir), "%s", k->req->image_dir);
	k->diary.interval_s = k->req->interval_s;
	k->diary.started = clock_ms(CLOCK_REALTIME) / 1000;
	k->diary.pid = getpid();
	gethostname(k->diary.node, sizeof(k->diary.node) - 1);
}

int keeper_run(const struct keeper_request *req)
{
	struct keeper k = {
		.req = req, .voice.task = req->task, .ask = { .listener = -1, .conn = -1 },
		.turn = NO_TURN,
	};
	struct deadline stop;		/* for what is asked of Slurm meanwhile */
	char what[64];
	bool covered;

	signal(SIGPIPE, SIG_IGN);
	snprintf(what, sizeof(what), "job %.40s", req->name);
	deadline_begin(&stop, what, 0, STDIN_FILENO);
	k.outlook = (struct outlook_source){ .stop = &stop, .job = req->job,
					     .step = req->step ? req->name : NULL };
	snprintf(k.voice.file, sizeof(k.voice.file), "%s/%s.ckpt.log", req->image_dir, req->name);
	slurm_own_cluster(&stop, k.cluster, sizeof(k.cluster));
	covered = is_covered(&k);
	if (!covered && req->interval_s) {
		begin(&k);
		write_diary(&k);
	}
	/* Who finds the job here finds its schedule as well. */
	introduce(&k);
	if (covered)
		return CK_OK;
	listen_to_job(&k);
	if (!req->interval_s) {
		sleep_until(&k, SCHEDULE_NEVER);
		return CK_OK;
	}
	look(&k);
	write_diary(&k);
	while (sleep_until(&k, next_wake(&k)) && act(&k))
		;
	k.diary.ended = clock_ms(CLOCK_REALTIME) / 1000;
	write_diary(&k);
	diary_free(&k.diary);
	voice_free(&k.voice);
	return CK_OK;
}
