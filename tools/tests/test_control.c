// SPDX-License-Identifier: GPL-2.0
/* What commands about a job leave for others: the flag, the last failure, what is under way. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "job/control.h"
#include "job/registry.h"
#include "out.h"
#include "tap.h"

static char dir[] = "/tmp/ckpt-test-XXXXXX";

static void test_flag(void)
{
	struct control_flag flag = { .since = 0 };

	ok(!control_disabled("one", "7", NULL), "checkpoints are not disabled");
	ok(control_disable("one", "7", false) == CK_OK, "nor need they be to be enabled");
	ok(control_disable("one", "7", true) == CK_OK && control_disabled("one", "7", &flag) &&
	   flag.since >= time(NULL) - 60 && *flag.by, "they are, and by whom and since when is known");
	ok(!control_disabled("one", "7.0", NULL) && !control_disabled("two", "7", NULL),
	   "of that job in that cluster");
	ok(control_disable("one", "7", true) == CK_OK && control_disable("one", "7", false) == CK_OK &&
	   !control_disabled("one", "7", NULL), "disabled twice, they are enabled at once: a flag");
	ok(control_disable("one", "../7", true) == CK_USAGE, "a name is no path");
}

static void test_failure(void)
{
	struct control_failure f;

	ok(!control_failed("one", "7", &f), "no failure");
	control_ended("one", "7", CK_TIMEOUT, "it \"took\" too long\xff");
	ok(control_failed("one", "7", &f) && f.code == CK_TIMEOUT && f.time >= time(NULL) - 60 &&
	   strncmp(f.sentence, "it \"took\" too long", 18) == 0, "a failure: %s", f.sentence);
	control_ended("one", "7", CK_REFUSED, "another one");
	ok(control_failed("one", "7", &f) && f.code == CK_REFUSED && strcmp(f.sentence, "another one") == 0,
	   "a second one");
	control_ended("one", "7", CK_OK, "");
	ok(!control_failed("one", "7", &f), "none any more after a success");
}

/* Who watches is another process. */
static bool await(bool expected)
{
	int64_t since;
	int i;

	for (i = 0; i < 1000 && control_under_way("one", "7", &since) != expected; i++)
		usleep(10000);
	return control_under_way("one", "7", &since) == expected &&
	       (!expected || since >= time(NULL) - 60);
}

static void test_way(void)
{
	struct control_way way;
	int64_t since;
	pid_t pid;

	ok(!control_under_way("one", "7", &since), "nothing is under way");
	way = control_begin("one", "7");
	ok(await(true), "a checkpoint is");
	control_over(&way);
	ok(!control_under_way("one", "7", &since), "it is over");
	pid = fork();
	if (pid == 0) {
		control_begin("one", "7");
		pause();
		_exit(0);
	}
	ok(await(true), "one of another process");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ok(await(false), "which is over when that is killed");
	registry_store("one", "7.began", json_pack("{s:I, s:I}", "since", (json_int_t)time(NULL) - 200,
						   "alive", (json_int_t)time(NULL) - 100));
	ok(!control_under_way("one", "7", &since), "one on a node that is gone is over after a while");
	pid = fork();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	registry_store("one", "7.began", json_pack("{s:I, s:I, s:I, s:i}", "since", (json_int_t)time(NULL),
						   "alive", (json_int_t)time(NULL), "host",
						   (json_int_t)gethostid(), "pid", pid));
	ok(!control_under_way("one", "7", &since), "one whose watch was killed here is over at once");
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir) || setenv("HOME", dir, 1) < 0)
		return 1;
	test_flag();
	test_failure();
	test_way();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 1 : done();
}
