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

#include "out.h"
#include "synthetic.h"
#include "tap.h"

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
		_exit(synthetic_write(scratch(), id, seed, 1));
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

int main(void)
{
	unsigned int nr, bad = 0, kept = 0, replaced = 0, none = 0, first = 0, leftovers = 0;
	bool ended;
	int what;

	ended = write_and_die("try", 1, 1);
	if (ended && access(scratch_image("try"), F_OK) < 0) {
		skip("no ptrace(2) here");
		scratch_remove();
		return done();
	}
	synthetic_write(scratch(), "c", 1, 1);
	for (nr = 1, ended = false; !ended; nr++) {
		ended = write_and_die("c", 2, nr);
		what = holds("c", 1, 2);
		kept += what == 1;
		replaced += what == 2;
		bad += what != 1 && what != 2;
		/* The former one again, by a writer that meets the leftovers. */
		if (what != 1 || ended)
			bad += synthetic_write(scratch(), "c", 1, 1) != CK_OK;
		if (what != 1)
			leftovers += entries(scratch_image("c")) != 2;
	}
	diag("%u kills: %u with the former checkpoint, %u with the new one", nr - 1, kept, replaced);
	ok(bad == 0, "a complete checkpoint is there after every kill");
	ok(kept > 20 && replaced > 1, "kills happened before and after the commit");
	ok(leftovers == 0, "the next writer removes what a dead one left");

	for (nr = 1, ended = false, bad = 0; !ended; nr++) {
		char id[32];

		snprintf(id, sizeof(id), "first%u", nr);
		ended = write_and_die(id, 3, nr);
		what = holds(id, 3, 3);
		none += what == 0;
		first += what == 3;
		bad += what < 0;
		bad += synthetic_write(scratch(), id, 4, 1) != CK_OK || holds(id, 4, 4) != 4 ||
		       entries(scratch_image(id)) != 2;
	}
	diag("%u kills of a first writer: %u with nothing, %u with the checkpoint", nr - 1, none, first);
	ok(bad == 0, "a first checkpoint is there completely or not at all");
	ok(none > 20 && first > 1, "kills happened before and after its commit");
	scratch_remove();
	return done();
}
