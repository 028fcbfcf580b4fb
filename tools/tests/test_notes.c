// SPDX-License-Identifier: GPL-2.0
/* What a restart has to say: kept, told once on each node, and gathered from all tasks. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "out.h"
#include "slot/notes.h"
#include "slot/story.h"
#include "tap.h"

static char dir[] = "/tmp/ckpt-test-XXXXXX";
static char name[32];			/* of a step that is nobody else's */

/* A process for itself: a task's slot. */
static void in_child(void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* notes_tell(): what it says is in @said, and how many sentences it returns is returned. */
static size_t told(char *said, size_t size)
{
	int ends[2], err = dup(STDERR_FILENO);
	json_t *list;
	ssize_t n;
	size_t nr;

	if (err < 0 || pipe2(ends, O_CLOEXEC) < 0)
		_exit(1);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	list = notes_tell(name);
	dup2(err, STDERR_FILENO);
	close(err);
	n = read(ends[0], said, size - 1);
	said[n > 0 ? n : 0] = '\0';
	close(ends[0]);
	nr = json_array_size(list);
	json_decref(list);
	return nr;
}

static void say_third(void)
{
	note("third");
}

static bool heard(size_t i, const char *sentence)
{
	json_t *list = notes_heard();
	const char *is = json_string_value(json_array_get(list, i));
	bool good = is ? strcmp(is, sentence) == 0 : !*sentence;

	json_decref(list);
	return good;
}

static int lines(const char *text)
{
	int nr = 0;

	for (; *text; text++)
		nr += *text == '\n';
	return nr;
}

static char said[4096];

/* Another task of the step, on the same node. */
static void another_task(void)
{
	notes_listen();
	note("first");
	note("fourth");
	_exit(told(said, sizeof(said)) == 1 && strcmp(said, "ckctl: note: fourth\n") == 0 ? 0 : 1);
}

static void talkative_task(void)
{
	size_t nr;
	int i;

	notes_listen();
	for (i = 0; i < 30; i++)
		note("process %d has lost something", i);
	nr = told(said, sizeof(said));
	_exit(nr == 30 && lines(said) == 8 && strstr(said, "\"ckctl status ") ? 0 : 1);
}

static bool succeeds(void (*run)(void))
{
	pid_t pid = fork();
	int status = 1;

	if (pid == 0)
		run();
	waitpid(pid, &status, 0);
	return status == 0;
}

static void test_telling(void)
{
	notes_listen();
	note("first");
	note_done("second, \"%s\"", "as it should be");
	in_child(say_third);
	ok(heard(0, "first") && heard(1, "second, \"as it should be\"") && heard(2, "third") && heard(3, ""),
	   "all is heard, a child as well");
	ok(told(said, sizeof(said)) == 2 && strcmp(said, "ckctl: note: first\nckctl: note: third\n") == 0,
	   "what somebody must know is told: %s", said);
	ok(heard(2, "third"), "and still known");
	ok(told(said, sizeof(said)) == 0 && !*said, "not again");
	ok(succeeds(another_task), "another task tells only what is new");
	ok(succeeds(talkative_task), "of many sentences, some are told, and where the others are");
	snprintf(name, sizeof(name), "%d.1", getpid());
	ok(told(said, sizeof(said)) == 2, "those of another step are others");
	out_hear = NULL;
}

static struct story attempt(uint32_t generation, const char *sentence)
{
	struct story s = { .time = 1, .manifest = 5, .generation = generation, .continued = true };

	s.notes = sentence ? json_pack("[s]", sentence) : json_array();
	return s;
}

static bool gathered(const char *job, uint32_t generation, const char *expected)
{
	struct story s = attempt(generation, NULL);
	json_t *list = story_notes("one", job, &s), *item;
	char all[256] = "";
	size_t i;

	/* They come in any order. */
	json_array_foreach(list, i, item)
		strcat(all, json_string_value(item));
	json_decref(list);
	story_free(&s);
	return strlen(all) == strlen(expected) && strspn(all, expected) == strlen(all);
}

static void test_gathering(void)
{
	struct story job = attempt(3, "a"), step = attempt(3, "b"), same = attempt(3, "b");
	struct story more = attempt(3, "c"), older = attempt(2, "d"), nothing = attempt(3, NULL);

	story_write("one", "7", &job);
	story_write("one", "7.0", &step);
	story_add("one", "7.0", 1, &same);
	story_add("one", "7.0", 2, &more);
	story_add("one", "7.1", 1, &older);
	story_write("one", "71", &more);
	ok(gathered("7", 3, "abc"), "what all tasks of a job's steps have to say, once");
	ok(gathered("7.0", 3, "bc"), "those of a step");
	ok(gathered("7", 2, "d"), "of this very restart");
	story_add("one", "7.0", 2, &nothing);
	ok(gathered("7", 3, "ab"), "a task that has nothing to say any more");
	story_free(&job);
	story_free(&step);
	story_free(&same);
	story_free(&more);
	story_free(&older);
	story_free(&nothing);
}

int main(void)
{
	char command[128];

	if (!mkdtemp(dir) || setenv("HOME", dir, 1) < 0)
		return 1;
	snprintf(name, sizeof(name), "%d.0", getpid());
	test_telling();
	test_gathering();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	if (system(command) != 0)
		diag("cannot remove %s", dir);
	return done();
}
