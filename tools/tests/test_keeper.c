// SPDX-License-Identifier: GPL-2.0
/* What a keeper writes down, and how it speaks. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job/control.h"
#include "job/diary.h"
#include "job/registry.h"
#include "job/voice.h"
#include "out.h"
#include "tap.h"

static char dir[] = "/tmp/ckpt-test-XXXXXX";

static void test_diary(void)
{
	struct diary d = { .node = "n1", .image_dir = "/images", .interval_s = 300, .started = 5 };
	struct diary back;
	char cluster[256] = "";

	ok(!registry_find("7.status", cluster, sizeof(cluster)), "no diary where there is none");
	ok(diary_write("one", "7", &d) == CK_OK && diary_read("one", "7", &back) &&
	   back.interval_s == 300 && strcmp(back.image_dir, "/images") == 0 && !back.last.time &&
	   !back.failure.time && !back.next, "what is written is read");
	d.last.time = 1000;
	d.last.bytes = 1ULL << 40;
	d.last.standstill_ms = 1.5;
	d.last.notes = json_pack("[s]", "not saved");
	d.failure.time = 2000;
	d.failure.count = 3;
	strcpy(d.failure.sentence, "no \"space\" left\xff");
	ok(diary_write("one", "7", &d) == CK_OK && diary_read("one", "7", &back) &&
	   back.last.bytes == 1ULL << 40 && json_equal(back.last.notes, d.last.notes) && back.last.standstill_ms == 1.5 &&
	   back.failure.count == 3 && strncmp(back.failure.sentence, "no \"space\" left", 15) == 0,
	   "with a checkpoint, what it lacks, and a failure");
	diary_free(&back);
	diary_free(&d);
	ok(registry_find("7.status", cluster, sizeof(cluster)) && strcmp(cluster, "one") == 0,
	   "its cluster is found");
	ok(!registry_find("7.0.status", cluster, sizeof(cluster)), "a step's is another");
	ok(!diary_read("../jobs/one", "7", &back) && !diary_read("one", "../one/7", &back),
	   "a name is no path");
}

static bool exists(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/.ckpt/jobs/one/%s", dir, name);
	return access(path, F_OK) == 0;
}

static void age(const char *name)
{
	struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/.ckpt/jobs/one/%s", dir, name);
	utimensat(AT_FDCWD, path, times, 0);
}

static void test_sweep(void)
{
	struct registry_entry entry = { .image_dir = "" };
	char image[PATH_MAX];
	const char *const jobs[] = { "10", "11", "12.0", "13" };
	size_t i;

	snprintf(entry.image_dir, sizeof(entry.image_dir), "%s", dir);
	for (i = 0; i < 4; i++)
		if (registry_write("one", jobs[i], &entry))
			return;
	/* 10 and the step are old and have no image, 11 has one, 13 is new. */
	snprintf(image, sizeof(image), "%s/11.ckpt", dir);
	mkdir(image, 0700);
	age("10.json");
	age("11.json");
	age("12.0.json");
	age("7.status.json");
	/* What is told of them without the place of an image. */
	for (i = 0; i < 2; i++) {
		control_ended("one", jobs[i], CK_IO, "no space left");
		control_disable("one", jobs[i], true);
	}
	age("10.failed.json");
	age("11.failed.json");
	age("10.disabled.json");
	snprintf(image, sizeof(image), "%s/.ckpt/jobs/one/.13.json.5", dir);
	close(open(image, O_WRONLY | O_CREAT, 0600));
	age(".13.json.5");
	registry_sweep("one");
	ok(!exists(".13.json.5"), "what somebody was killed at is swept away");
	ok(!exists("10.json") && !exists("12.0.json"), "what is old and has no image is forgotten");
	ok(exists("11.json") && exists("13.json"), "what has one, or is new, is not");
	ok(!exists("7.status.json"), "what has lost its directory is");
	ok(!exists("10.failed.json") && exists("11.failed.json"), "a failure goes with its job");
	ok(exists("10.disabled.json"), "a flag stays until it is taken away");
}

/* What is there beginning with this. */
static int halves(const char *begin)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int nr = 0;
	DIR *list;

	snprintf(path, sizeof(path), "%s/.ckpt/jobs/one", dir);
	list = opendir(path);
	while (list && (entry = readdir(list)))
		nr += strncmp(entry->d_name, begin, strlen(begin)) == 0;
	if (list)
		closedir(list);
	return nr;
}

/* Somebody is killed in the middle of writing. */
static void test_half(void)
{
	char path[PATH_MAX];
	pid_t pid = fork();

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 0 });
		registry_made("one", "14", "/tmp/14.ckpt");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	snprintf(path, sizeof(path), "%s/.ckpt/jobs/one/.14.json.%lx.%d.1", dir,
		 (unsigned long)gethostid(), getpid());
	close(open(path, O_WRONLY | O_CREAT, 0600));
	ok(halves(".14.json.") == 2, "one half is left behind, one is being written");
	registry_halves("one", "14");
	ok(halves(".14.json.") == 1, "what was left behind is removed when the job ends, the other is not");
}

/* A task: it waits, with @fd for its standard error, which it has once it is "sleep". */
static pid_t task(int fd)
{
	char path[32], name[32] = "";
	pid_t pid = fork();
	FILE *file;

	if (pid == 0) {
		dup2(fd, 2);
		execlp("sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	while (strcmp(name, "sleep\n") != 0) {
		usleep(1000);
		file = fopen(path, "r");
		if (!file || !fgets(name, sizeof(name), file))
			break;
		fclose(file);
	}
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_pipe(void)
{
	struct voice v = { .tries = 0 };
	char text[64] = "";
	ssize_t n;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	v.task = task(ends[1]);
	close(ends[1]);
	voice_say(&v, "word %d\n", 1);
	while (voice_pending(&v))
		usleep(10000);
	n = read(ends[0], text, sizeof(text) - 1);
	ok(n == 7 && strcmp(text, "word 1\n") == 0, "a word reaches a task's pipe");
	end(v.task);
	ok(read(ends[0], text, 1) == 0, "which is not held open");
	close(ends[0]);
}

static void test_file(void)
{
	struct voice v = { .tries = 0 };
	char path[PATH_MAX], text[64] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/out", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	v.task = task(fd);
	if (write(fd, "output\n", 7) != 7)
		diag("cannot write");
	voice_say(&v, "word\n");
	while (voice_pending(&v))
		usleep(10000);
	ok(pread(fd, text, sizeof(text) - 1, 0) == 12 && strcmp(text, "output\nword\n") == 0,
	   "a word is appended to a task's file");
	end(v.task);
	close(fd);
}

/* In a directory where others may write, the log can be another name of anything. */
static void test_trap(struct voice *v)
{
	struct stat before, after;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/precious", dir);
	ok(link(v->file, path) == 0 && stat(path, &before) == 0, "a file has two names");
	voice_say(v, "fourth\n");
	ok(stat(path, &after) == 0 && after.st_size == before.st_size && !voice_pending(v),
	   "nothing is written to it");
	ok(unlink(path) == 0 && unlink(v->file) == 0 && symlink("precious", v->file) == 0, "a link");
	voice_say(v, "fifth\n");
	ok(access(path, F_OK) < 0, "and nothing through that");
}

static void test_log(void)
{
	struct voice v = { .tries = 0 };
	char text[64] = "";
	FILE *file;
	int i;

	/* There is no such process. */
	v.task = INT_MAX;
	snprintf(v.file, sizeof(v.file), "%s/log", dir);
	voice_say(&v, "first\n");
	voice_say(&v, "second\n");
	ok(access(v.file, F_OK) < 0 && voice_pending(&v), "without a task, it waits");
	for (i = 0; i < 100 && voice_pending(&v); i++)
		;
	file = fopen(v.file, "r");
	if (file) {
		ok(fread(text, 1, sizeof(text) - 1, file) && strcmp(text, "first\nsecond\n") == 0,
		   "then the words go to a file");
		fclose(file);
	} else {
		ok(false, "then the words go to a file");
	}
	voice_say(&v, "third\n");
	ok(!voice_pending(&v), "and the next ones at once");
	test_trap(&v);
}

/* The same one comes with each checkpoint, its sizes grow, and other nodes have it, too. */
static void test_notes(void)
{
	struct voice v = { .task = INT_MAX };
	const char *said;

	voice_note(&v, "node0: /tmp/file (300.0 MiB) is not saved");
	voice_note(&v, "node1: /tmp/file (301.5 MiB) is not saved");
	voice_note(&v, "/tmp/oth\ner is not saved");
	said = v.pending ? v.pending : "";
	ok(strcmp(said, "ckctl: note: node0: /tmp/file (300.0 MiB) is not saved\n"
		  "ckctl: note: /tmp/oth?er is not saved\n") == 0, "a note is said once: %s", said);
	voice_free(&v);
}

int main(void)
{
	char command[128];

	if (!mkdtemp(dir) || setenv("HOME", dir, 1) < 0)
		return 1;
	test_diary();
	test_sweep();
	test_half();
	test_pipe();
	test_file();
	test_log();
	test_notes();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	if (system(command) != 0)
		diag("cannot remove %s", dir);
	return done();
}
