// SPDX-License-Identifier: GPL-2.0
/* TARGET, keywords, names of jobs, --keep. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job/target.h"
#include "out.h"
#include "tap.h"

static char sentence[512];

static void operand(const char *arg, int rc, const char *dir, uint64_t ms, const char *name)
{
	struct target t = { 0 };
	int got = target_operand(&t, arg);
	bool good = got == rc;

	if (good && !rc)
		good = (dir ? t.image_dir && strcmp(t.image_dir, dir) == 0 : !t.image_dir) &&
		       t.max_wait_ms == ms &&
		       (name ? t.name && strcmp(t.name, name) == 0 : !t.name);
	ok(good, "operand \"%s\" -> %d%s%s", arg, rc, rc ? ": " : "", rc ? sentence : "");
}

static void id(const char *text, int rc)
{
	ok(job_check_id(text) == rc, "name \"%.20s\" is %s", text, rc ? "refused" : "taken");
}

static void keep(const char *text, int rc, unsigned int value)
{
	unsigned int n = 0;

	ok(job_parse_keep(&n, text) == rc && n == value, "--keep=%s", text);
}

static void two_targets(void)
{
	struct target t = { 0 };
	struct job job;

	ok(!target_operand(&t, "a") && target_operand(&t, "b") == CK_USAGE, "two targets");
	ok(!target_operand(&t, "MaxWait=3") && t.max_wait_ms == 3000 && t.name[0] == 'a',
	   "a keyword behind the target");
	ok(target_operand(&t, "Foo=1") == CK_USAGE, "an unknown keyword");
	t.cgroup = "/x";
	ok(target_find(&t, &job) == CK_USAGE, "a target and a cgroup");
	memset(&t, 0, sizeof(t));
	ok(target_find(&t, &job) == CK_USAGE, "neither target nor cgroup");
	t.name = "there-is-no-such-job";
	ok(target_find(&t, &job) == CK_NOTFOUND, "a job that does not run");
	t.name = "4711.0";
	ok(target_find(&t, &job) == CK_NOTFOUND && strstr(sentence, "\"ckctl create 4711.0\""), "a job of Slurm");
	t.id = "x";
	ok(target_find(&t, &job) == CK_USAGE, "--name without --cgroup");
}

static void image_dir(void)
{
	char path[PATH_MAX], small[4];

	ok(!target_image_dir(path, sizeof(path), "/tmp/../tmp/.") && strcmp(path, "/tmp") == 0,
	   "an image directory becomes absolute");
	ok(target_image_dir(path, sizeof(path), "/no/such/dir") == CK_NOTFOUND,
	   "one that is not there");
	ok(target_image_dir(path, sizeof(path), "/dev/null") == CK_USAGE, "one that is a file");
	ok(target_image_dir(small, sizeof(small), "/tmp") == CK_FAILED, "one that is too long");
}

/* What is written down of a job is found again, by its name, as long as it lives. */
static void registration(void)
{
	struct job job = { .id = "unit", .cgroup = "/no/cgroup", .image_dir = "/tmp", .keep = 3 };
	struct job other = job, found;
	char dir[64] = "/tmp/ckpt-unit-XXXXXX";

	if (geteuid() == 0 && (setgid(12345) < 0 || setuid(12345) < 0))
		return;
	if (!ok(mkdtemp(dir) != NULL, "a runtime directory"))
		return;
	setenv("XDG_RUNTIME_DIR", dir, 1);
	ok(job_register(&job) == CK_OK, "a job is registered");
	ok(job_find("unit", &found) == CK_OK && strcmp(found.cgroup, job.cgroup) == 0 &&
	   strcmp(found.image_dir, "/tmp") == 0 && found.keep == 3 && found.owner == getpid(),
	   "and found");
	ok(job_register(&other) == CK_BUSY, "its name is taken while its owner lives");
	job_unregister(&job);
	ok(job_find("unit", &found) == CK_NOTFOUND, "and gone when it has ended");
	ok(job_register(&other) == CK_OK, "then the name is free");
	job_unregister(&other);
	strcat(dir, "/ckpt");
	rmdir(dir);
	*strrchr(dir, '/') = '\0';
	rmdir(dir);
}

int main(void)
{
	char longest[JOB_ID_MAX + 2];

	fail_capture(sentence, sizeof(sentence));
	operand("job", CK_OK, NULL, 0, "job");
	operand("ImageDir=/x", CK_OK, "/x", 0, NULL);
	operand("imagedir=/x=y", CK_OK, "/x=y", 0, NULL);
	operand("IMAGEDIR=", CK_USAGE, NULL, 0, NULL);
	operand("MaxWait=10", CK_OK, NULL, 10000, NULL);
	operand("maxwait=1", CK_OK, NULL, 1000, NULL);
	operand("MaxWait=0", CK_USAGE, NULL, 0, NULL);
	operand("MaxWait=-1", CK_USAGE, NULL, 0, NULL);
	operand("MaxWait= 1", CK_USAGE, NULL, 0, NULL);
	operand("MaxWait=1s", CK_USAGE, NULL, 0, NULL);
	operand("MaxWait=99999999999999999999", CK_USAGE, NULL, 0, NULL);
	operand("MaxWait", CK_OK, NULL, 0, "MaxWait");
	two_targets();
	id("a", CK_OK);
	id("a b=c", CK_OK);
	id("", CK_USAGE);
	id(".a", CK_USAGE);
	id("-a", CK_USAGE);
	id("a/b", CK_USAGE);
	id("a\nb", CK_USAGE);
	memset(longest, 'a', sizeof(longest));
	longest[JOB_ID_MAX + 1] = '\0';
	id(longest, CK_USAGE);
	longest[JOB_ID_MAX] = '\0';
	id(longest, CK_OK);
	keep("1", CK_OK, 1);
	keep("1000", CK_OK, 1000);
	keep("0", CK_USAGE, 0);
	keep("1001", CK_USAGE, 0);
	keep("-1", CK_USAGE, 0);
	keep("2x", CK_USAGE, 0);
	image_dir();
	registration();
	return done();
}
