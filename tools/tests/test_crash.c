// SPDX-License-Identifier: GPL-2.0
/*
 * A writer killed at every one of its system calls: what was there before is
 * there afterwards, complete, and the next writer cleans up.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image/store.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

/* What is written: the image of a cgroup or that of a job. */
static const struct kind {
	const char *what;
	int (*write)(const char *dir, const char *id, uint32_t seed, unsigned int keep);
	int (*holds)(const char *id, uint32_t old, uint32_t new);
	unsigned int entries;		/* of a complete image with one generation */
	enum image_kind kind;
} *kind;

/* Run a writer up to its @nr-th stop at a system call and kill it there; true
 * when it ended by itself before. */
static bool write_and_die(const char *id, uint32_t seed, unsigned int nr)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(99);
		raise(SIGSTOP);
		_exit(kind->write(scratch(), id, seed, 1));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || WIFEXITED(status))
		return true;
	while (nr-- && WIFSTOPPED(status))
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid)
			break;
	if (WIFEXITED(status))
		return true;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return false;
}

/* Which of the two checkpoints is in the image; 0 for none, -1 for trouble. */
static int holds(const char *id, uint32_t old, uint32_t new)
{
	char sentence[512] = "";
	struct image *img;
	int rc = open_quietly(&img, scratch_image(id), sentence, sizeof(sentence));

	if (rc == CK_NOTFOUND)
		return 0;
	if (rc || image_verify_pages(img, 1)) {
		diag("%s", sentence);
		image_close(img);
		return -1;
	}
	rc = synthetic_matches(img, old) ? (int)old : synthetic_matches(img, new) ? (int)new : -1;
	image_close(img);
	return rc;
}

static int job_holds(const char *id, uint32_t old, uint32_t new)
{
	char sentence[512] = "";
	struct job_image *img;
	int rc = open_job_quietly(&img, scratch_image(id), sentence, sizeof(sentence));

	if (rc == CK_NOTFOUND)
		return 0;
	if (rc) {
		diag("%s", sentence);
		return -1;
	}
	rc = synthetic_job_matches(img, old) ? (int)old :
	     synthetic_job_matches(img, new) ? (int)new : -1;
	job_image_close(img);
	return rc;
}

static unsigned int entries(const char *path)
{
	unsigned int nr = 0;
	DIR *dir = opendir(path);

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr - 2;
}

static void replace(void)
{
	unsigned int nr, bad = 0, kept = 0, replaced = 0, leftovers = 0;
	char id[16];
	bool ended;
	int what;

	snprintf(id, sizeof(id), "c%s", kind->what);
	kind->write(scratch(), id, 1, 1);
	for (nr = 1, ended = false; !ended; nr++) {
		ended = write_and_die(id, 11, nr);
		what = kind->holds(id, 1, 11);
		kept += what == 1;
		replaced += what == 11;
		bad += what != 1 && what != 11;
		/* The former one again, by a writer that meets the leftovers. */
		if (what != 1 || ended)
			bad += kind->write(scratch(), id, 1, 1) != CK_OK;
		if (what != 1)
			leftovers += entries(scratch_image(id)) != kind->entries;
	}
	diag("%u kills: %u with the former checkpoint, %u with the new one", nr - 1, kept, replaced);
	ok(bad == 0, "%s: a complete checkpoint is there after every kill", kind->what);
	ok(kept > 20 && replaced > 1, "%s: kills happened before and after the commit", kind->what);
	ok(leftovers == 0, "%s: the next writer removes what a dead one left", kind->what);
}

static void begin(void)
{
	unsigned int nr, bad = 0, none = 0, first = 0;
	bool ended;
	int what;

	for (nr = 1, ended = false; !ended; nr++) {
		char id[32];

		snprintf(id, sizeof(id), "first%s%u", kind->what, nr);
		ended = write_and_die(id, 21, nr);
		what = kind->holds(id, 21, 21);
		none += what == 0;
		first += what == 21;
		bad += what < 0;
		bad += kind->write(scratch(), id, 31, 1) != CK_OK || kind->holds(id, 31, 31) != 31 ||
		       entries(scratch_image(id)) != kind->entries;
	}
	diag("%u kills of a first writer: %u with nothing, %u with the checkpoint", nr - 1, none, first);
	ok(bad == 0, "%s: a first checkpoint is there completely or not at all", kind->what);
	ok(none > 20 && first > 1, "%s: kills happened before and after its commit", kind->what);
}

/* By somebody who is no writer: the image is as it was, or gone when it never was one. */
static void sweep(void)
{
	unsigned int nr, bad = 0, gone = 0;
	bool ended;

	/* Enough moments, of both kinds. */
	for (nr = 1, ended = false; !ended; nr += 3) {
		char id[32];
		int what;

		snprintf(id, sizeof(id), "swept%s%u", kind->what, nr % 2 ? nr : 0);
		if (nr == 4)
			kind->write(scratch(), id, 41, 1);
		ended = write_and_die(id, 41, nr);
		what = kind->holds(id, 41, 41);
		bad += store_sweep(kind->kind, scratch(), id) != CK_OK || kind->holds(id, 41, 41) != what ||
		       (what ? entries(scratch_image(id)) != kind->entries :
			       access(scratch_image(id), F_OK) == 0);
		gone += !what;
	}
	ok(bad == 0, "%s: what a dead writer left is removed, and nothing else", kind->what);
	ok(gone > 10, "%s: all of it, when there was no image before", kind->what);
	ok(store_sweep(kind->kind, scratch(), "none") == CK_OK && access(scratch_image("none"), F_OK) < 0,
	   "%s: where there is nothing, nothing is made", kind->what);
}

static void sweep_none(void)
{
	struct store s;
	char sentence[512];
	int rc;

	rc = store_begin(&s, IMAGE_PLAIN, scratch(), "busy");
	fail_capture(sentence, sizeof(sentence));
	ok(rc == CK_OK && store_sweep(IMAGE_PLAIN, scratch(), "busy") == CK_BUSY &&
	   access(s.gen_path, F_OK) == 0, "a writer at work is left alone");
	store_close(&s);
	synthetic_write(scratch(), "plain", 1, 1);
	ok(store_sweep(IMAGE_JOB, scratch(), "plain") == CK_REFUSED &&
	   entries(scratch_image("plain")) == 2, "so is an image of another kind");
	fail_capture(NULL, 0);
}

int main(void)
{
	static const struct kind kinds[] = {
		{ "cgroup", synthetic_write, holds, 2, IMAGE_PLAIN },
		{ "job", synthetic_job_write, job_holds, 3, IMAGE_JOB },
	};
	bool ended;

	/* Thousands of manifests: not where each fsync(2) waits for a disk. */
	if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	kind = &kinds[0];
	ended = write_and_die("try", 1, 1);
	if (ended && access(scratch_image("try"), F_OK) < 0) {
		skip("no ptrace(2) here");
		scratch_remove();
		return done();
	}
	for (; kind < kinds + 2; kind++) {
		replace();
		begin();
		sweep();
	}
	sweep_none();
	scratch_remove();
	return done();
}
