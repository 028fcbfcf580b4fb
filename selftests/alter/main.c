// SPDX-License-Identifier: GPL-2.0
/*
 * Change an image and make its checksums right again, for tests:
 *
 *	alter IMAGE without KIND	the last generation without what KIND names
 *	alter IMAGE sum			after manifest.json was edited
 *	alter kinds			list the kinds
 *
 * An image without a kind is what a restart that does not restore that kind would
 * work on: neutral values instead of the saved ones.  So cr.sh shows that a
 * selftest notices, with the very ckctl and ckpt.ko that are tested.
 *
 * Exit status 1: there was nothing of that kind in the image.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/ckpt_image.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "image/dir.h"
#include "image/manifest.h"
#include "kinds.h"
#include "out.h"

/*
 * Page data is not in records: runs of so many pages become zeros; of private
 * memory not the small ones, libc's own among them, without which nothing runs.
 */
static const struct page_kind {
	const char *name;
	uint32_t owner_kind;
	uint32_t nr_pages;
} page_kinds[] = {
	{ "memory", CKPT_PAGES_MM, CKPT_RUN_MAX_PAGES },
	{ "shm", CKPT_PAGES_SHM, 1 },
};

/* Two more kinds: each descriptor gets an open file description of its own; what is
 * started anew is not there. */
#define SHARING "sharing"
#define RELAUNCH "relaunch"

static const struct kind *const tables[] = { kinds, memory_kinds };
#define NR_TABLES (sizeof(tables) / sizeof(tables[0]))

/* ---- files in memory ---- */

struct blob {
	unsigned char *data;
	size_t len;
};

static void die(const char *what)
{
	fprintf(stderr, "alter: %s: %s\n", what, strerror(errno));
	exit(2);
}

static struct blob load(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct blob b = { 0 };
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		die(name);
	b.len = (size_t)st.st_size;
	b.data = malloc(b.len + 1);
	if (!b.data || read(fd, b.data, b.len) != (ssize_t)b.len)
		die(name);
	b.data[b.len] = '\0';
	close(fd);
	return b;
}

static void store(int dir, const char *name, const struct blob *b)
{
	int fd = openat(dir, name, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, b->data, b->len) != (ssize_t)b->len || close(fd) < 0)
		die(name);
}

static void append(struct blob *b, const struct ckpt_record *r, const void *payload)
{
	static const char zeros[8];
	size_t padding = CKPT_RECORD_ALIGN(r->len) - r->len;

	memcpy(b->data + b->len, r, sizeof(*r));
	memcpy(b->data + b->len + sizeof(*r), payload, r->len);
	memcpy(b->data + b->len + sizeof(*r) + r->len, zeros, padding);
	b->len += sizeof(*r) + r->len + padding;
}

/* ---- records ---- */

static const struct ckpt_record *next_record(const struct blob *b, const struct ckpt_record *r)
{
	const unsigned char *at = r ? (const unsigned char *)(r + 1) + CKPT_RECORD_ALIGN(r->len) :
				      b->data;

	return at < b->data + b->len ? (const struct ckpt_record *)at : NULL;
}

static const struct ckpt_record *find_file(const struct blob *b, uint64_t id)
{
	const struct ckpt_record *r = NULL;

	while ((r = next_record(b, r)))
		if (r->type == CKPT_REC_FILE && ((const struct ckpt_rec_file *)(r + 1))->id == id)
			return r;
	return NULL;
}

/* A regular file's second and later descriptors: a copy of the description for each. */
static void unshare(const struct blob *from, struct blob *to)
{
	const struct ckpt_record *r = NULL, *before, *file;
	struct ckpt_rec_file *copy;
	struct ckpt_rec_fd fd;
	uint64_t id = 1ULL << 40;

	while ((r = next_record(from, r))) {
		if (r->type != CKPT_REC_FD) {
			append(to, r, r + 1);
			continue;
		}
		memcpy(&fd, r + 1, sizeof(fd));
		file = find_file(from, fd.file);
		for (before = NULL; (before = next_record(from, before)) && before != r;)
			if (before->type == CKPT_REC_FD &&
			    ((const struct ckpt_rec_fd *)(before + 1))->file == fd.file)
				break;
		if (before != r && file &&
		    ((const struct ckpt_rec_file *)(file + 1))->kind == CKPT_FILE_REG) {
			copy = malloc(file->len);
			if (!copy)
				die("a file");
			memcpy(copy, file + 1, file->len);
			copy->id = fd.file = id++;
			append(to, file, copy);
			free(copy);
			nr_changed++;
		}
		append(to, r, &fd);
	}
}

/* Is there a CKPT_REC_RELAUNCH of the process that the record @r is about? */
static bool is_relaunched(const struct blob *b, const struct ckpt_record *r)
{
	const struct ckpt_record *other = NULL;

	while ((other = next_record(b, other)))
		if (other->type == CKPT_REC_RELAUNCH && memcmp(other + 1, r + 1, sizeof(int32_t)) == 0)
			return true;
	return false;
}

static void drop_relaunched(const struct blob *from, struct blob *to)
{
	const struct ckpt_record *r = NULL;

	while ((r = next_record(from, r)))
		switch (r->type) {
		case CKPT_REC_RELAUNCH:
			nr_changed++;
			break;
		case CKPT_REC_CRED:
		case CKPT_REC_FS:
		case CKPT_REC_RLIMITS:
		case CKPT_REC_FD:
			if (is_relaunched(from, r))
				break;
			/* fall through */
		default:
			append(to, r, r + 1);
		}
}

static void change_records(const struct blob *from, struct blob *to, const struct kind *kind)
{
	const struct ckpt_record *r = NULL;
	const struct kind *row;

	while ((r = next_record(from, r))) {
		struct ckpt_record head = *r;
		uint64_t len = r->len;
		void *payload = malloc(r->len + 1);
		enum verdict verdict = KEEP;

		if (!payload)
			die("a record");
		memcpy(payload, r + 1, r->len);
		for (row = kind; row->name && strcmp(row->name, kind->name) == 0; row++)
			if (r->type == row->type)
				verdict = row->change(payload, &len);
		head.len = len;
		if (verdict == KEEP)
			append(to, &head, payload);
		free(payload);
	}
}

static void change_pages(const struct blob *records, struct blob *index,
			 const struct page_kind *kind, uint32_t generation)
{
	const struct ckpt_record *r = NULL;

	while ((r = next_record(records, r))) {
		const struct ckpt_rec_pages *pages = (const void *)(r + 1);
		struct ckpt_run *runs;
		uint64_t i;

		if (r->type != CKPT_REC_PAGES || pages->owner_kind != kind->owner_kind ||
		    pages->generation != generation)
			continue;
		runs = (void *)(index->data + pages->index_pos);
		for (i = 0; i < pages->nr_runs; i++)
			if (!(runs[i].flags & CKPT_RUN_ZERO) && runs[i].nr_pages >= kind->nr_pages) {
				runs[i].flags = CKPT_RUN_ZERO;
				runs[i].pos = 0;
				runs[i].xxh64 = 0;
				nr_changed++;
			}
	}
}

static bool apply(const char *name, const struct blob *records, struct blob *changed,
		  struct blob *index, uint32_t generation)
{
	const struct kind *kind;
	size_t i;

	for (i = 0; i < sizeof(page_kinds) / sizeof(page_kinds[0]); i++)
		if (strcmp(page_kinds[i].name, name) == 0) {
			change_pages(records, index, &page_kinds[i], generation);
			memcpy(changed->data, records->data, records->len);
			changed->len = records->len;
			return true;
		}
	for (i = 0; i < NR_TABLES; i++)
		for (kind = tables[i]; kind->name; kind++) {
			if (strcmp(kind->name, name) != 0)
				continue;
			change_records(records, changed, kind);
			return true;
		}
	if (strcmp(name, SHARING) == 0)
		unshare(records, changed);
	else if (strcmp(name, RELAUNCH) == 0)
		drop_relaunched(records, changed);
	else
		return false;
	return true;
}

/* ---- the commands ---- */

static void sum(struct manifest_file *file, const struct blob *b)
{
	file->bytes = b->len;
	file->xxh64 = XXH64(b->data, b->len, 0);
}

/* The manifest tells which kernel's it is. */
static void sum_vdso(struct image_meta *meta, const struct blob *records)
{
	const struct ckpt_record *r = NULL;

	while ((r = next_record(records, r)))
		if (r->type == CKPT_REC_VDSO)
			snprintf(meta->vdso, sizeof(meta->vdso), "%016" PRIx64,
				 (uint64_t)XXH64(r + 1, r->len, 0));
}

static int without(int dir, const char *path, const char *name)
{
	struct blob records, index, changed = { 0 };
	struct manifest_generation *gen;
	struct manifest *m;
	int gen_dir;

	if (manifest_read(&m, dir, path) || !m)
		return 2;
	gen = &m->generations[m->nr_generations - 1];
	gen_dir = openat(dir, dir_generation_name(gen->number).text, O_DIRECTORY | O_CLOEXEC);
	if (gen_dir < 0)
		die("the generation");
	records = load(gen_dir, DIR_RECORDS);
	index = load(gen_dir, DIR_INDEX);
	/* Room for a copy of a file at each descriptor. */
	changed.data = malloc(records.len * 16);
	if (!changed.data)
		die("records");
	if (!apply(name, &records, &changed, &index, gen->number)) {
		fprintf(stderr, "alter: there is no kind \"%s\"\n", name);
		return 2;
	}
	if (!nr_changed) {
		fprintf(stderr, "alter: %s holds nothing of kind \"%s\"\n", path, name);
		return 1;
	}
	store(gen_dir, DIR_RECORDS, &changed);
	store(gen_dir, DIR_INDEX, &index);
	sum(&gen->records, &changed);
	sum(&gen->index, &index);
	sum_vdso(&gen->meta, &changed);
	if (manifest_write(m, dir, path))
		return 2;
	printf("%u changes\n", nr_changed);
	return 0;
}

/* As manifest.h says: the first line holds the checksum of all that follows. */
static int sum_manifest(int dir)
{
	struct blob b = load(dir, DIR_MANIFEST);
	unsigned char *rest = memchr(b.data, '\n', b.len);
	char hash[17], *at = strchr((char *)b.data, ':');

	if (!rest || !at || at + 20 > (char *)rest)
		die(DIR_MANIFEST);
	rest++;
	snprintf(hash, sizeof(hash), "%016" PRIx64,
		 (uint64_t)XXH64(rest, b.len - (size_t)(rest - b.data), 0));
	memcpy(strchr(at, '"') + 1, hash, 16);
	store(dir, DIR_MANIFEST, &b);
	return 0;
}

int main(int argc, char **argv)
{
	const struct kind *kind;
	size_t i;
	int dir;

	if (argc == 2 && strcmp(argv[1], "kinds") == 0) {
		for (i = 0; i < NR_TABLES; i++)
			for (kind = tables[i]; kind->name; kind++)
				puts(kind->name);
		for (i = 0; i < sizeof(page_kinds) / sizeof(page_kinds[0]); i++)
			puts(page_kinds[i].name);
		puts(SHARING);
		puts(RELAUNCH);
		return 0;
	}
	if (argc < 3 || (strcmp(argv[2], "sum") != 0 && argc != 4)) {
		fprintf(stderr, "usage: see the top of alter/main.c\n");
		return 2;
	}
	dir = open(argv[1], O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (dir < 0)
		die(argv[1]);
	return argc == 4 ? without(dir, argv[1], argv[3]) : sum_manifest(dir);
}
