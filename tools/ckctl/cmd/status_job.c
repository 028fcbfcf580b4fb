// SPDX-License-Identifier: GPL-2.0
#include "status_job.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "image/jobimage.h"
#include "job/control.h"
#include "job/coordinate.h"
#include "job/deadline.h"
#include "job/diary.h"
#include "job/registry.h"
#include "job/slurm.h"
#include "json.h"
#include "out.h"
#include "slot/story.h"

static const char *when(int64_t time, char *buf, size_t size)
{
	time_t seconds = (time_t)time;
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(buf, size, "%F %T", &tm))
		snprintf(buf, size, "%" PRId64, time);
	return buf;
}

/* What is known of a job, or a step: its keeper is not all who makes checkpoints of it. */
struct report {
	char name[64], cluster[256];
	struct diary diary;		/* with what was done by hand */
	struct story story;		/* .time: 0 for no restart */
};

/* ---- from what there is ---- */

/* What there is of it, of whatever kind: the first one tells the cluster. */
static bool find_cluster(struct report *r)
{
	static const char *const kinds[] = { "", ".status", ".failed", ".restart" };
	bool found = false;
	char file[128];
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !found; i++) {
		snprintf(file, sizeof(file), "%s%s", r->name, kinds[i]);
		found = registry_find(file, r->cluster, sizeof(r->cluster));
	}
	return found;
}

/* The image, which may be newer than the last one of the schedule. */
static void merge_image(struct diary *d, const char *path)
{
	struct capture outer;
	struct job_image *img;
	int rc;

	outer = fail_mute();
	rc = job_image_open(&img, path);
	fail_restore(outer);
	if (rc)
		return;
	if (img->meta.time > d->last.time) {
		diary_free(d);
		d->last.time = img->meta.time;
		snprintf(d->last.image, sizeof(d->last.image), "%s", path);
		d->last.bytes = img->meta.bytes;
		d->last.tasks = img->meta.nr_tasks;
		d->last.standstill_ms = (double)img->meta.standstill_ns / 1e6;
		d->last.seconds = -1;
		if (json_is_false(json_object_get(img->record, "drained")))
			d->last.notes = json_pack("[s]", COORDINATE_NOT_DRAINED);
	}
	job_image_close(img);
}

/* One that the schedule knows is there as well; nobody removes that of a checkpoint by hand. */
static void merge_failure(const struct report *r, struct diary *d)
{
	struct control_failure failure;

	if (control_failed(r->cluster, r->name, &failure) && failure.time > d->failure.time) {
		d->failure.time = failure.time;
		d->failure.count++;
		snprintf(d->failure.sentence, sizeof(d->failure.sentence), "%s", failure.sentence);
	}
	if (d->failure.time < d->last.time)
		memset(&d->failure, 0, sizeof(d->failure));
}

static bool gather(struct report *r)
{
	struct registry_entry entry;
	char path[PATH_MAX + 300];
	json_t *notes;

	if (!find_cluster(r))
		return false;
	if (!diary_read(r->cluster, r->name, &r->diary))
		memset(&r->diary, 0, sizeof(r->diary));
	registry_read(r->cluster, r->name, &entry);
	if (!*r->diary.image_dir)
		strcpy(r->diary.image_dir, entry.image_dir);
	snprintf(path, sizeof(path), "%s/%s.ckpt", r->diary.image_dir, r->name);
	merge_image(&r->diary, *entry.image ? entry.image : path);
	merge_failure(r, &r->diary);
	story_read(r->cluster, r->name, &r->story);
	notes = story_notes(r->cluster, r->name, &r->story);
	json_decref(r->story.notes);
	r->story.notes = notes;
	return true;
}

/* ---- to who asks ---- */

static void print_notes(const json_t *notes)
{
	const json_t *item;
	size_t i;

	json_array_foreach(notes, i, item) {
		printf("             note: ");
		print_text(json_string_value(item));
		putchar('\n');
	}
}

static void print_checkpoint(const struct diary *d)
{
	char buf[64];

	printf("checkpoint   ");
	if (!d->last.time) {
		printf("none yet\n");
		return;
	}
	printf("%s, %s", when(d->last.time, buf, sizeof(buf)), human_bytes(d->last.bytes));
	if (d->last.seconds >= 0)
		printf(" in %.2f s", d->last.seconds);
	printf(", stood still %s\n", human_ns((uint64_t)(d->last.standstill_ms * 1e6)));
	print_notes(d->last.notes);
}

static void print_restart(const struct story *s)
{
	char buf[64];

	if (!s->time)
		return;
	printf("restart      %s on ", when(s->time, buf, sizeof(buf)));
	print_text(s->node);
	printf(s->continued ? ", continued from " : ", not continued from ");
	print_text(s->image);
	if (!s->continued) {
		printf(": ");
		print_text(*s->sentence ? s->sentence : "under way, or killed");
	}
	putchar('\n');
	print_notes(s->notes);
}

static void print(const struct report *r)
{
	const struct diary *d = &r->diary;
	struct control_flag flag;
	char buf[64];

	printf("job          %s\nimages       ", r->name);
	print_text(*d->image_dir ? d->image_dir : "where each checkpoint is told to");
	if (d->interval_s)
		printf("\ninterval     %" PRIu64 ":%02u:%02u\n", d->interval_s / 3600,
		       (unsigned int)(d->interval_s / 60 % 60), (unsigned int)(d->interval_s % 60));
	else
		printf("\ninterval     none\n");
	print_checkpoint(d);
	if (d->failure.time) {
		printf("failure      %s, ", when(d->failure.time, buf, sizeof(buf)));
		print_text(d->failure.sentence);
		if (d->failure.count > 1)
			printf(" (%u times in a row)", d->failure.count);
		putchar('\n');
	}
	print_restart(&r->story);
	if (control_disabled(r->cluster, r->name, &flag))
		printf("disabled     %s, by %s\n", when(flag.since, buf, sizeof(buf)), flag.by);
	if (d->ended)
		printf("ended        %s\n", when(d->ended, buf, sizeof(buf)));
	else if (d->next)
		printf("next         %s\n", when(d->next, buf, sizeof(buf)));
}

static int print_json(const struct report *r)
{
	json_t *root = diary_json(&r->diary);

	json_object_set_new(root, "disabled",
			    json_boolean(control_disabled(r->cluster, r->name, NULL)));
	json_object_set_new(root, "restart", r->story.time ? story_json(&r->story) : json_null());
	json_object_set_new(root, "job", json_text(r->name));
	return json_print(root);
}

/* Root looks into the home directory of the job's owner, as long as Slurm knows who that is. */
static void become_owner(const char *job, char *id, size_t size)
{
	struct capture outer;
	struct deadline d;
	uid_t uid;

	deadline_begin(&d, "status", 0, -1);
	outer = fail_mute();
	if (slurm_owner(&d, job, &uid, id, size) == CK_OK && geteuid() == 0)
		slurm_become(uid, job);
	fail_restore(outer);
}

int status_job(const char *name)
{
	char job[32], step[16], id[32] = "";
	struct report r = { .cluster = "" };
	int rc = CK_OK;

	if (!slurm_split(name, job, sizeof(job), step, sizeof(step)))
		return fail(CK_USAGE, "\"%s\" is no job of Slurm and no step of one", name);
	/* "5_3" is another name of a number, which only Slurm knows. */
	if (geteuid() == 0 || job[strspn(job, "0123456789")])
		become_owner(job, id, sizeof(id));
	snprintf(r.name, sizeof(r.name), *step ? "%s.%s" : "%s", *id ? id : job, step);
	if (!gather(&r))
		return fail(CK_NOTFOUND, "nothing is known of checkpoints of %s: it was submitted without "
			    "--checkpoint and --checkpoint-dir and none was made, or it is somebody "
			    "else's", name);
	if (out_json)
		rc = print_json(&r);
	else
		print(&r);
	diary_free(&r.diary);
	story_free(&r.story);
	return rc;
}
