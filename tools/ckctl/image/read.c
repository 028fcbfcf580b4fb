// SPDX-License-Identifier: GPL-2.0
/* Opening an image: directory, manifest, generations, records, checks. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

#include "dir.h"
#include "manifest.h"
#include "out.h"
#include "parse.h"

#define BATCH 1024	/* runs read at a time */

const struct image_generation *image_generation(const struct image *img, uint32_t number)
{
	size_t i;

	for (i = 0; i < img->nr_generations; i++)
		if (img->generations[i].number == number)
			return &img->generations[i];
	return NULL;
}

int image_for_each_run(const struct image *img, const struct ckpt_rec_pages *pages,
		       int (*fn)(const struct ckpt_run *run, const struct image_generation *gen,
				 void *arg), void *arg)
{
	const struct image_generation *gen = image_generation(img, pages->generation);
	uint64_t left = pages->nr_runs, pos = pages->index_pos;
	struct ckpt_run *batch = malloc(BATCH * sizeof(*batch));
	int rc = batch ? CK_OK : fail(CK_FAILED, "out of memory");

	while (rc == CK_OK && left) {
		size_t n = left < BATCH ? (size_t)left : BATCH, i;

		rc = dir_read(gen->index_fd, batch, n * sizeof(*batch), pos, gen->path, DIR_INDEX);
		for (i = 0; rc == CK_OK && i < n; i++)
			rc = fn(&batch[i], gen, arg);
		pos += n * sizeof(*batch);
		left -= n;
	}
	free(batch);
	return rc;
}

/* ---- files ---- */

static int open_sized(int *fd, int dir, const char *name, const char *path, uint64_t bytes)
{
	uint64_t size;
	int rc = dir_open_file(fd, dir, name, path, &size);

	if (rc == CK_OK && size != bytes)
		rc = fail(CK_DAMAGED, "%s is damaged: %s has %" PRIu64 " bytes, not %" PRIu64, path,
			  name, size, bytes);
	return rc;
}

static int check_hash(int fd, const struct manifest_file *file, const char *path, const char *name)
{
	uint64_t hash;
	int rc = dir_hash_file(fd, file->bytes, path, name, &hash);

	if (rc == CK_OK && hash != file->xxh64)
		rc = fail(CK_DAMAGED, "%s is damaged: %s is not what was written", path, name);
	return rc;
}

static int open_generation_dir(int *fd, int dir, const struct image_generation *gen)
{
	struct dir_name name = dir_generation_name(gen->number);

	return dir_open(fd, dir, name.text, gen->path, false, NULL);
}

/*
 * An image is as large as the job's memory, which is about to be needed: what the
 * page cache kept of it would be in the way.  Some file systems let a file be
 * opened for that, and then cannot read it.
 */
static int open_direct(int page_fd)
{
	void *page = NULL;
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", page_fd);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd >= 0 && (posix_memalign(&page, CKPT_PAGE_SIZE, CKPT_PAGE_SIZE) != 0 ||
			pread(fd, page, CKPT_PAGE_SIZE, 0) < 0)) {
		close(fd);
		fd = -1;
	}
	free(page);
	return fd;
}

/* The page and index file of a generation that the image uses. */
static int open_pages(struct image_generation *gen, const struct manifest_generation *from, int dir)
{
	int fd, rc = open_generation_dir(&fd, dir, gen);

	if (rc)
		return rc;
	rc = open_sized(&gen->index_fd, fd, DIR_INDEX, gen->path, from->index.bytes);
	if (rc == CK_OK)
		rc = check_hash(gen->index_fd, &from->index, gen->path, DIR_INDEX);
	if (rc == CK_OK)
		rc = open_sized(&gen->page_fd, fd, DIR_PAGES, gen->path, from->pages.bytes);
	if (rc == CK_OK)
		gen->direct_fd = open_direct(gen->page_fd);
	close(fd);
	return rc;
}

/* A copy: what is checked must not be changed afterwards by whose image it is. */
static int copy_records(struct image *img, const struct image_generation *gen,
		       const struct manifest_generation *from, int dir)
{
	int fd = -1, gen_fd, rc = open_generation_dir(&gen_fd, dir, gen);
	void *map;

	if (rc)
		return rc;
	rc = open_sized(&fd, gen_fd, DIR_RECORDS, gen->path, from->records.bytes);
	if (rc == CK_OK && !from->records.bytes)
		rc = fail(CK_DAMAGED, "%s is damaged: %s is empty", gen->path, DIR_RECORDS);
	if (rc == CK_OK) {
		map = mmap(NULL, from->records.bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED) {
			rc = fail_errno(errno, "cannot get memory for %s/%s", gen->path, DIR_RECORDS);
		} else {
			img->records = map;
			img->record_bytes = from->records.bytes;
			rc = dir_read(fd, map, img->record_bytes, 0, gen->path, DIR_RECORDS);
		}
	}
	if (rc == CK_OK && XXH64(img->records, img->record_bytes, 0) != from->records.xxh64)
		rc = fail(CK_DAMAGED, "%s is damaged: %s is not what was written", gen->path,
			  DIR_RECORDS);
	if (fd >= 0)
		close(fd);
	close(gen_fd);
	return rc;
}

/* ---- the image ---- */

static int check_arch(const struct image *img)
{
	struct utsname host;

	if (uname(&host) < 0 || strcmp(host.machine, img->meta.arch) == 0)
		return CK_OK;
	return fail(CK_REFUSED, "%s was made on %s, this is %s", img->path, img->meta.arch,
		    host.machine);
}

/* The list of generations up to the wanted one. */
static int take_generations(struct image *img, const struct manifest *m, uint32_t number)
{
	size_t i;

	for (i = 0; i < m->nr_generations; i++) {
		struct image_generation *gen;

		if (number && m->generations[i].number > number)
			break;
		gen = grow(&img->generations, &img->nr_generations, sizeof(*gen));
		if (!gen)
			return fail(CK_FAILED, "out of memory");
		gen->number = m->generations[i].number;
		gen->page_fd = gen->index_fd = gen->direct_fd = -1;
		gen->page_bytes = m->generations[i].pages.bytes;
		gen->index_bytes = m->generations[i].index.bytes;
		gen->record_bytes = m->generations[i].records.bytes;
		gen->time = m->generations[i].meta.time;
		if (asprintf(&gen->path, "%s/%s", img->path,
			     dir_generation_name(gen->number).text) < 0) {
			gen->path = NULL;
			return fail(CK_FAILED, "out of memory");
		}
	}
	if (number && !manifest_find(m, number))
		return fail(CK_NOTFOUND, "%s has no generation %" PRIu32, img->path, number);
	return CK_OK;
}

static int open_used(struct image *img, const struct manifest *m, int dir)
{
	size_t i, k, n;
	int rc;

	for (n = 0; n < img->nr_generations; n++) {
		struct image_generation *gen = &img->generations[n];
		/* The one that is opened is checked even where it has no pages. */
		bool used = n == img->nr_generations - 1;

		for (i = 0; !used && i < img->nr_processes; i++)
			for (k = 0; !used && k < img->processes[i].nr_pages; k++)
				used = img->processes[i].pages[k]->generation == gen->number;
		for (i = 0; !used && i < img->nr_shms; i++)
			for (k = 0; !used && k < img->shms[i].nr_pages; k++)
				used = img->shms[i].pages[k]->generation == gen->number;
		rc = used ? open_pages(gen, &m->generations[n], dir) : CK_OK;
		if (rc)
			return rc;
	}
	return CK_OK;
}

static int load(struct image *img, const struct manifest *m, int dir, uint32_t number)
{
	const struct manifest_generation *from;
	struct parse p = { .img = img };
	int rc = take_generations(img, m, number);

	if (rc)
		return rc;
	from = &m->generations[img->nr_generations - 1];
	p.path = img->generations[img->nr_generations - 1].path;
	rc = meta_copy(&img->meta, &from->meta);
	if (rc == CK_OK)
		rc = check_arch(img);
	if (rc == CK_OK)
		rc = copy_records(img, &img->generations[img->nr_generations - 1], from, dir);
	if (rc == CK_OK)
		rc = parse_records(&p);
	if (rc == CK_OK)
		rc = check_records(&p);
	if (rc == CK_OK)
		rc = open_used(img, m, dir);
	if (rc == CK_OK)
		rc = check_runs(&p);
	return rc;
}

/* Which image is to be opened. */
struct wanted {
	struct image **out;
	int at;				/* the directory that has it */
	const char *name;		/* in there */
	const char *path;		/* for messages */
	uint32_t number;		/* of the generation; 0 for the last one */
};

static int open_once(void *arg, uint64_t *manifest)
{
	const struct wanted *w = arg;
	struct image *img = calloc(1, sizeof(*img));
	struct manifest *m = NULL;
	int dir = -1, rc;

	*w->out = NULL;
	if (!img)
		return fail(CK_FAILED, "out of memory");
	img->path = strdup(w->path);
	rc = img->path ? dir_open(&dir, w->at, w->name, img->path, false, &img->owner) :
			 fail(CK_FAILED, "out of memory");
	if (rc == CK_OK)
		rc = manifest_read(&m, dir, img->path);
	if (rc == CK_OK && !m)
		rc = fail(CK_NOTFOUND, "%s holds no complete checkpoint", img->path);
	if (rc == CK_OK && m->kind == IMAGE_JOB)
		rc = fail(CK_REFUSED, "%s is the image of a whole job; name one of its parts: "
			  "\"ckctl show\" lists them", img->path);
	if (rc == CK_OK) {
		img->manifest = *manifest = m->xxh64;
		rc = load(img, m, dir, w->number);
	}
	manifest_free(m);
	if (dir >= 0)
		close(dir);
	if (rc)
		image_close(img);
	else
		*w->out = img;
	return rc;
}

int image_open_at(struct image **img, int at, const char *name, const char *path)
{
	struct wanted w = { .out = img, .at = at, .name = name, .path = path };

	return manifest_steady(open_once, &w);
}

int image_open(struct image **img, const char *path)
{
	struct wanted w = { .out = img, .at = AT_FDCWD };
	char *image;
	int rc;

	*img = NULL;
	rc = dir_split_path(path, &image, &w.number);
	if (rc)
		return rc;
	w.name = w.path = image;
	rc = manifest_steady(open_once, &w);
	free(image);
	return rc;
}

int image_peek(const char *path, enum image_kind *kind, struct image_meta *meta, uint64_t *bytes,
	       bool *writing)
{
	struct manifest *m = NULL;
	size_t i;
	int dir, rc = dir_open(&dir, AT_FDCWD, path, path, false, NULL);

	*writing = false;
	*bytes = 0;
	*kind = IMAGE_PLAIN;
	memset(meta, 0, sizeof(*meta));
	if (rc)
		return rc;
	/* A shared lock that is given back at once: is there a writer? */
	if (flock(dir, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		*writing = true;
	else
		flock(dir, LOCK_UN);
	rc = manifest_read(&m, dir, path);
	close(dir);
	if (rc == CK_OK && !m)
		rc = fail(CK_NOTFOUND, "%s holds no complete checkpoint", path);
	if (rc)
		return rc;
	*kind = m->kind;
	*meta = m->generations[m->nr_generations - 1].meta;
	meta->argv = NULL;
	for (i = 0; i < m->nr_generations; i++)
		*bytes += manifest_bytes(m, &m->generations[i]);
	manifest_free(m);
	return CK_OK;
}

void image_process_free(struct image_process *p)
{
	size_t i;

	for (i = 0; i < p->nr_vmas; i++)
		free(p->vmas[i].path);
	if (p->relaunch) {
		free(p->relaunch->mark);
		free(p->relaunch->argv);
		free(p->relaunch->envp);
	}
	free(p->relaunch);
	free(p->exe);
	free(p->vmas);
	free(p->timers);
	free(p->threads);
	free(p->pages);
	free(p->cwd);
	free(p->root);
	free(p->fds);
}

void image_close(struct image *img)
{
	size_t i;

	if (!img)
		return;
	for (i = 0; i < img->nr_processes; i++)
		image_process_free(&img->processes[i]);
	for (i = 0; i < img->nr_shms; i++) {
		free(img->shms[i].name);
		free(img->shms[i].pages);
	}
	for (i = 0; i < img->nr_files; i++) {
		free(img->files[i].path);
		free(img->files[i].watched);
	}
	for (i = 0; i < img->nr_generations; i++) {
		free(img->generations[i].path);
		if (img->generations[i].page_fd >= 0)
			close(img->generations[i].page_fd);
		if (img->generations[i].direct_fd >= 0)
			close(img->generations[i].direct_fd);
		if (img->generations[i].index_fd >= 0)
			close(img->generations[i].index_fd);
	}
	if (img->records)
		munmap((void *)img->records, img->record_bytes);
	meta_free(&img->meta);
	free(img->processes);
	free(img->zombies);
	free(img->shms);
	free(img->files);
	free(img->pipes);
	free(img->locks);
	free(img->generations);
	free(img->path);
	free(img);
}
