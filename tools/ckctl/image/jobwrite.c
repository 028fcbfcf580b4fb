// SPDX-License-Identifier: GPL-2.0
/* The image of a job: its texts, and the parts that agents on its nodes have written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dir.h"
#include "out.h"
#include "store.h"

struct job_image_writer {
	struct store s;
	struct manifest_generation new;
};

int job_image_begin(struct job_image_writer **out, const char *dir, const char *id)
{
	struct job_image_writer *w = calloc(1, sizeof(*w));
	int rc;

	*out = NULL;
	if (!w)
		return fail(CK_FAILED, "out of memory");
	rc = store_begin(&w->s, IMAGE_JOB, dir, id);
	if (rc) {
		job_image_abort(w);
		return rc;
	}
	w->new.number = w->s.number;
	*out = w;
	return CK_OK;
}

const char *job_image_dir(const struct job_image_writer *w)
{
	return w->s.gen_path;
}

uint32_t job_image_number(const struct job_image_writer *w)
{
	return w->s.number;
}

int job_image_step(const char *dir, const char *step)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = CK_OK;
	struct stat st;

	/* Of what the coordinator has made, nothing is there where it is not shared; but
	 * somebody else, in a directory that everybody may write, may have expected us. */
	if (fd < 0 && errno == ENOENT)
		return fail(CK_IO, "%s cannot be seen from here: the image directory must be shared by "
			    "all nodes of the job", dir);
	if (fd < 0 || fstat(fd, &st) < 0)
		rc = fail_errno(errno, "cannot open %s", dir);
	else if (st.st_uid != geteuid())
		rc = fail(CK_PERM, "%s belongs to user %u, not to you", dir, st.st_uid);
	else if (dir_make(fd, step) < 0 && errno != EEXIST)
		rc = fail_errno(errno, "cannot make %s/%s", dir, step);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* ---- texts ---- */

/* Where the manifest says what @name is; it is there from now on. */
static struct manifest_file *entry(struct job_files *files, const char *name)
{
	if (strcmp(name, DIR_SCRIPT) == 0) {
		files->has_script = true;
		return &files->script;
	}
	if (strcmp(name, DIR_ENVIRON) == 0) {
		files->has_environ = true;
		return &files->environ;
	}
	return &files->record;
}

int job_image_put(struct job_image_writer *w, const char *name, const void *data, size_t len)
{
	int fd = store_create(&w->s, w->s.gen, name, O_WRONLY), rc = CK_OK;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (!file || fwrite(data, 1, len, file) != len || fflush(file) == EOF)
		rc = fail_errno(errno ? errno : EIO, "cannot write %s/%s", w->s.gen_path, name);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	return rc ? rc : job_image_adopt(w, name);
}

int job_image_adopt(struct job_image_writer *w, const char *name)
{
	struct manifest_file *file = entry(&w->new.job, name);
	int fd, rc = dir_open_file(&fd, w->s.gen, name, w->s.gen_path, &file->bytes);

	if (rc)
		return rc;
	rc = dir_hash_file(fd, file->bytes, w->s.gen_path, name, &file->xxh64);
	if (rc == CK_OK && fsync(fd) < 0)
		rc = fail_errno(errno, "cannot write %s/%s", w->s.gen_path, name);
	close(fd);
	return rc;
}

/* ---- parts ---- */

/* The manifest that an agent wrote, perhaps on another node. */
static int read_part(const struct job_image_writer *w, const struct job_part *part,
		     struct manifest **m)
{
	char path[4800], name[sizeof(part->node) + 8];
	int step = -1, dir = -1, rc;

	*m = NULL;
	snprintf(path, sizeof(path), "%s/%s/%s.ckpt", w->s.gen_path, part->step, part->node);
	snprintf(name, sizeof(name), "%s.ckpt", part->node);
	step = openat(w->s.gen, part->step, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (step < 0)
		return fail_errno(errno, "cannot open %s", path);
	if (faccessat(step, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		rc = fail(CK_IO, "node %s has written %s, but it cannot be seen from here: the image "
			  "directory must be shared by all nodes of the job", part->node, path);
	else
		rc = dir_open(&dir, step, name, path, false, NULL);
	if (rc == CK_OK)
		rc = manifest_read(m, dir, path);
	if (rc == CK_OK && (!*m || (*m)->kind != IMAGE_PLAIN))
		rc = fail(CK_DAMAGED, "%s is not complete", path);
	if (dir >= 0)
		close(dir);
	close(step);
	return rc;
}

static int by_rank(const void *a, const void *b)
{
	const struct job_task *x = a, *y = b;

	return (x->rank > y->rank) - (x->rank < y->rank);
}

static int add_part(struct job_image_writer *w, const struct job_part *part, const struct manifest *m)
{
	struct job_part *more = realloc(w->new.parts, (w->new.nr_parts + 1) * sizeof(*more));
	struct job_task *tasks = calloc(part->nr_tasks ? part->nr_tasks : 1, sizeof(*tasks));

	if (more)
		w->new.parts = more;
	if (!more || !tasks) {
		free(tasks);
		return fail(CK_FAILED, "out of memory");
	}
	if (part->nr_tasks)
		memcpy(tasks, part->tasks, part->nr_tasks * sizeof(*tasks));
	qsort(tasks, part->nr_tasks, sizeof(*tasks), by_rank);
	more = &more[w->new.nr_parts++];
	*more = *part;
	more->tasks = tasks;
	more->xxh64 = m->xxh64;
	more->bytes = manifest_bytes(m, &m->generations[m->nr_generations - 1]);
	return CK_OK;
}

int job_image_take(struct job_image_writer *w, const struct job_part *part, struct image_meta *sum)
{
	const struct image_meta *meta;
	struct manifest *m;
	int rc;

	/* They are names of directories. */
	if (!job_step_good(part->step) || !dir_name_good(part->node))
		return fail(CK_REFUSED, "a part of a job's image cannot be of step %s on node %s",
			    part->step, part->node);
	rc = read_part(w, part, &m);
	if (rc == CK_OK)
		rc = add_part(w, part, m);
	if (rc == CK_OK) {
		meta = &m->generations[m->nr_generations - 1].meta;
		strcpy(sum->kernel, meta->kernel);
		strcpy(sum->arch, meta->arch);
		sum->bytes += meta->bytes;
		sum->nr_tasks += meta->nr_tasks;
		sum->nr_threads += meta->nr_threads;
		if (sum->standstill_ns < meta->standstill_ns)
			sum->standstill_ns = meta->standstill_ns;
	}
	manifest_free(m);
	return rc;
}

/* ---- the end ---- */

static int by_name(const void *a, const void *b)
{
	return job_part_compare(a, b);
}

int job_image_commit(struct job_image_writer *w, const struct image_meta *meta, unsigned int keep)
{
	int rc = CK_OK;

	w->new.meta = *meta;
	if (w->new.nr_parts > 1)
		qsort(w->new.parts, w->new.nr_parts, sizeof(*w->new.parts), by_name);
	/* No reader would take it. */
	if (!job_parts_good(w->new.parts, w->new.nr_parts))
		rc = fail(CK_FAILED, "%s would have no parts, or two tasks of one rank", w->s.gen_path);
	/* Each part made itself durable, up to its step's directory. */
	if (rc == CK_OK && fsync(w->s.gen) < 0)
		rc = fail_errno(errno, "cannot write %s", w->s.gen_path);
	if (rc == CK_OK)
		rc = store_publish(&w->s, &w->new, keep);
	job_image_abort(w);
	return rc;
}

void job_image_abort(struct job_image_writer *w)
{
	size_t i;

	if (!w)
		return;
	store_close(&w->s);
	for (i = 0; i < w->new.nr_parts; i++)
		free(w->new.parts[i].tasks);
	free(w->new.parts);
	free(w);
}
