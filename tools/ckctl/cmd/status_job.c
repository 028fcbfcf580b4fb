// SPDX-License-Identifier: GPL-2.0
#include "status_job.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "job/control.h"
#include "job/deadline.h"
#include "job/diary.h"
#include "job/slurm.h"
#include "json.h"
#include "out.h"

static const char *when(int64_t time, char *buf, size_t size)
{
	time_t seconds = (time_t)time;
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || !strftime(buf, size, "%F %T", &tm))
		snprintf(buf, size, "%" PRId64, time);
	return buf;
}

static void print(const char *name, const char *cluster, const struct diary *d)
{
	struct control_flag flag;
	char buf[64];

	printf("job          %s\nimages       ", name);
	print_text(d->image_dir);
	printf("\ninterval     %" PRIu64 ":%02u:%02u\n", d->interval_s / 3600,
	       (unsigned int)(d->interval_s / 60 % 60), (unsigned int)(d->interval_s % 60));
	printf("checkpoint   ");
	if (d->last.time)
		printf("%s, %s in %.2f s, stood still %s\n", when(d->last.time, buf, sizeof(buf)),
		       human_bytes(d->last.bytes), d->last.seconds,
		       human_ns((uint64_t)(d->last.standstill_ms * 1e6)));
	else
		printf("none yet\n");
	if (d->failure.time) {
		printf("failure      %s, ", when(d->failure.time, buf, sizeof(buf)));
		print_text(d->failure.sentence);
		if (d->failure.count > 1)
			printf(" (%u times in a row)", d->failure.count);
		putchar('\n');
	}
	if (control_disabled(cluster, name, &flag))
		printf("disabled     %s, by %s\n", when(flag.since, buf, sizeof(buf)), flag.by);
	if (d->ended)
		printf("ended        %s\n", when(d->ended, buf, sizeof(buf)));
	else
		printf("next         %s\n", when(d->next, buf, sizeof(buf)));
}

static int print_json(const char *name, const char *cluster, const struct diary *d)
{
	json_t *root = diary_json(d);

	json_object_set_new(root, "disabled", json_boolean(control_disabled(cluster, name, NULL)));
	json_object_set_new(root, "job", json_text(name));
	return json_print(root);
}

/* Root looks into the home directory of the job's owner, as long as Slurm knows who that is. */
static void become_owner(const char *job, char *id, size_t size)
{
	struct deadline d;
	char ignored[8];
	uid_t uid;

	deadline_begin(&d, "status", 0, -1);
	fail_capture(ignored, sizeof(ignored));
	if (slurm_owner(&d, job, &uid, id, size) == CK_OK && geteuid() == 0)
		slurm_become(uid, job);
	fail_capture(NULL, 0);
}

int status_job(const char *name)
{
	char job[32], step[16], id[32] = "", file[64], cluster[256];
	struct diary d;

	if (!slurm_split(name, job, sizeof(job), step, sizeof(step)))
		return fail(CK_USAGE, "\"%s\" is no job of Slurm and no step of one", name);
	/* "5_3" is another name of a number, which only Slurm knows. */
	if (geteuid() == 0 || job[strspn(job, "0123456789")])
		become_owner(job, id, sizeof(id));
	snprintf(file, sizeof(file), *step ? "%s.%s" : "%s", *id ? id : job, step);
	if (!diary_find(file, cluster, sizeof(cluster)) || !diary_read(cluster, file, &d))
		return fail(CK_NOTFOUND, "%s has no schedule: it was not submitted with --checkpoint, or "
			    "is somebody else's", name);
	if (out_json)
		return print_json(file, cluster, &d);
	print(file, cluster, &d);
	return CK_OK;
}
