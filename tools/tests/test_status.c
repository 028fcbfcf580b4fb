// SPDX-License-Identifier: GPL-2.0
/* What "ckctl status JOB" shows: of the keeper, of what was done by hand, of a restart. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/status_job.h"
#include "job/control.h"
#include "job/diary.h"
#include "job/registry.h"
#include "out.h"
#include "slot/story.h"
#include "synthetic.h"
#include "tap.h"

#define MADE	1700000005	/* by synthetic_job_write(…, 5, …) */

static char text[8192], sentence[1024];

/* What it prints of job 5 is in text, or why it does not in sentence. */
static int status(void)
{
	int out = dup(STDOUT_FILENO), rc;
	FILE *file = tmpfile();
	size_t n;

	fflush(stdout);
	if (!file || out < 0)
		return -1;
	dup2(fileno(file), STDOUT_FILENO);
	fail_capture(sentence, sizeof(sentence));
	rc = status_job("5");
	fail_capture(NULL, 0);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	close(out);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return rc;
}

static bool says(const char *what)
{
	if (strstr(text, what))
		return true;
	diag("\"%s\" is not in: %s", what, text);
	return false;
}

static void test_by_hand(void)
{
	struct registry_entry entry = { .image_dir = "" };

	ok(status() == CK_NOTFOUND && strstr(sentence, "nothing is known"), "a job that nothing is known of");
	snprintf(entry.image_dir, sizeof(entry.image_dir), "%s", scratch());
	registry_write("one", "5", &entry);
	ok(status() == CK_OK && says("none yet") && says("interval     none") && says(scratch()),
	   "one without a schedule");
	control_ended("one", "5", CK_IO, "no space left");
	ok(status() == CK_OK && says("failure ") && says("no space left"), "a checkpoint that has failed");
	control_ended("one", "5", CK_OK, "");
	ok(synthetic_job_write(scratch(), "5", 5, 1) == CK_OK && status() == CK_OK && says("2023-11-1") &&
	   !strstr(text, "none yet") && !strstr(text, "failure"), "and one that was made");
}

/* Its own last checkpoint is older than the image, or newer. */
static void test_keeper(void)
{
	struct diary d = { .interval_s = 600, .started = 1, .next = 2000000000 };

	snprintf(d.image_dir, sizeof(d.image_dir), "%s", scratch());
	d.last.time = MADE - 100;
	d.last.seconds = 12.5;
	d.last.notes = json_pack("[s]", "an old note");
	d.failure.time = MADE - 50;
	d.failure.count = 2;
	strcpy(d.failure.sentence, "it took too long");
	diary_write("one", "5", &d);
	ok(status() == CK_OK && says("interval     0:10:00") && !strstr(text, "12.5") &&
	   !strstr(text, "an old note") && !strstr(text, "took too long"),
	   "a checkpoint that was made after those of the schedule");
	d.last.time = MADE + 100;
	d.failure.time = MADE + 200;
	diary_write("one", "5", &d);
	ok(status() == CK_OK && says("in 12.50 s") && says("note: an old note") && says("(2 times in a row)"),
	   "before them");
	control_ended("one", "5", CK_TIMEOUT, "another one");
	ok(status() == CK_OK && says("another one (3 times in a row)"), "a later failure by hand");
	out_json = true;
	ok(status() == CK_OK && says("\"restart\": null") && says("\"notes\": [") && says("another one"),
	   "as JSON");
	out_json = false;
	diary_free(&d);
}

static void test_restart(void)
{
	struct story s = {
		.time = MADE + 300, .node = "n1", .image = "/images/5.ckpt", .generation = 3,
		.continued = true, .notes = json_pack("[s]", "/data is as it is"),
	};

	story_write("one", "5", &s);
	ok(status() == CK_OK && says(" on n1, continued from /images/5.ckpt\n") && says("note: /data is as it is"),
	   "what was not brought back at a restart");
	s.continued = false;
	strcpy(s.sentence, "it is damaged");
	story_write("one", "5", &s);
	ok(status() == CK_OK && says("not continued from /images/5.ckpt: it is damaged"), "or why there was none");
	out_json = true;
	ok(status() == CK_OK && says("\"continued\": false") && says("it is damaged"), "as JSON");
	out_json = false;
	story_free(&s);
}

int main(void)
{
	if (setenv("HOME", scratch(), 1) < 0)
		return 1;
	test_by_hand();
	test_keeper();
	test_restart();
	scratch_remove();
	return done();
}
