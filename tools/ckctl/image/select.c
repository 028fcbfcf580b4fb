// SPDX-License-Identifier: GPL-2.0
/*
 * Some of an image's processes: those of one task, where the image has those of
 * several.  What only the others have goes with them.
 */
#include "image.h"

#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "parse.h"

static size_t find(const struct image *img, pid_t pid)
{
	size_t i;

	for (i = 0; i < img->nr_processes && img->processes[i].rec->pid != pid; i++)
		;
	return i;
}

/* The nearest task on the way up from @pid: its place among @roots, @nr for none. */
static size_t task_of(const struct image *img, const pid_t *roots, size_t nr, pid_t pid)
{
	size_t i, k, steps;

	/* A circle is found out when the tree is planned. */
	for (steps = 0; steps <= img->nr_processes; steps++) {
		i = find(img, pid);
		if (i == img->nr_processes)
			break;
		for (k = 0; k < nr; k++)
			if (roots[k] == pid)
				return k;
		pid = img->processes[i].rec->ppid;
	}
	return nr;
}

/* Of what leads up to none of the tasks, the first one takes care. */
static bool belongs(const struct image *img, const pid_t *roots, size_t nr, size_t at, pid_t pid)
{
	size_t task = task_of(img, roots, nr, pid);

	return task == nr ? at == 0 : roots[task] == roots[at];
}

/* ---- what they hold ---- */

static void mark_file(const struct image *img, bool *files, size_t file)
{
	size_t n;

	if (files[file])
		return;
	files[file] = true;
	for (n = 0; n < img->files[file].nr_watches; n++)
		mark_file(img, files, img->files[file].watched[n]);
}

static bool is_mapped(const struct image *img, const struct image_shm *shm)
{
	size_t i, n;

	for (i = 0; i < img->nr_processes; i++)
		for (n = 0; n < img->processes[i].nr_vmas; n++) {
			const struct image_vma *v = &img->processes[i].vmas[n];

			/* A temporary file is mapped by its path. */
			if (shm->temp ? v->path && strcmp(v->path, shm->name) == 0 :
					v->rec->kind == CKPT_VMA_SHM && v->rec->object == shm->rec->id)
				return true;
		}
	return false;
}

/* Does the file's "shm" mean anything? */
static bool has_contents(const struct image_file *file)
{
	return file->rec->kind == CKPT_FILE_OBJECT || image_is_temporary(file);
}

/* What nobody has open is for the @first task to bring back, too. */
static bool has_shm(const struct image *img, const struct image_shm *shm, bool first)
{
	size_t i;

	if (first && shm->temp && shm->temp->flags & CKPT_TEMPFILE_CLOSED)
		return true;
	for (i = 0; i < img->nr_files; i++)
		if (has_contents(&img->files[i]) && &img->shms[img->files[i].shm] == shm)
			return true;
	return is_mapped(img, shm);
}

/* Closes the gaps that @keep leaves in an array; @to gets the new places. */
static size_t close_gaps(void *array, size_t nr, size_t size, const bool *keep, size_t *to)
{
	char *items = array;
	size_t i, n = 0;

	for (i = 0; i < nr; i++) {
		to[i] = n;
		if (keep[i] && i != n)
			memcpy(items + n * size, items + i * size, size);
		n += keep[i];
	}
	return n;
}

static void keep_files(struct image *img, const bool *keep, size_t *to)
{
	size_t i, n, nr = img->nr_locks;

	for (i = 0; i < img->nr_files; i++)
		if (!keep[i]) {
			free(img->files[i].path);
			free(img->files[i].watched);
		}
	img->nr_files = close_gaps(img->files, img->nr_files, sizeof(*img->files), keep, to);
	for (i = 0; i < img->nr_processes; i++)
		for (n = 0; n < img->processes[i].nr_fds; n++)
			img->processes[i].fds[n].file = to[img->processes[i].fds[n].file];
	for (i = 0; i < img->nr_files; i++)
		for (n = 0; n < img->files[i].nr_watches; n++)
			img->files[i].watched[n] = to[img->files[i].watched[n]];
	img->nr_locks = 0;
	for (i = 0; i < nr; i++) {
		struct image_lock l = img->locks[i];

		if (!keep[l.file])
			continue;
		l.file = to[l.file];
		img->locks[img->nr_locks++] = l;
	}
}

static void keep_shms(struct image *img, bool first, bool *keep, size_t *to)
{
	size_t i, nr = img->nr_shms;

	for (i = 0; i < nr; i++)
		keep[i] = has_shm(img, &img->shms[i], first);
	for (i = 0; i < nr; i++)
		if (!keep[i]) {
			free(img->shms[i].name);
			free(img->shms[i].pages);
		}
	img->nr_shms = close_gaps(img->shms, nr, sizeof(*img->shms), keep, to);
	for (i = 0; i < img->nr_files; i++)
		if (has_contents(&img->files[i]))
			img->files[i].shm = to[img->files[i].shm];
}

/* ---- all of it ---- */

/* The task's own process first: it stands for the others. */
static void put_first(struct image *img, pid_t pid)
{
	size_t i = find(img, pid);
	struct image_process root = img->processes[i];

	memmove(img->processes + 1, img->processes, i * sizeof(root));
	img->processes[0] = root;
}

static void keep_processes(struct image *img, const bool *keep, size_t *to)
{
	size_t i, saved = img->nr_processes - img->nr_relaunched;

	for (i = 0; i < img->nr_processes; i++) {
		if (keep[i])
			continue;
		image_process_free(&img->processes[i]);
		img->nr_relaunched -= i >= saved;
	}
	img->nr_processes = close_gaps(img->processes, img->nr_processes, sizeof(*img->processes), keep,
				       to);
}

int image_select(struct image *img, const pid_t *roots, size_t nr, size_t at)
{
	size_t most = img->nr_processes + img->nr_files + img->nr_shms, i, n = 0;
	bool *keep = calloc(most + 1, sizeof(*keep));
	size_t *to = calloc(most + 1, sizeof(*to));
	int rc = keep && to ? CK_OK : fail(CK_FAILED, "out of memory");

	i = find(img, roots[at]);
	if (!rc && (i == img->nr_processes || img->processes[i].relaunch))
		rc = fail(CK_DAMAGED, "%s is damaged: it does not have process %d of the task", img->path,
			  roots[at]);
	if (rc)
		goto out;
	for (i = 0; i < img->nr_zombies; i++)
		if (belongs(img, roots, nr, at, img->zombies[i]->ppid))
			img->zombies[n++] = img->zombies[i];
	for (i = 0; i < img->nr_processes; i++)
		keep[i] = belongs(img, roots, nr, at, img->processes[i].rec->pid);
	img->nr_zombies = n;
	keep_processes(img, keep, to);
	put_first(img, roots[at]);
	memset(keep, 0, most * sizeof(*keep));
	for (i = 0; i < img->nr_processes; i++)
		for (n = 0; n < img->processes[i].nr_fds; n++)
			mark_file(img, keep, img->processes[i].fds[n].file);
	keep_files(img, keep, to);
	memset(keep, 0, most * sizeof(*keep));
	keep_shms(img, at == 0, keep, to);
out:
	free(keep);
	free(to);
	return rc;
}
