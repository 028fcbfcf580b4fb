// SPDX-License-Identifier: GPL-2.0
/*
 * Memory.  The module saves mappings, pages and the fields of PR_SET_MM_MAP;
 * restored from here is what has a name: the mapped files and the executable
 * are opened by the coordinator, each once, and must be the files that they
 * were.  Skeletons then describe their mappings to the module.
 *
 * Of a private mapping only the pages that the process changed are in the
 * image, the rest is the file's; a shared one shows the file as it is.  In both
 * the job's memory belongs to the contents of then: the file must not have changed.
 * Where a descriptor of it is in the image as well, files.c has the last word on a
 * shared one.  A temporary file may still have to be made, or brought back.
 */
#include "mm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cred.h"
#include "files.h"
#include "out.h"
#include "tempfiles.h"

/* A file that is mapped or is an executable. */
struct mapped_file {
	const char *path;
	bool writable;
	int fd;
	struct stat st;
	bool told;			/* that it is taken, though it has changed or may have */
};

/* Filled by the coordinator, read by skeletons. */
static struct mapped_file *files;
static size_t nr_files, size_files;
static size_t *by_path;			/* indices of files, sorted */
static int (*generations)[2];		/* page file and index of each */

static int compare(const struct mapped_file *f, const char *path, bool writable)
{
	int c = strcmp(path, f->path);

	return c ? c : (int)writable - (int)f->writable;
}

/* Where (@path, @writable) is in by_path, or belongs; *found tells which. */
static size_t position(const char *path, bool writable, bool *found)
{
	size_t low = 0, high = nr_files;

	*found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = compare(&files[by_path[middle]], path, writable);

		if (c == 0) {
			*found = true;
			return middle;
		}
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int open_mapped(struct restore *r, const struct image_process *p, struct mapped_file *f)
{
	/* Something else may stand there now: a named pipe must not hold us up. */
	f->fd = cred_open(r, p, f->path, (f->writable ? O_RDWR : O_RDONLY) | O_NONBLOCK);
	if (f->fd < 0)
		return fail_errno(errno, "cannot open %s, which process %d (%.15s) had mapped",
				  f->path, p->rec->pid, p->rec->comm);
	if (fstat(f->fd, &f->st) < 0)
		return fail_errno(errno, "cannot look at %s", f->path);
	if (!S_ISREG(f->st.st_mode))
		return fail(CK_REFUSED, "%s, which process %d (%.15s) had mapped, is no file any more",
			    f->path, p->rec->pid, p->rec->comm);
	return CK_OK;
}

static bool grow_files(void)
{
	size_t size = size_files ? 2 * size_files : 64;
	struct mapped_file *more = realloc(files, size * sizeof(*files));
	size_t *more_by_path;

	if (!more)
		return false;
	files = more;
	more_by_path = realloc(by_path, size * sizeof(*by_path));
	if (!more_by_path)
		return false;
	by_path = more_by_path;
	size_files = size;
	return true;
}

/* The open file of that name, opened if it is the first time. */
static int intern(struct restore *r, const struct image_process *p, const char *path,
		  bool writable, struct mapped_file **file)
{
	bool found;
	size_t at = position(path, writable, &found);

	if (!found) {
		if (nr_files == size_files && !grow_files())
			return fail(CK_FAILED, "out of memory");
		memmove(by_path + at + 1, by_path + at, (nr_files - at) * sizeof(*by_path));
		by_path[at] = nr_files;
		files[nr_files] = (struct mapped_file){ .path = path, .writable = writable };
		*file = &files[nr_files++];
		return open_mapped(r, p, *file);
	}
	*file = &files[by_path[at]];
	return CK_OK;
}

static bool maps_writable(const struct ckpt_rec_vma *rec)
{
	return rec->flags & MAP_SHARED && rec->file_writable;
}

static bool is_unchanged(const struct ckpt_rec_vma *rec, const struct stat *st)
{
	return (uint64_t)st->st_size == rec->size && st->st_mtim.tv_sec == rec->mtime_sec &&
	       st->st_mtim.tv_nsec == (long)rec->mtime_nsec;
}

/* Does a descriptor of it come back, too? */
static bool is_open(const struct image *img, const struct image_vma *vma)
{
	size_t i;

	for (i = 0; i < img->nr_files; i++)
		if (img->files[i].rec->kind == CKPT_FILE_REG &&
		    img->files[i].rec->dev == vma->rec->dev &&
		    img->files[i].rec->ino == vma->rec->ino &&
		    strcmp(img->files[i].path, vma->path) == 0)
			return true;
	return false;
}

/* Within this, pages that are written to are on the disk: the kernel begins after 30. */
#define WRITTEN_BACK_S	60

/*
 * Writing to a mapping changes the file's time only where a page is not waiting to be
 * written back already: what the job did after the checkpoint may be invisible.
 */
static bool may_have_changed(const struct image *img, const struct ckpt_rec_vma *rec)
{
	return rec->mtime_sec > img->meta.time - WRITTEN_BACK_S &&
	       restore_maps_writable(img, rec->dev, rec->ino);
}

static int check_unchanged(const struct restore *r, const struct image_process *p,
			   const struct image_vma *vma, struct mapped_file *file)
{
	const struct ckpt_rec_vma *rec = vma->rec;
	const struct stat *st = &file->st;
	const char *what;

	if (file->told || tempfiles_fate_at(r, vma->path) == TEMP_CHANGED)
		return CK_OK;
	if (is_unchanged(rec, st)) {
		file->told = may_have_changed(r->image, rec);
		if (file->told)
			note("%s, which the job had mapped, may have been written to since the checkpoint: "
			     "its time does not tell; it is taken as it is", vma->path);
		return CK_OK;
	}
	if ((rec->flags & MAP_SHARED && is_open(r->image, vma)) ||
	    ((uint64_t)st->st_size >= rec->size && restore_is_name_cache(vma->path)))
		return CK_OK;
	file->told = restore_takes_changed(r, vma->path, rec->ino, rec->size,
					   restore_maps_writable(r->image, rec->dev, rec->ino), st);
	if (file->told)
		return CK_OK;
	if (st->st_ino != rec->ino)
		what = "was replaced by another file since the checkpoint";
	else if ((uint64_t)st->st_size < rec->size)
		what = "is shorter than at the checkpoint";
	else
		what = "has changed since the checkpoint";
	return fail(CK_REFUSED, "%s, which process %d (%.15s) had mapped, %s (%ju bytes then, %jd now); "
		    "put it back, or take it as it is with --force", vma->path, p->rec->pid,
		    p->rec->comm, what, (uintmax_t)rec->size, (intmax_t)st->st_size);
}

/* Where shm.c puts the descriptor of a program that was removed; NULL for others. */
static const int *program_fd(const struct restore *r, const struct image_process *p)
{
	size_t i;

	for (i = 0; i < r->image->nr_shms; i++)
		if (shm_is_program(&r->image->shms[i], p))
			return &r->shm_fds[i];
	return NULL;
}

static int prepare_process(struct restore *r, const struct image_process *p)
{
	struct mapped_file *file;
	size_t i;
	int rc;

	for (i = 0; i < p->nr_vmas; i++) {
		const struct ckpt_rec_vma *rec = p->vmas[i].rec;

		if (rec->kind != CKPT_VMA_FILE ||
		    tempfiles_fate_at(r, p->vmas[i].path) == TEMP_MISSING)
			continue;
		rc = intern(r, p, p->vmas[i].path, maps_writable(rec), &file);
		if (!rc)
			rc = check_unchanged(r, p, &p->vmas[i], file);
		if (rc)
			return rc;
	}
	return program_fd(r, p) ? CK_OK : intern(r, p, p->exe, false, &file);
}

int mm_open_made(struct restore *r, const char *path)
{
	struct mapped_file *file;
	size_t i, k;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_processes; i++) {
		const struct image_process *p = &r->image->processes[i];

		for (k = 0; k < p->nr_vmas && !rc; k++)
			if (p->vmas[k].rec->kind == CKPT_VMA_FILE &&
			    strcmp(p->vmas[k].path, path) == 0)
				rc = intern(r, p, p->vmas[k].path, maps_writable(p->vmas[k].rec),
					    &file);
	}
	return rc;
}

/* Page files and indices at numbers that skeletons keep. */
static int keep_generations(struct restore *r)
{
	const struct image *img = r->image;
	size_t i, n;

	generations = calloc(img->nr_generations, sizeof(*generations));
	if (!generations)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < img->nr_generations; i++) {
		const struct image_generation *gen = &img->generations[i];
		const int from[2] = { image_bulk_fd(gen), gen->index_fd };

		for (n = 0; n < 2; n++) {
			generations[i][n] = from[n] < 0 ? -1 :
					    fcntl(from[n], F_DUPFD_CLOEXEC, r->fd_base);
			if (from[n] >= 0 && generations[i][n] < 0)
				return fail_errno(errno, "cannot keep the image's files open");
		}
	}
	return CK_OK;
}

static int mm_prepare(struct restore *r)
{
	size_t i;
	int rc;

	nr_files = 0;
	rc = keep_generations(r);
	for (i = 0; i < r->image->nr_processes && !rc; i++)
		if (!r->image->processes[i].relaunch)
			rc = prepare_process(r, &r->image->processes[i]);
	return rc;
}

/* ---- in the skeleton ---- */

static int shm_fd(const struct restore *r, __u64 id)
{
	size_t i;

	for (i = 0; i < r->image->nr_shms; i++)
		if (r->image->shms[i].rec->id == id)
			return r->shm_fds[i];
	return -1;
}

static int file_fd(const char *path, bool writable)
{
	bool found;
	size_t at = position(path, writable, &found);

	return found ? files[by_path[at]].fd : -1;
}

static int plan_vmas(const struct restore *r, const struct image_process *p,
		      struct ckpt_plan *plan, struct ckpt_plan_vma *vmas)
{
	const struct image_vma *last = NULL;
	size_t i;

	for (i = 0; i < p->nr_vmas; i++) {
		const struct ckpt_rec_vma *rec = p->vmas[i].rec;
		struct ckpt_plan_vma *v = &vmas[plan->nr_vmas];

		if (rec->kind == CKPT_VMA_VDSO)
			continue;
		v->start = rec->start;
		v->end = rec->end;
		v->prot = rec->prot;
		v->flags = rec->flags;
		v->fd = -1;
		if (rec->kind != CKPT_VMA_ANON)
			v->offset = rec->offset;
		if (rec->kind == CKPT_VMA_SHM)
			v->fd = shm_fd(r, rec->object);
		if (rec->kind == CKPT_VMA_FILE) {
			/* Segments of one library follow each other. */
			if (last && maps_writable(last->rec) == maps_writable(rec) &&
			    strcmp(last->path, p->vmas[i].path) == 0)
				v->fd = v[-1].fd;
			else
				v->fd = file_fd(p->vmas[i].path, maps_writable(rec));
			if (v->fd < 0)
				return fail(CK_NOTFOUND, "%s, which process %d (%.15s) had mapped, is "
					    "missing", p->vmas[i].path, p->rec->pid, p->rec->comm);
		}
		last = rec->kind == CKPT_VMA_FILE ? &p->vmas[i] : NULL;
		plan->nr_vmas++;
	}
	return CK_OK;
}

static void plan_pages(const struct restore *r, const struct image_process *p,
		       struct ckpt_plan *plan, struct ckpt_plan_pages *pages)
{
	size_t i;

	for (i = 0; i < p->nr_pages; i++) {
		const struct ckpt_rec_pages *rec = p->pages[i];
		size_t g = (size_t)(image_generation(r->image, rec->generation) -
				    r->image->generations);

		pages[i].index_pos = rec->index_pos;
		pages[i].nr_runs = rec->nr_runs;
		pages[i].page_fd = generations[g][0];
		pages[i].index_fd = generations[g][1];
	}
	plan->nr_pages = (__u32)p->nr_pages;
}

int mm_plan(struct restore *r, const struct image_process *p, struct ckpt_plan *plan)
{
	struct ckpt_plan_pages *pages = calloc(p->nr_pages + 1, sizeof(*pages));
	struct ckpt_plan_vma *vmas = calloc(p->nr_vmas + 1, sizeof(*vmas));
	const int *program = program_fd(r, p);

	if (!pages || !vmas)
		return fail(CK_FAILED, "out of memory");
	*plan = (struct ckpt_plan){
		.vmas = (uintptr_t)vmas,
		.pages = (uintptr_t)pages,
		.vdso_start = p->mm->vdso_start,
		.vdso_end = p->mm->vdso_end,
		.exe_fd = program ? *program : file_fd(p->exe, false),
		.close_from = (__u32)r->fd_base,
		.flags = p->mm->flags & (CKPT_MM_LOCK_FUTURE | CKPT_MM_LOCK_ONFAULT),
	};
	plan_pages(r, p, plan, pages);
	return plan_vmas(r, p, plan, vmas);
}

int mm_set_fields(const struct image_process *p)
{
	const struct ckpt_rec_mm *mm = p->mm;
	struct prctl_mm_map map = {
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.auxv = (void *)p->auxv,
		.auxv_size = mm->auxv_len,
		.exe_fd = (__u32)-1,	/* the module does it, when the old one is unmapped */
	};

	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) < 0)
		return fail_errno(errno, "process %d (%.15s): the kernel does not accept its memory "
				  "layout", p->rec->pid, p->rec->comm);
	return CK_OK;
}

const struct state_ops state_mm = {
	.name = "memory",
	.saved = "private memory, mappings of files (private: changed pages), heap, stacks, arguments, "
		 "environment, executable; locks (mlock, mlockall) and advice (madvise)",
	.refused = "mappings of devices, huge page file systems, shadow stacks",
	.prepare = mm_prepare,
};
