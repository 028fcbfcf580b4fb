// SPDX-License-Identifier: GPL-2.0
/* Which part of which image a task of a job continues from. */
#include <stdio.h>
#include <string.h>

#include "out.h"
#include "slot/source.h"
#include "synthetic.h"
#include "tap.h"

static char sentence[1024];

static int quietly(int (*opened)(struct source *, const char *), struct source *s, const char *path)
{
	int rc;

	sentence[0] = '\0';
	fail_capture(sentence, sizeof(sentence));
	rc = opened(s, path);
	fail_capture(NULL, 0);
	return rc;
}

/* The node of that rank; "ended with STATUS", or "none". */
static const char *node_of(struct source *s, uint32_t rank)
{
	int ended, rc;

	fail_capture(sentence, sizeof(sentence));
	rc = source_find(s, rank, &ended);
	fail_capture(NULL, 0);
	if (!rc && ended >= 0)
		snprintf(sentence, sizeof(sentence), "ended with %#x", (unsigned int)ended);
	return rc ? "none" : ended >= 0 ? sentence : s->part->node;
}

static void test_batch(void)
{
	struct source s;

	ok(quietly(source_open_batch, &s, scratch_image("5")) == CK_OK && source_tasks(&s) == 1,
	   "the image of a job, for its script");
	ok(strcmp(node_of(&s, 0), "n1") == 0 && strcmp(s.part->step, "batch") == 0, "where that was");
	source_close(&s);
	ok(quietly(source_open_batch, &s, scratch_image("6")) == CK_NOTFOUND, "no image: %s", sentence);
	source_close(&s);
}

static void check_step(const char *path, const char *what)
{
	struct source s;

	ok(quietly(source_open_step, &s, path) == CK_OK && strcmp(s.step, "0") == 0 &&
	   source_tasks(&s) == 4, "%s: %s", what, sentence);
	ok(strcmp(node_of(&s, 0), "n1") == 0 && strcmp(node_of(&s, 1), "n1") == 0 &&
	   strcmp(node_of(&s, 2), "n2") == 0, "its tasks");
	ok(strcmp(node_of(&s, 3), "ended with 0x300") == 0, "one that had ended: %s", sentence);
	ok(strcmp(node_of(&s, 4), "none") == 0, "one that never was: %s", sentence);
	source_close(&s);
}

static void test_steps(void)
{
	char path[4600];
	struct source s;

	snprintf(path, sizeof(path), "%s/gen-1/0", scratch_image("5"));
	check_step(path, "a step as a restarted srun names it");
	check_step(scratch_image("5"), "the only step of an image");
	ok(quietly(source_open_step, &s, scratch()) == CK_NOTFOUND, "no step in a directory: %s", sentence);
	source_close(&s);
	ok(synthetic_job_write(scratch(), "5.0", 1, 1) == CK_OK, "an image of a step");
	check_step(scratch(), "the one in a directory");
	ok(synthetic_job_write(scratch(), "5.1", 1, 1) == CK_OK &&
	   quietly(source_open_step, &s, scratch()) == CK_USAGE, "which of several: %s", sentence);
	source_close(&s);
	snprintf(path, sizeof(path), "%s/gen-2/0", scratch_image("5"));
	ok(quietly(source_open_step, &s, path) != CK_OK, "a generation that is gone: %s", sentence);
	source_close(&s);
}

static void test_images(void)
{
	struct image *image = NULL;
	struct source s;

	ok(quietly(source_open_step, &s, scratch_image("5")) == CK_OK && strcmp(node_of(&s, 2), "n2") == 0 &&
	   source_image(&s, 2, &image) == CK_OK && image->nr_processes > 0, "the processes of a task");
	image_close(image);
	ok(!source_replaced(&s) && synthetic_job_write(scratch(), "5", 2, 1) == CK_OK && source_replaced(&s),
	   "there is a newer image by now");
	source_close(&s);
}

int main(void)
{
	ok(synthetic_job_write(scratch(), "5", 1, 1) == CK_OK, "an image");
	test_batch();
	test_steps();
	test_images();
	scratch_remove();
	return done();
}
