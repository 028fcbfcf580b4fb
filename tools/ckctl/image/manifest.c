// SPDX-License-Identifier: GPL-2.0
#include "manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "dir.h"
#include "json.h"
#include "manifest_json.h"
#include "out.h"

#define FORMAT		"ckpt-image"
#define TEMPORARY	DIR_MANIFEST ".tmp"
#define MAX_BYTES	(16 << 20)	/* a third of a million tasks */
#define KIND_JOB	"job"
#define MAX_ARGV	(64 << 10)	/* bytes of the command line that are kept */

#define HEAD_FORMAT	"{\"xxh64\": \"%016" PRIx64 "\",\n"
#define HEAD_LEN	30

/* ---- the fields of struct image_meta ---- */

enum kind { TEXT, U32, U64, I64, HEX64 };

/* One table for both directions, so that they cannot differ. */
static const struct field {
	const char *name;
	enum kind kind;
	size_t offset, size;
} fields[] = {
#define FIELD(member, kind) \
	{ #member, kind, offsetof(struct image_meta, member), \
	  sizeof(((struct image_meta *)NULL)->member) }
	FIELD(id, TEXT),
	FIELD(cgroup, TEXT),
	FIELD(host, TEXT),
	FIELD(kernel, TEXT),
	FIELD(arch, TEXT),
	FIELD(vdso, TEXT),
	FIELD(xfeatures, HEX64),
	FIELD(xstate_size, U32),
	FIELD(uid, U32),
	FIELD(time, I64),
	FIELD(standstill_ns, U64),
	FIELD(bytes, U64),
	FIELD(nr_tasks, U64),
	FIELD(nr_threads, U64),
#undef FIELD
};

#define NR_FIELDS (sizeof(fields) / sizeof(fields[0]))

json_t *put_hex64(uint64_t value)
{
	return json_sprintf("%016" PRIx64, value);
}

bool get_hex64(const json_t *value, uint64_t *to)
{
	const char *text = json_string_value(value);
	char again[20];

	if (!text || strlen(text) != 16)
		return false;
	*to = strtoull(text, NULL, 16);
	snprintf(again, sizeof(again), "%016" PRIx64, *to);
	return strcmp(again, text) == 0;
}

bool get_u32(const json_t *value, uint32_t *to)
{
	json_int_t number = json_integer_value(value);

	*to = (uint32_t)number;
	return json_is_integer(value) && number >= 0 && number <= UINT32_MAX;
}

bool get_u64(const json_t *value, uint64_t *to)
{
	*to = (uint64_t)json_integer_value(value);
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static json_t *put_field(const struct field *f, const struct image_meta *meta)
{
	const void *from = (const char *)meta + f->offset;

	switch (f->kind) {
	case TEXT:
		return json_text(from);
	case U32:
		return json_integer(*(const uint32_t *)from);
	case U64:
	case I64:
		return json_integer(*(const int64_t *)from);
	case HEX64:
		return put_hex64(*(const uint64_t *)from);
	}
	return NULL;
}

static bool get_field(const struct field *f, const json_t *value, struct image_meta *meta)
{
	void *to = (char *)meta + f->offset;

	switch (f->kind) {
	case TEXT:
		if (!json_is_string(value))
			return false;
		/* U+FFFD is longer than the byte it stands for: cut, do not refuse. */
		snprintf(to, f->size, "%s", json_string_value(value));
		return true;
	case U32:
		return get_u32(value, to);
	case U64:
		return get_u64(value, to);
	case I64:
		*(int64_t *)to = json_integer_value(value);
		return json_is_integer(value);
	case HEX64:
		return get_hex64(value, to);
	}
	return false;
}

static json_t *put_meta(const struct image_meta *meta)
{
	json_t *object = json_object(), *argv;
	size_t i, bytes = 0;

	for (i = 0; i < NR_FIELDS; i++)
		if (json_object_set_new(object, fields[i].name, put_field(&fields[i], meta)) < 0)
			goto fail;
	if (!meta->argv)
		return object;
	argv = json_array();
	if (json_object_set_new(object, "argv", argv) < 0)
		goto fail;
	for (i = 0; meta->argv[i]; i++) {
		bytes += strlen(meta->argv[i]) + 1;
		if (bytes > MAX_ARGV)
			break;
		if (json_array_append_new(argv, json_text(meta->argv[i])) < 0)
			goto fail;
	}
	return object;
fail:
	json_decref(object);
	return NULL;
}

static bool get_meta(const json_t *object, struct image_meta *meta)
{
	const json_t *argv = json_object_get(object, "argv"), *arg;
	size_t i;

	for (i = 0; i < NR_FIELDS; i++)
		if (!get_field(&fields[i], json_object_get(object, fields[i].name), meta))
			return false;
	if (!argv)
		return true;
	if (!json_is_array(argv))
		return false;
	meta->argv = calloc(json_array_size(argv) + 1, sizeof(*meta->argv));
	if (!meta->argv)
		return false;
	json_array_foreach(argv, i, arg) {
		if (!json_is_string(arg))
			return false;
		meta->argv[i] = strdup(json_string_value(arg));
		if (!meta->argv[i])
			return false;
	}
	return true;
}

int meta_copy(struct image_meta *to, const struct image_meta *from)
{
	size_t i, n = 0;

	*to = *from;
	if (!from->argv)
		return CK_OK;
	while (from->argv[n])
		n++;
	to->argv = calloc(n + 1, sizeof(*to->argv));
	for (i = 0; to->argv && i < n; i++) {
		to->argv[i] = strdup(from->argv[i]);
		if (!to->argv[i])
			meta_free(to);
	}
	return to->argv ? CK_OK : fail(CK_FAILED, "out of memory");
}

void meta_free(struct image_meta *meta)
{
	size_t i;

	for (i = 0; meta->argv && meta->argv[i]; i++)
		free(meta->argv[i]);
	free(meta->argv);
	meta->argv = NULL;
}

/* ---- generations ---- */

json_t *put_file(const struct manifest_file *file, bool hashed)
{
	json_t *object = json_pack("{s:I}", "bytes", (json_int_t)file->bytes);

	if (object && hashed && json_object_set_new(object, "xxh64", put_hex64(file->xxh64)) < 0) {
		json_decref(object);
		object = NULL;
	}
	return object;
}

bool get_file(const json_t *files, const char *name, struct manifest_file *file, bool hashed)
{
	const json_t *object = json_object_get(files, name);

	return get_u64(json_object_get(object, "bytes"), &file->bytes) &&
	       (!hashed || get_hex64(json_object_get(object, "xxh64"), &file->xxh64));
}

static json_t *put_generation(const struct manifest *m, const struct manifest_generation *g)
{
	/* "o" takes the references, of NULL as well: then the whole fails. */
	json_t *object = json_pack("{s:I, s:o}", "number", (json_int_t)g->number,
				   "meta", put_meta(&g->meta));
	int bad;

	if (m->kind == IMAGE_JOB)
		bad = put_job(object, g);
	else
		bad = json_object_set_new(object, "files", json_pack(
			"{s:o, s:o, s:o}", DIR_RECORDS, put_file(&g->records, true),
			DIR_INDEX, put_file(&g->index, true), DIR_PAGES, put_file(&g->pages, false)));
	if (!bad)
		return object;
	json_decref(object);
	return NULL;
}

static bool get_generation(const json_t *object, enum image_kind kind, struct manifest_generation *g)
{
	const json_t *files = json_object_get(object, "files");

	if (!get_u32(json_object_get(object, "number"), &g->number) || !g->number ||
	    !get_meta(json_object_get(object, "meta"), &g->meta))
		return false;
	if (kind == IMAGE_JOB)
		return get_job(object, g);
	return get_file(files, DIR_RECORDS, &g->records, true) &&
	       get_file(files, DIR_INDEX, &g->index, true) &&
	       get_file(files, DIR_PAGES, &g->pages, false);
}

uint64_t manifest_bytes(const struct manifest *m, const struct manifest_generation *g)
{
	uint64_t bytes = g->job.record.bytes + g->job.script.bytes + g->job.environ.bytes;
	size_t i;

	if (m->kind == IMAGE_PLAIN)
		return g->records.bytes + g->index.bytes + g->pages.bytes;
	for (i = 0; i < g->nr_parts; i++)
		bytes += g->parts[i].bytes;
	return bytes;
}

const struct manifest_generation *manifest_find(const struct manifest *m, uint32_t number)
{
	size_t i;

	for (i = 0; i < m->nr_generations; i++)
		if (m->generations[i].number == number)
			return &m->generations[i];
	return NULL;
}

void manifest_free(struct manifest *m)
{
	size_t i;

	if (!m)
		return;
	for (i = 0; i < m->nr_generations; i++) {
		meta_free(&m->generations[i].meta);
		free_job(&m->generations[i]);
	}
	free(m->generations);
	free(m);
}

/* ---- reading ---- */

static int from_json(struct manifest *m, const json_t *root, const char *path)
{
	const json_t *version = json_object_get(root, "version");
	const json_t *list = json_object_get(root, "generations");
	const char *format = json_string_value(json_object_get(root, "format"));
	const json_t *kind = json_object_get(root, "kind");
	size_t i;

	if (!format || strcmp(format, FORMAT) != 0 || !json_is_integer(version))
		return fail(CK_REFUSED, "%s/%s does not describe an image of ckpt", path, DIR_MANIFEST);
	if (json_integer_value(version) != CKPT_IMAGE_VERSION)
		return fail(CK_REFUSED, "%s has image format version %" JSON_INTEGER_FORMAT
			    ", this ckctl reads version %d; use the ckctl that made it", path,
			    json_integer_value(version), CKPT_IMAGE_VERSION);
	if (kind && strcmp(json_is_string(kind) ? json_string_value(kind) : "", KIND_JOB) != 0)
		return fail(CK_REFUSED, "%s is of a kind that this ckctl does not know; use the ckctl "
			    "that made it", path);
	m->kind = kind ? IMAGE_JOB : IMAGE_PLAIN;
	if (!json_array_size(list))
		return fail(CK_DAMAGED, "%s/%s names no generation", path, DIR_MANIFEST);
	m->generations = calloc(json_array_size(list), sizeof(*m->generations));
	if (!m->generations)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < json_array_size(list); i++) {
		struct manifest_generation *g = &m->generations[i];

		m->nr_generations = i + 1;
		if (!get_generation(json_array_get(list, i), m->kind, g) ||
		    (i && g->number <= g[-1].number))
			return fail(CK_DAMAGED, "%s/%s: generation entry %zu is malformed", path,
				    DIR_MANIFEST, i + 1);
	}
	return CK_OK;
}

/* Check the first line's checksum, then parse all of it as JSON. */
static int from_text(struct manifest *m, const char *text, size_t len, const char *path)
{
	char head[HEAD_LEN + 8];
	json_error_t error;
	json_t *root;
	int rc;

	m->xxh64 = len > HEAD_LEN ? XXH64(text + HEAD_LEN, len - HEAD_LEN, 0) : 0;
	snprintf(head, sizeof(head), HEAD_FORMAT, m->xxh64);
	if (len <= HEAD_LEN || memcmp(head, text, HEAD_LEN) != 0)
		return fail(CK_DAMAGED, "%s is damaged: %s is not what was written", path,
			    DIR_MANIFEST);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return fail(CK_DAMAGED, "%s/%s, byte %d: %s", path, DIR_MANIFEST, error.position,
			    error.text);
	rc = from_json(m, root, path);
	json_decref(root);
	return rc;
}

int manifest_read(struct manifest **out, int dir, const char *path)
{
	struct manifest *m = NULL;
	char *text = NULL;
	uint64_t bytes;
	int fd, rc;

	*out = NULL;
	if (faccessat(dir, DIR_MANIFEST, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return CK_OK;
	rc = dir_open_file(&fd, dir, DIR_MANIFEST, path, &bytes);
	if (rc)
		return rc;
	if (bytes > MAX_BYTES) {
		rc = fail(CK_DAMAGED, "%s is damaged: %s is too long", path, DIR_MANIFEST);
		goto out;
	}
	m = calloc(1, sizeof(*m));
	text = malloc(bytes + 1);
	if (!m || !text) {
		rc = fail(CK_FAILED, "out of memory");
		goto out;
	}
	rc = dir_read(fd, text, bytes, 0, path, DIR_MANIFEST);
	if (rc == CK_OK)
		rc = from_text(m, text, bytes, path);
	if (rc == CK_OK) {
		*out = m;
		m = NULL;
	}
out:
	manifest_free(m);
	free(text);
	close(fd);
	return rc;
}

int manifest_steady(int (*open)(void *arg, uint64_t *manifest), void *arg)
{
	struct capture outer;
	uint64_t manifest = 0, former;
	char sentence[1024];
	int rc;

	do {
		former = manifest;
		outer = fail_capture(sentence, sizeof(sentence));
		rc = open(arg, &manifest);
		fail_restore(outer);
	} while (rc && manifest != former);
	return rc ? fail(rc, "%s", sentence) : CK_OK;
}

/* ---- writing ---- */

static char *to_text(const struct manifest *m)
{
	json_t *list = json_array(), *root;
	char *text = NULL, *rest;
	size_t i;

	for (i = 0; i < m->nr_generations; i++)
		if (json_array_append_new(list, put_generation(m, &m->generations[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	root = json_pack("{s:s, s:i, s:s*, s:o}", "format", FORMAT, "version", CKPT_IMAGE_VERSION,
			 "kind", m->kind == IMAGE_JOB ? KIND_JOB : NULL, "generations", list);
	rest = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
	json_decref(root);
	if (!rest)
		return NULL;
	/* The checksum's line takes the place of the first "{\n". */
	if (asprintf(&text, HEAD_FORMAT "%s\n", (uint64_t)0, rest + 2) < 0)
		text = NULL;
	free(rest);
	if (text) {
		char head[HEAD_LEN + 8];

		snprintf(head, sizeof(head), HEAD_FORMAT,
			 (uint64_t)XXH64(text + HEAD_LEN, strlen(text + HEAD_LEN), 0));
		memcpy(text, head, HEAD_LEN);
	}
	return text;
}

int manifest_write(const struct manifest *m, int dir, const char *path)
{
	char *text = to_text(m);
	struct stat st;
	int fd, rc = CK_OK;
	FILE *file;

	if (!text)
		return fail(CK_FAILED, "out of memory");
	if (strlen(text) > MAX_BYTES)
		/* It could not be read. */
		rc = fail(CK_REFUSED, "%s/%s would be longer than %d bytes; keep fewer checkpoints",
			  path, DIR_MANIFEST, MAX_BYTES);
	else if (unlinkat(dir, TEMPORARY, 0) < 0 && errno != ENOENT)
		rc = fail_errno(errno, "cannot remove %s/%s", path, TEMPORARY);
	fd = rc ? -1 : openat(dir, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			      0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (rc == CK_OK && (!file || fchmod(fd, 0600) < 0 || fstat(dir, &st) < 0 ||
			    (st.st_uid != geteuid() && fchown(fd, st.st_uid, st.st_gid) < 0) ||
			    fputs(text, file) == EOF || fflush(file) == EOF || fsync(fd) < 0 ||
			    renameat(dir, TEMPORARY, dir, DIR_MANIFEST) < 0))
		rc = fail_errno(errno, "cannot write %s/%s", path, DIR_MANIFEST);
	if (rc)
		unlinkat(dir, TEMPORARY, 0);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	free(text);
	return rc;
}

void manifest_sweep(int dir)
{
	unlinkat(dir, TEMPORARY, 0);
}
