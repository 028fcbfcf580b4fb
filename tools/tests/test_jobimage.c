// SPDX-License-Identifier: GPL-2.0
/* The image of a job: written and read back, rights, writers, and what the commands make of it. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

static bool has(const char *image, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", image, name);
	return access(path, F_OK) == 0;
}

/* ---- the image itself ---- */

static void reads_back(void)
{
	enum image_kind kind = IMAGE_PLAIN;
	char sentence[512], path[600];
	struct job_image *img;
	struct image *part;

	ok(synthetic_job_write(scratch(), "5", 1, 1) == CK_OK, "an image of a job is written");
	ok(image_kind_of(scratch_image("5"), &kind) == CK_OK && kind == IMAGE_JOB, "and known as one");
	if (!ok(job_image_open(&img, scratch_image("5")) == CK_OK, "and opened"))
		return;
	ok(synthetic_job_matches(img, 1), "its texts and parts are those that were written");
	ok(!synthetic_job_matches(img, 2), "and not others");
	ok(strcmp(img->meta.id, "5") == 0 && strcmp(img->meta.host, "n[1-2]") == 0 &&
	   img->meta.nr_threads == 15 && img->meta.standstill_ns == 12345678,
	   "its meta data: sums over the parts, and the longest stand-still");
	ok(strcmp(img->parts[0].step, "batch") == 0 && strcmp(img->parts[1].node, "n1") == 0 &&
	   strcmp(img->parts[2].node, "n2") == 0, "parts in order");
	ok(img->parts[1].nr_tasks == 2 && img->parts[1].tasks[0].rank == 0 &&
	   img->parts[1].tasks[1].rank == 1 && img->parts[1].tasks[1].pid == SYNTHETIC_PID + 1,
	   "tasks in order");
	ok(open_quietly(&part, scratch_image("5"), sentence, sizeof(sentence)) == CK_REFUSED &&
	   strstr(sentence, "whole job"), "it is no image of a cgroup: %s", sentence);
	snprintf(path, sizeof(path), "%s/gen-1/0/n2.ckpt", scratch_image("5"));
	ok(prove_quietly(path, NULL, 0) == CK_OK, "but its parts are");
	job_image_close(img);
	ok(synthetic_write(scratch(), "plain", 1, 1) == CK_OK && open_job_quietly(&img,
	   scratch_image("plain"), sentence, sizeof(sentence)) == CK_REFUSED,
	   "an image of a cgroup is none of a job: %s", sentence);
	fail_capture(sentence, sizeof(sentence));
	ok(synthetic_job_write(scratch(), "plain", 1, 1) == CK_REFUSED &&
	   synthetic_write(scratch(), "5", 1, 1) == CK_REFUSED, "neither replaces the other: %s",
	   sentence);
	fail_capture(NULL, 0);
	ok(prove_job_quietly(scratch_image("5"), NULL, 0) == CK_OK &&
	   prove_quietly(scratch_image("plain"), NULL, 0) == CK_OK, "both are what they were");
}

static bool is_generation(const char *name, unsigned int n, uint32_t seed)
{
	struct job_image *img;
	char path[600];
	bool good;

	snprintf(path, sizeof(path), "%s@%u", scratch_image(name), n);
	if (open_job_quietly(&img, path, NULL, 0))
		return false;
	good = img->number == n && synthetic_job_matches(img, seed);
	job_image_close(img);
	return good;
}

static void generations(void)
{
	struct job_image *img;
	uint32_t seed;

	for (seed = 1; seed <= 4; seed++)
		ok(synthetic_job_write(scratch(), "g", 10 * seed, 2) == CK_OK, "checkpoint %u", seed);
	ok(is_generation("g", 4, 40) && is_generation("g", 3, 30),
	   "the newest two can be opened by number");
	ok(!is_generation("g", 2, 20) && !has(scratch_image("g"), "gen-2") &&
	   !has(scratch_image("g"), "gen-1"), "older ones are gone");
	ok(job_image_open(&img, scratch_image("g")) == CK_OK && img->number == 4 &&
	   img->nr_generations == 2 && img->generations[1].bytes > 3 * 15 * CKPT_PAGE_SIZE / 2,
	   "without a number the newest one is opened");
	ok(!job_image_replaced(img), "it is not replaced");
	ok(synthetic_job_write(scratch(), "g", 50, 1) == CK_OK && job_image_replaced(img) &&
	   !has(scratch_image("g"), "gen-3") && !has(scratch_image("g"), "gen-4"),
	   "until a newer one takes its place");
	job_image_close(img);
}

static unsigned int nr_bad_modes;

static int check_mode(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	mode_t want = S_ISDIR(st->st_mode) ? 0700 : 0600;

	(void)type;
	(void)ftw;
	if ((st->st_mode & 07777) != want) {
		diag("%s has mode %03o", path, st->st_mode & 07777);
		nr_bad_modes++;
	}
	return 0;
}

static void rights(void)
{
	static const mode_t masks[] = { 0, 0777, 022 };
	struct job_image *img;
	char sentence[512];
	size_t i;

	for (i = 0; i < 3; i++) {
		char name[8];
		mode_t mask = umask(masks[i]);

		snprintf(name, sizeof(name), "r%zu", i);
		ok(synthetic_job_write(scratch(), name, 1, 1) == CK_OK, "written with umask %03o",
		   masks[i]);
		umask(mask);
		nftw(scratch_image(name), check_mode, 16, FTW_PHYS);
		ok(nr_bad_modes == 0, "only the owner may read and write");
	}
	chmod(scratch_image("r0"), 0722);
	ok(open_job_quietly(&img, scratch_image("r0"), sentence, sizeof(sentence)) == CK_PERM,
	   "an image that others may write in is refused: %s", sentence);
}

static void writers(void)
{
	struct job_image_writer *one, *two;
	struct job_image *img;
	struct image_meta meta;
	char sentence[512];
	int rc;

	ok(job_image_begin(&one, scratch(), "w") == CK_OK, "a writer begins");
	fail_capture(sentence, sizeof(sentence));
	rc = job_image_begin(&two, scratch(), "w");
	fail_capture(NULL, 0);
	ok(rc == CK_BUSY && !two, "a second one is told that the image is busy: %s", sentence);
	ok(open_job_quietly(&img, scratch_image("w"), NULL, 0) == CK_NOTFOUND,
	   "a reader finds no checkpoint yet");
	job_image_abort(one);
	ok(access(scratch_image("w"), F_OK) < 0, "an aborted first checkpoint leaves nothing");
	ok(synthetic_job_write(scratch(), "w", 1, 1) == CK_OK &&
	   job_image_begin(&one, scratch(), "w") == CK_OK &&
	   synthetic_job_fill(one, 2, &meta) == CK_OK, "a second checkpoint is under way");
	ok(prove_job_quietly(scratch_image("w"), NULL, 0) == CK_OK, "the former one is proved");
	job_image_abort(one);
	ok(prove_job_quietly(scratch_image("w"), NULL, 0) == CK_OK && !has(scratch_image("w"), "gen-2"),
	   "and after it was aborted");
}

/* A writer on another node is known by the lock on a file alone. */
static void writer_elsewhere(void)
{
	struct job_image_writer *w;
	char path[600], sentence[512];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/lock", scratch_image("w"));
	fd = open(path, O_RDWR);
	ok(fd >= 0 && flock(fd, LOCK_EX) == 0, "somebody has the lock of an image");
	fail_capture(sentence, sizeof(sentence));
	rc = job_image_begin(&w, scratch(), "w");
	fail_capture(NULL, 0);
	ok(rc == CK_BUSY && !w && has(scratch_image("w"), "lock"), "a writer is told so: %s", sentence);
	close(fd);
	ok(synthetic_job_write(scratch(), "w", 3, 1) == CK_OK, "and not afterwards");
}

/* What happens on another node just before a lock of ours on a file. */
static void (*before_lock)(void);

int flock(int fd, int operation)
{
	struct stat st;

	if (before_lock && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		before_lock();
		before_lock = NULL;
	}
	return (int)syscall(SYS_flock, fd, operation);
}

static void manifest(int (*move)(const char *from, const char *to), const char *from, const char *to)
{
	char old[600], new[600];

	snprintf(old, sizeof(old), "%s/%s", scratch_image("n"), from);
	snprintf(new, sizeof(new), "%s/%s", scratch_image("n"), to);
	move(old, new);
}

static void publish(void)
{
	manifest(rename, "second", "manifest.json");
}

/* It is done between our look at the image and our lock: what it made is the former one. */
static void writer_elsewhere_is_done(void)
{
	struct job_image_writer *w;

	ok(synthetic_job_write(scratch(), "n", 1, 2) == CK_OK, "a checkpoint");
	manifest(link, "manifest.json", "first");
	ok(synthetic_job_write(scratch(), "n", 2, 2) == CK_OK, "a second one, elsewhere");
	manifest(link, "manifest.json", "second");
	manifest(rename, "first", "manifest.json");
	before_lock = publish;
	ok(job_image_begin(&w, scratch(), "n") == CK_OK && !before_lock && job_image_number(w) == 3,
	   "which is complete before we have the lock");
	job_image_abort(w);
	ok(is_generation("n", 1, 1) && is_generation("n", 2, 2), "is not taken for leftovers");
}

/* Root's own job does not go into what somebody else has prepared for it. */
static void writer_of_another(void)
{
	struct job_image_writer *w;
	char sentence[512];
	int rc;

	if (geteuid() != 0) {
		skip("not root");
		return;
	}
	ok(mkdir(scratch_image("o"), 0700) == 0 && chown(scratch_image("o"), 1234, 1234) == 0,
	   "a directory of another user's");
	fail_capture(sentence, sizeof(sentence));
	rc = job_image_begin(&w, scratch(), "o");
	fail_capture(NULL, 0);
	ok(rc == CK_PERM && !w && !has(scratch_image("o"), "lock"), "gets no job's memory: %s", sentence);
}

/* On a node that does not share the image directory, nothing of ours is there. */
static void step_elsewhere(void)
{
	char dir[600], sentence[512];

	snprintf(dir, sizeof(dir), "%s/elsewhere", scratch());
	fail_capture(sentence, sizeof(sentence));
	ok(job_image_step(dir, "0") == CK_IO, "a node that does not share the directory: %s", sentence);
	symlink("/tmp", dir);
	ok(job_image_step(dir, "0") != CK_OK && !has("/tmp", "0"), "nor is a link followed: %s", sentence);
	unlink(dir);
	if (geteuid() == 0) {
		mkdir(dir, 0777);
		ok(chown(dir, 1234, 1234) == 0 && job_image_step(dir, "0") == CK_PERM,
		   "nor is somebody else's taken: %s", sentence);
	} else {
		skip("not root");
	}
	fail_capture(NULL, 0);
}

/* A part that the coordinator cannot see, and names that are none. */
static void parts_to_take(void)
{
	struct job_part bad[] = {
		{ .step = "..", .node = "n1" }, { .step = "batch", .node = "../../x" },
		{ .step = "batch", .node = "" }, { .step = "7", .node = "n1" },
		{ .step = "batch", .node = "n3" },
	};
	static const int codes[] = { CK_REFUSED, CK_REFUSED, CK_REFUSED, CK_NOTFOUND, CK_IO };
	struct job_image_writer *w;
	struct image_meta meta;
	char sentence[512];
	size_t i;

	if (!ok(job_image_begin(&w, scratch(), "t") == CK_OK &&
		synthetic_job_fill(w, 1, &meta) == CK_OK, "a checkpoint under way"))
		return;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc;

		fail_capture(sentence, sizeof(sentence));
		rc = job_image_take(w, &bad[i], &meta);
		fail_capture(NULL, 0);
		ok(rc == codes[i], "part %zu: %d %s", i, rc, sentence);
	}
	job_image_abort(w);
}

/* What could not be read must not be written. */
static void same_rank(void)
{
	struct job_task task = { .pid = 1 };
	struct job_part again = { .step = "0", .node = "n3", .tasks = &task, .nr_tasks = 1 };
	struct job_image_writer *w;
	struct image_meta meta;
	char path[4600], sentence[512];

	if (!ok(synthetic_job_write(scratch(), "s", 1, 1) == CK_OK &&
		job_image_begin(&w, scratch(), "s") == CK_OK &&
		synthetic_job_fill(w, 2, &meta) == CK_OK, "a checkpoint under way"))
		return;
	snprintf(path, sizeof(path), "%s/0", job_image_dir(w));
	ok(synthetic_write(path, "n3", 1, 1) == CK_OK && job_image_take(w, &again, &meta) == CK_OK,
	   "with one more part");
	fail_capture(sentence, sizeof(sentence));
	ok(job_image_commit(w, &meta, 1) == CK_FAILED && prove_job_quietly(scratch_image("s"), NULL, 0) ==
	   CK_OK, "that has a rank once more: %s", sentence);
	fail_capture(NULL, 0);
	ok(job_image_begin(&w, scratch(), "s") == CK_OK && job_image_put(w, "job.json", "{}", 2) == CK_OK,
	   "another one");
	fail_capture(sentence, sizeof(sentence));
	ok(job_image_commit(w, &meta, 1) == CK_FAILED && prove_job_quietly(scratch_image("s"), NULL, 0) ==
	   CK_OK && !has(scratch_image("s"), "gen-2"), "that has no part");
	fail_capture(NULL, 0);
}

/* ---- the commands ---- */

/* A command's exit code; what it prints is in the file "<scratch>/out". */
static int run(int (*cmd)(int argc, char **argv), const char *a, const char *b, bool json)
{
	char *argv[] = { (char *)"ckctl test", (char *)a, (char *)b, NULL };
	char path[600], sentence[1024];
	int saved = dup(STDOUT_FILENO), fd, rc;

	snprintf(path, sizeof(path), "%s/out", scratch());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	out_json = json;
	optind = 0;
	fail_capture(sentence, sizeof(sentence));
	rc = cmd(b ? 3 : 2, argv);
	fail_capture(NULL, 0);
	out_json = false;
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(fd);
	if (rc)
		diag("%s", sentence);
	return rc;
}

static json_t *printed(void)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/out", scratch());
	return json_load_file(path, 0, NULL);
}

static bool prints(const char *text)
{
	char path[600], line[1024];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "%s/out", scratch());
	file = fopen(path, "r");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, text);
	if (file)
		fclose(file);
	return found;
}

static void commands(void)
{
	const json_t *part;
	json_t *root;

	ok(run(cmd_show, scratch_image("5"), NULL, false) == CK_OK && prints("n[1-2]") &&
	   prints("---- step 0 on n2 ----"), "show");
	ok(run(cmd_show, scratch_image("5"), NULL, true) == CK_OK, "show --json");
	root = printed();
	part = json_array_get(json_object_get(root, "parts"), 2);
	ok(json_is_string(json_object_get(root, "script")) &&
	   json_array_size(json_object_get(json_object_get(part, "image"), "processes")) == 2 &&
	   json_integer_value(json_object_get(json_array_get(json_object_get(part, "tasks"), 0),
	   "rank")) == 2, "has script, parts, processes and tasks");
	json_decref(root);
	ok(run(cmd_verify, scratch_image("5"), NULL, false) == CK_OK && prints("3 parts"), "verify");
	ok(run(cmd_verify, scratch_image("5"), NULL, true) == CK_OK, "verify --json");
	root = printed();
	ok(json_integer_value(json_object_get(root, "parts")) == 3, "has the number of parts");
	json_decref(root);
	ok(run(cmd_list, scratch(), NULL, false) == CK_OK && prints("n[1-2]"), "list");
	ok(run(cmd_list, scratch(), NULL, true) == CK_OK, "list --json");
	root = printed();
	ok(strcmp(json_string_value(json_object_get(json_array_get(root, 0), "kind")), "job") == 0,
	   "has the kind");
	json_decref(root);
}

static void cores(void)
{
	char path[600], core[600];
	struct job_image_writer *w;
	struct job_part part = { .step = "batch", .node = "n1" };
	struct image_meta meta = { .id = "one" };

	snprintf(core, sizeof(core), "-o%s/core", scratch());
	ok(run(cmd_core, scratch_image("5"), "1000", false) == CK_USAGE,
	   "core of a pid that is in several parts");
	ok(run(cmd_core, scratch_image("5"), "4711", false) == CK_NOTFOUND, "core of no pid");
	if (!ok(job_image_begin(&w, scratch(), "one") == CK_OK && job_image_step(job_image_dir(w), "batch") == CK_OK &&
		job_image_put(w, "job.json", "{}", 2) == CK_OK, "a job of one part"))
		return;
	snprintf(path, sizeof(path), "%.500s/batch", job_image_dir(w));
	ok(synthetic_write(path, "n1", 1, 1) == CK_OK && job_image_take(w, &part, &meta) == CK_OK &&
	   job_image_commit(w, &meta, 1) == CK_OK, "is complete");
	if (chdir(scratch()) < 0)
		diag("cannot go to %s", scratch());
	ok(run(cmd_core, scratch_image("one"), "1000", false) == CK_OK && has(scratch(), "core.1000"),
	   "core of a pid that is in one part");
}

int main(void)
{
	reads_back();
	generations();
	rights();
	writers();
	writer_elsewhere();
	writer_elsewhere_is_done();
	writer_of_another();
	step_elsewhere();
	parts_to_take();
	same_rank();
	commands();
	cores();
	scratch_remove();
	return done();
}
