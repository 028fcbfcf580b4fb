// SPDX-License-Identifier: GPL-2.0
/* "ckctl restart" of a batch job that has ended, with commands of Slurm's that are a few lines each. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/restart_job.h"
#include "job/registry.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

/* Job 6 is what the file of that name tells; sbatch says what it was given. */
static const char commands[] =
	"cd %s && mkdir bin home && cat >bin/squeue <<'END'\n"
	"#!/bin/sh\n"
	"echo \"$(id -u)|5\"\n"
	"END\n"
	"cat >bin/scontrol <<'END'\n"
	"#!/bin/sh\n"
	"cd \"$HOME/..\"\n"
	"case $* in\n"
	"\"show config\") printf 'of now\\nClusterName = c\\n' ;;\n"
	"\"-o show node \"*) echo \"NodeName=$4 State=IDLE Partitions=p\" ;;\n"
	"\"-o show job 5\") echo 'JobId=5 JobState=CANCELLED Requeue=0 BatchFlag=1' ;;\n"
	"\"-o show job 6\") cat 6 ;;\n"
	"*) exit 1 ;;\n"
	"esac\n"
	"END\n"
	"cat >bin/sbatch <<'END'\n"
	"#!/bin/sh\n"
	"echo \"$*\" >\"${0%%/*}/../given\"\n"
	"echo 9\n"
	"END\n"
	"chmod +x bin/*";

static char given[4096];

/* What job 6 is, the sentence, and in "given" what sbatch was given: "" for not called. */
static int restart(const struct restart_job_request *req, const char *six, char *sentence, size_t size)
{
	char path[256];
	ssize_t n;
	int fd, rc;

	snprintf(path, sizeof(path), "%s/6", scratch());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, six, strlen(six)) != (ssize_t)strlen(six))
		return -1;
	close(fd);
	snprintf(path, sizeof(path), "%s/given", scratch());
	unlink(path);
	fail_capture(sentence, size);
	rc = restart_job(req);
	fail_capture(NULL, 0);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? 0 : read(fd, given, sizeof(given) - 1);
	given[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return rc;
}

static void succeed(const char *job, const char *next, const char *image)
{
	struct registry_entry entry = { .image_dir = "" };

	snprintf(entry.goes_on_as, sizeof(entry.goes_on_as), "%s", next);
	snprintf(entry.image, sizeof(entry.image), "%s", image);
	ok(registry_write("c", job, &entry) == CK_OK, "job %s has gone on as job %s", job, next);
}

static void test_successors(void)
{
	static const char ended[] = "JobId=6 JobState=COMPLETED\n";
	struct restart_job_request req = { .job = "5", .image_dir = NULL };
	char s[1024], path[256];

	succeed("5", "6", scratch_image("5"));
	ok(restart(&req, "JobId=6 JobState=RUNNING\n", s, sizeof(s)) == CK_BUSY && !*given &&
	   strstr(s, "job 5 goes on as job 6 already, which is RUNNING"), "while it runs: %s", s);
	ok(restart(&req, ended, s, sizeof(s)) == CK_OK && *given, "it has no image: once more %s", s);
	succeed("5", "6", "");
	succeed("6", "7", "");
	succeed("7", "", scratch_image("7"));
	ok(restart(&req, ended, s, sizeof(s)) == CK_REFUSED && !*given &&
	   strstr(s, "job 5 went on as job 7; \"ckctl restart 7\" continues from its later image"),
	   "the last one has an image: %s", s);
	req.generation = "@1";
	ok(restart(&req, ended, s, sizeof(s)) == CK_OK && *given, "unless the older one is named by its number");
	succeed("5", "6", "");
	req.generation = NULL;
	req.image_dir = scratch();
	ok(restart(&req, ended, s, sizeof(s)) == CK_OK && *given, "or its directory");
	succeed("5", "6", "");
	snprintf(path, sizeof(path), "%s", scratch_image("5"));
	req = (struct restart_job_request){ .image = path };
	ok(restart(&req, ended, s, sizeof(s)) == CK_OK && *given, "or its path");
	req = (struct restart_job_request){ .job = "5" };
	succeed("5", "6", "");
	succeed("7", "5", "/nonesuch/7.ckpt");
	ok(restart(&req, ended, s, sizeof(s)) == CK_REFUSED && strstr(s, "went on as job 5"),
	   "one after the other, in a circle: %s", s);
}

static void test_nodes(void)
{
	struct restart_job_request req = { .job = "5", .generation = "@1", .same_nodes = true };
	char s[1024];

	ok(restart(&req, "", s, sizeof(s)) == CK_OK && strstr(given, "--nodes=2 --nodelist=n1,n2 "),
	   "on the nodes of the record: %s", given);
}

int main(void)
{
	char path[4096], text[sizeof(commands) + 256];

	snprintf(text, sizeof(text), commands, scratch());
	if (!ok(system(text) == 0 && synthetic_job_write(scratch(), "5", 1, 1) == CK_OK &&
		synthetic_job_write(scratch(), "7", 1, 1) == CK_OK, "two images"))
		return done();
	snprintf(path, sizeof(path), "%s/bin:%s", scratch(), getenv("PATH") ? : "/usr/bin:/bin");
	setenv("PATH", path, 1);
	snprintf(path, sizeof(path), "%s/home", scratch());
	setenv("HOME", path, 1);
	test_successors();
	test_nodes();
	scratch_remove();
	return done();
}
