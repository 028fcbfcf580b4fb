// SPDX-License-Identifier: GPL-2.0
/* Writing an image and reading it back; generations; rights; two writers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out.h"
#include "synthetic.h"
#include "tap.h"

static void reads_back(void)
{
	const struct image_process *p;
	struct image *img;

	ok(synthetic_write(scratch(), "a", 1, 1) == CK_OK, "an image is written");
	if (!ok(image_open(&img, scratch_image("a")) == CK_OK, "and opened"))
		return;
	ok(image_verify_pages(img, 3) == CK_OK, "and verified");
	ok(synthetic_matches(img, 1), "its pages are those that were written");
	ok(!synthetic_matches(img, 2), "and not others");
	ok(strcmp(img->meta.id, "job") == 0 && img->meta.xfeatures == 0xe7 &&
	   img->meta.standstill_ns == 12345678 && img->meta.nr_threads == 5, "the meta data");
	ok(img->meta.argv && strcmp(img->meta.argv[1], "--option") == 0 &&
	   strcmp(img->meta.argv[2], "gr\xef\xbf\xbd\xef\xbf\xbd") == 0 && !img->meta.argv[3],
	   "the command line, bytes that are no text marked");
	p = &img->processes[1];
	ok(p->rec->pid == SYNTHETIC_PID + 1 && p->nr_threads == 3 && p->nr_vmas == 6 &&
	   p->nr_timers == 1 && p->nr_pages == 1, "a process with all its parts");
	ok(p->nr_sigqueue == 2 && p->threads[0].nr_sigqueue == 0 && p->threads[2].nr_sigqueue == 1,
	   "pending signals of process and thread kept apart");
	ok(strcmp(p->exe, "/usr/bin/program") == 0 && strcmp(p->cwd, "/home") == 0 &&
	   strcmp(p->vmas[0].path, "/usr/bin/program") == 0, "paths");
	ok(p->cred->nr_groups == 3 && p->groups[2] == 44, "groups");
	ok(p->nr_fds == 3 && p->fds[0].rec->fd == 0 && p->fds[1].rec->fd == 4 &&
	   p->fds[2].rec->fd == 9, "descriptors, ascending");
	ok(img->files[p->fds[1].file].rec->kind == CKPT_FILE_PIPE &&
	   memcmp(img->pipes[img->files[p->fds[1].file].pipe].data, "bytes", 5) == 0,
	   "a pipe and the bytes in it");
	ok(img->generations[0].number == 1 && p->pages[0]->generation == 1,
	   "the generation is filled in");
	p = &img->processes[2];
	ok(img->nr_relaunched == 1 && p->relaunch && p->rec->pid == SYNTHETIC_ANEW && !p->mm &&
	   p->nr_threads == 0 && p->nr_fds == 3 && p->cred && strcmp(p->rec->comm, "srun") == 0,
	   "a process that is started anew");
	ok(strcmp(p->exe, "/usr/bin/srun") == 0 && strcmp(p->relaunch->mark, "ckpt-step:17.0") == 0 &&
	   strcmp(p->relaunch->argv[2], "./a.out") == 0 && !p->relaunch->argv[3] &&
	   strcmp(p->relaunch->envp[1], "A=b=c") == 0 && !p->relaunch->envp[2],
	   "its program, mark, arguments and environment");
	image_close(img);
}

static bool has(const char *image, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", image, name);
	return access(path, F_OK) == 0;
}

static int prove_generation(const char *name, unsigned int n, uint32_t seed)
{
	struct image *img;
	char path[600];
	int rc;

	snprintf(path, sizeof(path), "%s@%u", scratch_image(name), n);
	rc = open_quietly(&img, path, NULL, 0);
	if (rc)
		return rc;
	rc = image_verify_pages(img, 1);
	if (rc == CK_OK && !synthetic_matches(img, seed))
		rc = CK_FAILED;
	image_close(img);
	return rc;
}

static void generations(void)
{
	struct image *img;
	uint32_t seed;

	for (seed = 1; seed <= 4; seed++)
		ok(synthetic_write(scratch(), "g", seed, 2) == CK_OK, "checkpoint %u", seed);
	ok(prove_generation("g", 4, 4) == CK_OK && prove_generation("g", 3, 3) == CK_OK,
	   "the newest two generations can be opened by number");
	ok(prove_generation("g", 2, 2) == CK_NOTFOUND && !has(scratch_image("g"), "gen-2") &&
	   !has(scratch_image("g"), "gen-1"), "older ones are gone");
	ok(image_open(&img, scratch_image("g")) == CK_OK && synthetic_matches(img, 4) &&
	   img->nr_generations == 2 && img->generations[0].page_fd == -1,
	   "without a number the newest one is opened");
	image_close(img);
	ok(synthetic_write(scratch(), "g", 5, 1) == CK_OK && prove_generation("g", 5, 5) == CK_OK &&
	   !has(scratch_image("g"), "gen-3") && !has(scratch_image("g"), "gen-4"),
	   "fewer to keep: the rest goes");
	ok(synthetic_write(scratch(), "g", 6, 0) == CK_OK && prove_generation("g", 6, 6) == CK_OK,
	   "the new one is kept even with none to keep");
}

static mode_t mode_of(const char *image, const char *name)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", image, name);
	return stat(path, &st) < 0 ? 0 : st.st_mode & 07777;
}

static void rights(void)
{
	mode_t masks[] = { 0, 0777, 022 };
	char sentence[512];
	struct image *img;
	size_t i;

	for (i = 0; i < 3; i++) {
		char name[8];
		const char *path;
		mode_t mask = umask(masks[i]);

		snprintf(name, sizeof(name), "r%zu", i);
		ok(synthetic_write(scratch(), name, 1, 1) == CK_OK, "written with umask %03o", masks[i]);
		umask(mask);
		path = scratch_image(name);
		ok(mode_of(path, ".") == 0700 && mode_of(path, "gen-1") == 0700 &&
		   mode_of(path, "gen-1/pages") == 0600 && mode_of(path, "gen-1/index") == 0600 &&
		   mode_of(path, "gen-1/records") == 0600 && mode_of(path, "manifest.json") == 0600,
		   "only the owner may read and write");
	}
	chmod(scratch_image("r0"), 0722);
	ok(open_quietly(&img, scratch_image("r0"), sentence, sizeof(sentence)) == CK_PERM &&
	   strstr(sentence, "others may write"), "an image that others may write in is refused");
	fail_capture(sentence, sizeof(sentence));
	ok(synthetic_write(scratch(), "r0", 2, 1) == CK_PERM, "for writing as well");
	fail_capture(NULL, 0);
	chmod(scratch_image("r0"), 0700);
	if (geteuid() != 0) {
		skip("giving an image to another user needs root");
		return;
	}
	ok(chown(scratch_image("r0"), 1234, 1234) == 0 && synthetic_write(scratch(), "r0", 3, 1) == CK_OK,
	   "root writes to a user's image");
	{
		struct stat st;
		char path[600];

		snprintf(path, sizeof(path), "%s/gen-2/pages", scratch_image("r0"));
		ok(stat(path, &st) == 0 && st.st_uid == 1234, "and the user owns what was written");
	}
	ok(seteuid(1235) == 0 && chmod(scratch(), 0755) < 0 && open_quietly(&img,
	   scratch_image("r0"), NULL, 0) == CK_PERM, "another user may not read it");
	if (seteuid(0) < 0)
		diag("cannot become root again");
	ok(open_quietly(&img, scratch_image("r0"), NULL, 0) == CK_OK && img->owner == 1234,
	   "root may, and sees whose it is");
	image_close(img);
}

static void writers(void)
{
	struct image_writer *one, *two;
	struct image_meta meta;
	struct image *img;
	char sentence[512];
	int rc;

	ok(image_begin(&one, scratch(), "w") == CK_OK, "a writer begins");
	fail_capture(sentence, sizeof(sentence));
	rc = image_begin(&two, scratch(), "w");
	fail_capture(NULL, 0);
	ok(rc == CK_BUSY && !two && strstr(sentence, scratch_image("w")),
	   "a second one is told that the image is busy");
	ok(open_quietly(&img, scratch_image("w"), NULL, 0) == CK_NOTFOUND,
	   "a reader finds no checkpoint yet");
	image_abort(one);
	ok(access(scratch_image("w"), F_OK) < 0, "an aborted first checkpoint leaves nothing");
	ok(synthetic_write(scratch(), "w", 1, 1) == CK_OK && image_begin(&one, scratch(), "w") == CK_OK &&
	   synthetic_fill(one, 2, &meta) == CK_OK, "a second checkpoint is under way");
	ok(prove_quietly(scratch_image("w"), NULL, 0) == CK_OK, "the former one is proved meanwhile");
	image_abort(one);
	ok(prove_quietly(scratch_image("w"), NULL, 0) == CK_OK && !has(scratch_image("w"), "gen-2"),
	   "and after it was aborted");
	ok(image_open(&img, scratch_image("w")) == CK_OK, "an open image");
	ok(synthetic_write(scratch(), "w", 3, 1) == CK_OK && !has(scratch_image("w"), "gen-1") &&
	   image_verify_pages(img, 1) == CK_OK && synthetic_matches(img, 1),
	   "stays readable while a newer checkpoint replaces it");
	image_close(img);
}

static void names(void)
{
	static const char *const bad[] = { "", ".", "..", "a/b", ".hidden", "a\nb", "/" };
	char path[600], sentence[512], image[512];
	struct image *img;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fail_capture(sentence, sizeof(sentence));
		ok(image_path(path, sizeof(path), "/d", bad[i]) == CK_USAGE, "name %zu is refused", i);
		fail_capture(NULL, 0);
	}
	ok(image_path(path, sizeof(path), "/d", "12.0") == CK_OK && strcmp(path, "/d/12.0.ckpt") == 0,
	   "a step's name");
	ok(open_quietly(&img, "/nonexistent/x.ckpt", NULL, 0) == CK_NOTFOUND, "no such image");
	ok(open_quietly(&img, "/dev/null", NULL, 0) == CK_REFUSED, "not a directory");
	snprintf(image, sizeof(image), "%s", scratch_image("a"));
	snprintf(path, sizeof(path), "%s/link.ckpt", scratch());
	ok(symlink(image, path) == 0 && open_quietly(&img, path, NULL, 0) != CK_OK,
	   "a symbolic link is not followed");
}

int main(void)
{
	reads_back();
	generations();
	rights();
	writers();
	names();
	scratch_remove();
	return done();
}
