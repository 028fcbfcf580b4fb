// SPDX-License-Identifier: GPL-2.0
/* Every cut and every flipped bit, in any file of an image, is found. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "out.h"
#include "synthetic.h"
#include "tap.h"

static const char *const files[] = {
	"manifest.json", "gen-1/records", "gen-1/index", "gen-1/pages",
};

#define NR_FILES (sizeof(files) / sizeof(files[0]))
#define FLIPS 4000

static struct file {
	char path[600], saved[620];	/* the place for the good one meanwhile */
	off_t size;
} file[NR_FILES];

/* Refused, as damaged, with a sentence; anything else is shown. */
static bool refused(const char *what, size_t f, off_t at)
{
	char sentence[1024] = "";
	int rc = prove_quietly(scratch_image("d"), sentence, sizeof(sentence));

	if (rc == CK_DAMAGED && *sentence)
		return true;
	diag("%s of %s at %ld: exit code %d, \"%s\"", what, files[f], (long)at, rc, sentence);
	return false;
}

static bool cut(size_t f, off_t length)
{
	char *buf = malloc((size_t)length + 1);
	int in, out;
	bool good;

	if (!buf || rename(file[f].path, file[f].saved) < 0) {
		free(buf);
		return false;
	}
	in = open(file[f].saved, O_RDONLY);
	out = open(file[f].path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	good = in >= 0 && out >= 0 && read(in, buf, (size_t)length) == length &&
	       write(out, buf, (size_t)length) == length && refused("cut", f, length);
	free(buf);
	close(in);
	close(out);
	return rename(file[f].saved, file[f].path) == 0 && good;
}

static bool flip(size_t f, off_t at, int bit)
{
	int fd = open(file[f].path, O_RDWR);
	unsigned char byte, bad;
	bool good = fd >= 0 && pread(fd, &byte, 1, at) == 1;

	bad = (unsigned char)(byte ^ 1 << bit);
	good = good && pwrite(fd, &bad, 1, at) == 1 && refused("bit flip", f, at);
	good = pwrite(fd, &byte, 1, at) == 1 && good;
	close(fd);
	return good;
}

static bool grown(size_t f)
{
	bool good = truncate(file[f].path, file[f].size + 8) == 0 && refused("growth", f, file[f].size);

	return truncate(file[f].path, file[f].size) == 0 && good;
}

/* For good. */
static bool spoil(size_t f)
{
	int fd = open(file[f].path, O_WRONLY);
	bool good = fd >= 0 && pwrite(fd, "?", 1, file[f].size / 2) == 1;

	close(fd);
	return good;
}

int main(void)
{
	unsigned int seed = 20261122;
	size_t f, bad;
	struct image_writer *w;
	long i;

	ok(synthetic_write(scratch(), "d", 1, 1) == CK_OK &&
	   prove_quietly(scratch_image("d"), NULL, 0) == CK_OK, "an image that is whole is accepted");
	for (f = 0; f < NR_FILES; f++) {
		struct stat st = { 0 };
		off_t length, step;

		snprintf(file[f].path, sizeof(file[f].path), "%s/%s", scratch_image("d"), files[f]);
		snprintf(file[f].saved, sizeof(file[f].saved), "%s/%s.saved",
			 scratch_image("d"), files[f]);
		ok(stat(file[f].path, &st) == 0 && st.st_size > 0, "%s has %ld bytes", files[f],
		   (long)st.st_size);
		file[f].size = st.st_size;
		step = file[f].size / 300 + 1;
		for (length = 0, bad = 0; length < file[f].size; length += step)
			bad += !cut(f, length);
		bad += !cut(f, file[f].size - 1);
		ok(bad == 0, "%s cut at %ld lengths is refused", files[f], (long)(file[f].size / step + 2));
		ok(grown(f), "%s made longer is refused", files[f]);
	}
	for (f = 0; f < NR_FILES; f++) {
		for (i = 0, bad = 0; i < FLIPS / (long)NR_FILES && bad < 10; i++)
			bad += !flip(f, rand_r(&seed) % file[f].size, rand_r(&seed) % 8);
		ok(bad == 0, "%d bits flipped in %s, one at a time, are found", FLIPS / (int)NR_FILES,
		   files[f]);
	}
	for (i = 0, bad = 0; i < 8 * file[0].size; i++)
		bad += !flip(0, i / 8, (int)(i % 8));
	ok(bad == 0, "every single bit of the manifest");
	for (f = 0; f < NR_FILES; f++) {
		ok(rename(file[f].path, file[f].saved) == 0 && mkfifo(file[f].path, 0600) == 0 &&
		   prove_quietly(scratch_image("d"), NULL, 0) == CK_DAMAGED && unlink(file[f].path) == 0,
		   "a FIFO in place of %s is refused without waiting", files[f]);
		ok(symlink(file[f].saved, file[f].path) == 0 &&
		   prove_quietly(scratch_image("d"), NULL, 0) == CK_DAMAGED && unlink(file[f].path) == 0 &&
		   rename(file[f].saved, file[f].path) == 0, "and a symbolic link");
	}
	ok(prove_quietly(scratch_image("d"), NULL, 0) == CK_OK, "at last the image is whole again");
	snprintf(file[1].path, sizeof(file[1].path), "%s/gen-1/pages", scratch_image("d"));
	ok(spoil(0) && image_begin(&w, scratch(), "d") == CK_OK, "the manifest is damaged");
	image_abort(w);
	ok(access(file[0].path, F_OK) == 0 && access(file[1].path, F_OK) == 0,
	   "a checkpoint that fails leaves what there is");
	ok(prove_quietly(scratch_image("d"), NULL, 0) == CK_DAMAGED &&
	   synthetic_write(scratch(), "d", 2, 1) == CK_OK &&
	   prove_quietly(scratch_image("d"), NULL, 0) == CK_OK,
	   "a checkpoint takes the place of an image with a damaged manifest");
	snprintf(file[0].saved, sizeof(file[0].saved), "%s.damaged", file[0].path);
	ok(access(file[0].saved, F_OK) == 0, "whose manifest is kept aside");
	scratch_remove();
	return done();
}
