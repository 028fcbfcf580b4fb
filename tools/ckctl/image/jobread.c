// SPDX-License-Identifier: GPL-2.0
/* Opening the image of a job: manifest, the job's own texts, and its parts one by one. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "dir.h"
#include "manifest.h"
#include "out.h"

#define MAX_TEXT	(64 << 20)	/* an environment or a script, well over their limits */

/* ---- directories ---- */

/* Of an image that is complete, all that it names must be there. */
static int expect(int at, const char *name, const char *path)
{
	if (faccessat(at, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return fail(CK_DAMAGED, "%s is not there or empty: the image is damaged", path);
	return CK_OK;
}

static int open_below(int *fd, int at, const char *name, const char *path)
{
	int rc = expect(at, name, path);

	return rc ? rc : dir_open(fd, at, name, path, false, NULL);
}

/* ---- texts ---- */

static int load_text(const struct job_image *img, const char *name, const struct manifest_file *file,
		     char **text)
{
	uint64_t bytes;
	int fd, rc = dir_open_file(&fd, img->gen, name, img->gen_path, &bytes);

	*text = NULL;
	if (rc)
		return rc;
	if (bytes != file->bytes)
		rc = fail(CK_DAMAGED, "%s is damaged: %s has %" PRIu64 " bytes, not %" PRIu64,
			  img->gen_path, name, bytes, file->bytes);
	else if (bytes > MAX_TEXT)
		rc = fail(CK_DAMAGED, "%s is damaged: %s is too long", img->gen_path, name);
	else if (!(*text = calloc(1, bytes + 1)))
		rc = fail(CK_FAILED, "out of memory");
	else
		rc = dir_read(fd, *text, bytes, 0, img->gen_path, name);
	if (rc == CK_OK && XXH64(*text, bytes, 0) != file->xxh64)
		rc = fail(CK_DAMAGED, "%s is damaged: %s is not what was written", img->gen_path,
			  name);
	close(fd);
	return rc;
}

static int load_texts(struct job_image *img, const struct job_files *files)
{
	char *record;
	int rc = load_text(img, DIR_RECORD, &files->record, &record);

	if (rc == CK_OK)
		img->record = json_loadb(record, files->record.bytes, JSON_REJECT_DUPLICATES, NULL);
	if (rc == CK_OK && !json_is_object(img->record))
		rc = fail(CK_DAMAGED, "%s is damaged: %s is not the record of a job", img->gen_path,
			  DIR_RECORD);
	free(record);
	if (rc == CK_OK && files->has_script)
		rc = load_text(img, DIR_SCRIPT, &files->script, &img->script);
	if (rc == CK_OK && files->has_environ)
		rc = load_text(img, DIR_ENVIRON, &files->environ, &img->environ);
	img->script_len = files->script.bytes;
	img->environ_len = files->environ.bytes;
	return rc;
}

/* ---- the image ---- */

/* The manifest's list up to the wanted generation; *@from is that one. */
static int take_generations(struct job_image *img, const struct manifest *m, uint32_t number,
			    struct manifest_generation **from)
{
	size_t i;

	*from = NULL;
	img->generations = calloc(m->nr_generations, sizeof(*img->generations));
	if (!img->generations)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < m->nr_generations && !(number && *from && (*from)->number == number); i++) {
		*from = &m->generations[i];
		img->generations[img->nr_generations++] = (struct job_generation){
			.number = (*from)->number, .time = (*from)->meta.time,
			.bytes = manifest_bytes(m, *from),
		};
	}
	if (number && (*from)->number != number)
		return fail(CK_NOTFOUND, "%s has no generation %" PRIu32, img->path, number);
	img->number = (*from)->number;
	if (asprintf(&img->gen_path, "%s/%s", img->path, dir_generation_name(img->number).text) < 0) {
		img->gen_path = NULL;
		return fail(CK_FAILED, "out of memory");
	}
	return CK_OK;
}

static int load(struct job_image *img, const struct manifest *m, int dir, uint32_t number)
{
	struct manifest_generation *from;
	int rc = take_generations(img, m, number, &from);

	if (rc == CK_OK)
		rc = meta_copy(&img->meta, &from->meta);
	if (rc == CK_OK)
		rc = open_below(&img->gen, dir, dir_generation_name(img->number).text,
				img->gen_path);
	if (rc == CK_OK)
		rc = load_texts(img, &from->job);
	if (rc == CK_OK) {
		/* The manifest is not needed any more. */
		img->parts = from->parts;
		img->nr_parts = from->nr_parts;
		from->parts = NULL;
		from->nr_parts = 0;
	}
	return rc;
}

struct wanted {
	struct job_image **out;
	const char *path;
	uint32_t number;		/* of the generation; 0 for the last one */
};

static int open_once(void *arg, uint64_t *manifest)
{
	const struct wanted *w = arg;
	struct job_image *img = calloc(1, sizeof(*img));
	struct manifest *m = NULL;
	int dir = -1, rc;

	*w->out = NULL;
	if (!img)
		return fail(CK_FAILED, "out of memory");
	img->gen = -1;
	img->path = strdup(w->path);
	rc = img->path ? dir_open(&dir, AT_FDCWD, img->path, img->path, false, &img->owner) :
			 fail(CK_FAILED, "out of memory");
	if (rc == CK_OK)
		rc = manifest_read(&m, dir, img->path);
	if (rc == CK_OK && !m)
		rc = fail(CK_NOTFOUND, "%s holds no complete checkpoint", img->path);
	if (rc == CK_OK && m->kind != IMAGE_JOB)
		rc = fail(CK_REFUSED, "%s is not the image of a whole job", img->path);
	if (rc == CK_OK) {
		img->manifest = *manifest = m->xxh64;
		rc = load(img, m, dir, w->number);
	}
	manifest_free(m);
	if (dir >= 0)
		close(dir);
	if (rc)
		job_image_close(img);
	else
		*w->out = img;
	return rc;
}

int job_image_open(struct job_image **img, const char *path)
{
	struct wanted w = { .out = img };
	char *image;
	int rc;

	*img = NULL;
	rc = dir_split_path(path, &image, &w.number);
	if (rc)
		return rc;
	w.path = image;
	rc = manifest_steady(open_once, &w);
	free(image);
	return rc;
}

void job_image_close(struct job_image *img)
{
	size_t i;

	if (!img)
		return;
	for (i = 0; i < img->nr_parts; i++)
		free(img->parts[i].tasks);
	if (img->gen >= 0)
		close(img->gen);
	json_decref(img->record);
	meta_free(&img->meta);
	free(img->script);
	free(img->environ);
	free(img->parts);
	free(img->generations);
	free(img->gen_path);
	free(img->path);
	free(img);
}

/* ---- one manifest ---- */

static int read_manifest(const char *path, struct manifest **m)
{
	int dir, rc = dir_open(&dir, AT_FDCWD, path, path, false, NULL);

	*m = NULL;
	if (rc)
		return rc;
	rc = manifest_read(m, dir, path);
	close(dir);
	return rc == CK_OK && !*m ? fail(CK_NOTFOUND, "%s holds no complete checkpoint", path) : rc;
}

int image_kind_of(const char *path, enum image_kind *kind)
{
	struct manifest *m = NULL;
	uint32_t number;
	char *image;
	int rc = dir_split_path(path, &image, &number);

	if (rc)
		return rc;
	rc = read_manifest(image, &m);
	if (rc == CK_OK)
		*kind = m->kind;
	manifest_free(m);
	free(image);
	return rc;
}

bool job_image_replaced(const struct job_image *img)
{
	struct capture outer;
	struct manifest *m = NULL;
	bool other;

	outer = fail_mute();
	other = read_manifest(img->path, &m) == CK_OK && m->xxh64 != img->manifest;
	fail_restore(outer);
	manifest_free(m);
	return other;
}

/* ---- parts ---- */

char *job_image_part_path(const struct job_image *img, const struct job_part *part)
{
	char *path;

	if (asprintf(&path, "%s/%s/%s.ckpt", img->gen_path, part->step, part->node) >= 0)
		return path;
	fail(CK_FAILED, "out of memory");
	return NULL;
}

int job_image_part(const struct job_image *img, const struct job_part *part, struct image **out)
{
	char *path = job_image_part_path(img, part), *name, manifest[300];
	int step = -1, rc;

	*out = NULL;
	if (!path)
		return CK_FAILED;
	name = strrchr(path, '/') + 1;
	name[-1] = '\0';
	rc = open_below(&step, img->gen, part->step, path);
	name[-1] = '/';
	if (rc == CK_OK)
		rc = expect(step, name, path);
	/* One of a cgroup may be empty, not one that was taken into this. */
	snprintf(manifest, sizeof(manifest), "%s/" DIR_MANIFEST, name);
	if (rc == CK_OK)
		rc = expect(step, manifest, path);
	if (rc == CK_OK)
		rc = image_open_at(out, step, name, path);
	if (rc == CK_OK && (*out)->manifest != part->xxh64) {
		rc = fail(CK_DAMAGED, "%s is not the one that the image of the job was made with",
			  path);
		image_close(*out);
		*out = NULL;
	}
	if (step >= 0)
		close(step);
	free(path);
	return rc;
}
