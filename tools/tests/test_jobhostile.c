// SPDX-License-Identifier: GPL-2.0
/*
 * Images of jobs that somebody has worked on: what was written by nobody is
 * found, and no name in a manifest leads out of the image.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "json.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

static char sentence[1024];

static const char *below(const char *name)
{
	static char path[2][700];
	static unsigned int turn;

	turn ^= 1;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", scratch_image("h"), name);
	return path[turn];
}

static int prove(void)
{
	sentence[0] = '\0';
	return prove_job_quietly(scratch_image("h"), sentence, sizeof(sentence));
}

/* ---- the manifest ---- */

static bool write_manifest(const char *rest)
{
	FILE *file = fopen(below("manifest.json"), "w");
	bool good = file && fprintf(file, "{\"xxh64\": \"%016llx\",\n%s",
				    (unsigned long long)XXH64(rest, strlen(rest), 0), rest) > 0;

	return file && fclose(file) == 0 && good;
}

/* Where a manifest says what it says. */
static json_t *at(json_t *root, const char *path)
{
	char copy[128], *name, *rest = copy;
	json_t *value = json_array_get(json_object_get(root, "generations"), 0);

	snprintf(copy, sizeof(copy), "%s", path);
	while (value && (name = strsep(&rest, "/")) && *name)
		value = *name >= '0' && *name <= '9' && json_is_array(value) ?
			json_array_get(value, (size_t)atoi(name)) : json_object_get(value, name);
	return value;
}

/* Each is one thing that cannot be, in a manifest that is well otherwise. */
static const struct {
	const char *what, *path, *key, *value;
	int code;
} lies[] = {
	{ "a step that leads out", "parts/0", "step", "\"..\"", CK_DAMAGED },
	{ "a step with a slash", "parts/0", "step", "\"batch/../../x\"", CK_DAMAGED },
	{ "a step that is no number", "parts/0", "step", "\"x\"", CK_DAMAGED },
	{ "a step -1", "parts/0", "step", "\"-1\"", CK_DAMAGED },
	{ "a step 00", "parts/1", "step", "\"00\"", CK_DAMAGED },
	{ "a step of no end", "parts/1", "step", "\"111111111111111111111111\"", CK_DAMAGED },
	{ "an empty step", "parts/0", "step", "\"\"", CK_DAMAGED },
	{ "a node that leads out", "parts/0", "node", "\"../../../../etc/x\"", CK_DAMAGED },
	{ "an absolute node", "parts/0", "node", "\"/etc/x\"", CK_DAMAGED },
	{ "an empty node", "parts/0", "node", "\"\"", CK_DAMAGED },
	{ "a node with a control character", "parts/0", "node", "\"n\\u001b[2J\"", CK_DAMAGED },
	{ "a node that begins with a dot", "parts/0", "node", "\".n1\"", CK_DAMAGED },
	{ "a node that is a number", "parts/0", "node", "1", CK_DAMAGED },
	{ "another node", "parts/0", "node", "\"n7\"", CK_DAMAGED },
	{ "another step", "parts/2", "step", "\"3\"", CK_DAMAGED },
	{ "two parts of one node", "parts/2", "node", "\"n1\"", CK_DAMAGED },
	{ "parts that are not in order", "parts/1", "node", "\"n3\"", CK_DAMAGED },
	{ "the checksum of another part", "parts/0", "xxh64", "\"0123456789abcdef\"", CK_DAMAGED },
	{ "a checksum that is none", "parts/0", "xxh64", "\"0x1\"", CK_DAMAGED },
	{ "a negative size", "parts/0", "bytes", "-1", CK_DAMAGED },
	{ "more ranks than pids", "parts/1", "pids", "[1000]", CK_DAMAGED },
	{ "ranks twice in a part", "parts/1", "ranks", "[0, 0]", CK_DAMAGED },
	{ "ranks twice in a step", "parts/1", "ranks", "[0, 2]", CK_DAMAGED },
	{ "a negative rank", "parts/1", "ranks", "[-1, 0]", CK_DAMAGED },
	{ "a pid 0", "parts/1", "pids", "[0, 1000]", CK_DAMAGED },
	{ "a pid of no kernel", "parts/1", "pids", "[1000, 4294967295]", CK_DAMAGED },
	{ "ranks that are text", "parts/1", "ranks", "[\"0\", \"1\"]", CK_DAMAGED },
	{ "no parts", "", "parts", "[]", CK_DAMAGED },
	{ "parts that are none", "", "parts", "{}", CK_DAMAGED },
	{ "no record", "", "files", "{}", CK_DAMAGED },
	{ "a record of another length", "files/job.json", "bytes", "5", CK_DAMAGED },
	{ "a record of no length that can be", "files/job.json", "bytes", "9223372036854775807",
	  CK_DAMAGED },
	{ "a script of another checksum", "files/script", "xxh64", "\"0123456789abcdef\"", CK_DAMAGED },
	{ "generation 0", "", "number", "0", CK_DAMAGED },
	{ "another generation", "", "number", "7", CK_DAMAGED },
	{ "no meta data", "", "meta", "null", CK_DAMAGED },
};

static void manifests(void)
{
	json_t *good = json_load_file(below("manifest.json"), 0, NULL);
	char *rest;
	size_t i;

	json_object_del(good, "xxh64");
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		json_t *bad = json_deep_copy(good);
		int rc;

		json_object_set_new(at(bad, lies[i].path), lies[i].key,
				    json_loads(lies[i].value, JSON_DECODE_ANY, NULL));
		rest = json_dumps(bad, 0);
		rc = write_manifest(rest + 1) ? prove() : -1;
		ok(rc == lies[i].code && *sentence, "%s: %d %s", lies[i].what, rc, sentence);
		free(rest);
		json_decref(bad);
	}
	json_object_set_new(good, "kind", json_string("other"));
	rest = json_dumps(good, 0);
	ok(write_manifest(rest + 1) && prove() == CK_REFUSED, "an unknown kind: %s", sentence);
	free(rest);
	json_object_set_new(good, "kind", json_integer(1));
	rest = json_dumps(good, 0);
	ok(write_manifest(rest + 1) && prove() == CK_REFUSED, "a kind that is a number: %s", sentence);
	free(rest);
	json_object_set_new(good, "kind", json_string("job"));
	rest = json_dumps(good, 0);
	ok(write_manifest(rest + 1) && prove() == CK_OK, "the good one again");
	free(rest);
	json_decref(good);
}

/* ---- files ---- */

static const char *const files[] = {
	"manifest.json", "gen-1/job.json", "gen-1/script", "gen-1/environ",
	"gen-1/batch/n1.ckpt/manifest.json", "gen-1/0/n1.ckpt/gen-1/records",
	"gen-1/0/n2.ckpt/gen-1/index", "gen-1/0/n2.ckpt/gen-1/pages",
};

#define NR_FILES (sizeof(files) / sizeof(files[0]))

static bool flip(const char *path, off_t pos, int bit)
{
	int fd = open(path, O_RDWR), rc;
	unsigned char byte, bad;
	bool good = fd >= 0 && pread(fd, &byte, 1, pos) == 1;

	bad = (unsigned char)(byte ^ 1 << bit);
	good = good && pwrite(fd, &bad, 1, pos) == 1;
	rc = prove();
	if (rc != CK_DAMAGED)
		diag("bit %d at %ld of %s: %d %s", bit, (long)pos, path, rc, sentence);
	good = pwrite(fd, &byte, 1, pos) == 1 && good && rc == CK_DAMAGED;
	close(fd);
	return good;
}

static void damage(void)
{
	unsigned int seed = 5, i, bad;
	char aside[720];
	size_t f;

	for (f = 0; f < NR_FILES; f++) {
		const char *path = below(files[f]);
		struct stat st = { 0 };

		if (stat(path, &st) < 0)
			diag("no %s", path);
		for (i = 0, bad = 0; i < 200 && bad < 5; i++)
			bad += !flip(path, rand_r(&seed) % st.st_size, rand_r(&seed) % 8);
		ok(bad == 0, "bits flipped in %s are found", files[f]);
		snprintf(aside, sizeof(aside), "%s.aside", path);
		ok(rename(path, aside) == 0 && prove() == (f ? CK_DAMAGED : CK_NOTFOUND),
		   "it is missed: %s", sentence);
		ok(mkfifo(path, 0600) == 0 && prove() == CK_DAMAGED && unlink(path) == 0,
		   "a FIFO in its place: %s", sentence);
		ok(symlink(aside, path) == 0 && prove() == CK_DAMAGED && unlink(path) == 0 &&
		   rename(aside, path) == 0, "a symbolic link: %s", sentence);
	}
	ok(prove() == CK_OK, "at last the image is whole again");
}

/* Directories of the image, replaced. */
static void directories(void)
{
	static const char *const names[] = { "gen-1", "gen-1/0", "gen-1/0/n2.ckpt" };
	char aside[720];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *path = below(names[i]);

		snprintf(aside, sizeof(aside), "%s.aside", path);
		ok(rename(path, aside) == 0 && prove() == CK_DAMAGED, "%s is missed: %s", names[i],
		   sentence);
		ok(symlink(aside, path) == 0 && prove() == CK_REFUSED && unlink(path) == 0 &&
		   rename(aside, path) == 0, "no link is followed in its place: %s", sentence);
		ok(chmod(path, 0777) == 0 && prove() == CK_PERM && chmod(path, 0700) == 0,
		   "others may not write in it: %s", sentence);
		if (geteuid() != 0) {
			skip("giving it to another user needs root");
			continue;
		}
		ok(chown(path, 1234, 1234) == 0 && prove() == CK_PERM && chown(path, 0, 0) == 0,
		   "it may not be another user's: %s", sentence);
	}
	/* A whole and sound image, but not the one of this checkpoint. */
	snprintf(aside, sizeof(aside), "%s", below("gen-1/0/n1.ckpt"));
	ok(rename(aside, below("x")) == 0 && rename(below("gen-1/0/n2.ckpt"), aside) == 0 &&
	   prove() == CK_DAMAGED, "a part in place of another: %s", sentence);
	ok(rename(aside, below("gen-1/0/n2.ckpt")) == 0 && rename(below("x"), aside) == 0 &&
	   prove() == CK_OK, "put back");
}

int main(void)
{
	/* Thousands of manifests: not where each fsync(2) waits for a disk. */
	if (!getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	ok(synthetic_job_write(scratch(), "h", 1, 1) == CK_OK && prove() == CK_OK, "an image");
	manifests();
	damage();
	directories();
	scratch_remove();
	return done();
}
