// SPDX-License-Identifier: GPL-2.0
/*
 * Records to structs.  Two passes: what stands inside a process by position,
 * and all objects; then what names its process or owner by id.  Nothing here
 * believes a length: each record is checked against its own length before a
 * byte of it is used.
 */
#include "parse.h"

#include <inttypes.h>
#include <linux/securebits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

/* The state of a pass. */
struct pass {
	const struct parse *p;
	struct image *img;
	struct image_process *process;	/* that positional records belong to */
	struct image_thread *thread;
	struct id_map pids, shms, files, pipes;
};

int damaged(const struct parse *p, const void *at, const char *fmt, ...)
{
	char *what = NULL;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	va_end(ap);
	if (at)
		rc = fail(CK_DAMAGED, "%s is damaged: records, byte %zu: %s", p->path,
			  (size_t)((const char *)at - (const char *)p->img->records),
			  what ? what : "?");
	else
		rc = fail(CK_DAMAGED, "%s is damaged: %s", p->path, what ? what : "?");
	free(what);
	return rc;
}

static int no_memory(void)
{
	return fail(CK_FAILED, "out of memory");
}

/* ---- payloads ---- */

int bad_length(const struct parse *p, const struct ckpt_record *r)
{
	return damaged(p, r, "a record of type %" PRIu32 " has a length of %" PRIu64,
		       r->type, (uint64_t)r->len);
}

/* The payload if it is exactly @head bytes and @tail, else NULL. */
static const void *exactly(const struct ckpt_record *r, uint64_t head, uint64_t tail)
{
	return r->len >= head && r->len - head == tail ? r + 1 : NULL;
}

/* The payload if it is at least @head bytes. */
static const void *at_least(const struct ckpt_record *r, uint64_t head)
{
	return r->len >= head ? r + 1 : NULL;
}

int parse_text(const struct parse *p, char **to, const void *from, size_t len)
{
	if (len >= 4096 || memchr(from, '\0', len))
		return damaged(p, from, "a path or name is no text");
	*to = strndup(from, len);
	return *to ? CK_OK : no_memory();
}

/* A pointer to a record that may occur once. */
static int once(const struct pass *s, const struct ckpt_record *r, const void **to,
		const void *payload)
{
	if (!payload)
		return bad_length(s->p, r);
	if (*to)
		return damaged(s->p, r, "a second record of type %" PRIu32 " for the same owner",
			       r->type);
	*to = payload;
	return CK_OK;
}

#define ONCE(s, r, to, payload) once(s, r, (const void **)&(to), payload)

/* ---- pass one: by position, and objects ---- */

static int parse_process(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_process *rec = exactly(r, sizeof(*rec), 0);

	if (!rec)
		return bad_length(s->p, r);
	if (s->img->nr_relaunched)
		return damaged(s->p, r, "a saved process behind one that is not");
	s->process = grow(&s->img->processes, &s->img->nr_processes, sizeof(*s->process));
	s->thread = NULL;
	if (!s->process)
		return no_memory();
	s->process->rec = rec;
	return id_map_add(&s->pids, (uint64_t)(int64_t)rec->pid, s->img->nr_processes - 1);
}

static int parse_anew(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_relaunch *rec = at_least(r, sizeof(*rec));
	struct image_process *process;

	if (!rec)
		return bad_length(s->p, r);
	/* No record belongs to it by position. */
	s->process = NULL;
	s->thread = NULL;
	process = grow(&s->img->processes, &s->img->nr_processes, sizeof(*process));
	if (!process)
		return no_memory();
	s->img->nr_relaunched++;
	if (id_map_add(&s->pids, (uint64_t)(int64_t)rec->pid, s->img->nr_processes - 1))
		return CK_FAILED;
	return parse_relaunch(s->p, r, process);
}

static int parse_mm(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_mm *rec = at_least(r, sizeof(*rec));
	struct image_process *p = s->process;
	int rc;

	if (!rec || !exactly(r, sizeof(*rec), (uint64_t)rec->auxv_len + rec->exe_len))
		return bad_length(s->p, r);
	rc = ONCE(s, r, p->mm, rec);
	if (rc)
		return rc;
	p->auxv = rec + 1;
	return parse_text(s->p, &p->exe, (const char *)p->auxv + rec->auxv_len, rec->exe_len);
}

static int parse_vma(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_vma *rec = at_least(r, sizeof(*rec));
	struct image_vma *vma;

	if (!rec || !exactly(r, sizeof(*rec), rec->path_len))
		return bad_length(s->p, r);
	vma = grow(&s->process->vmas, &s->process->nr_vmas, sizeof(*vma));
	if (!vma)
		return no_memory();
	vma->rec = rec;
	return parse_text(s->p, &vma->path, rec + 1, rec->path_len);
}

#define SIGINFO_SIZE 128

static int parse_sigqueue(struct pass *s, const struct ckpt_record *r)
{
	size_t *nr = s->thread ? &s->thread->nr_sigqueue : &s->process->nr_sigqueue;
	const void **to = s->thread ? &s->thread->sigqueue : &s->process->sigqueue;

	if (r->len % SIGINFO_SIZE)
		return bad_length(s->p, r);
	*nr = r->len / SIGINFO_SIZE;
	return once(s, r, to, r + 1);
}

static int parse_timer(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_posix_timer *rec = exactly(r, sizeof(*rec), 0), **timer;

	if (!rec)
		return bad_length(s->p, r);
	timer = grow(&s->process->timers, &s->process->nr_timers, sizeof(*timer));
	if (!timer)
		return no_memory();
	*timer = rec;
	return CK_OK;
}

static int parse_thread(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_thread *rec = exactly(r, sizeof(*rec), 0);

	if (!rec)
		return bad_length(s->p, r);
	s->thread = grow(&s->process->threads, &s->process->nr_threads, sizeof(*s->thread));
	if (!s->thread)
		return no_memory();
	s->thread->rec = rec;
	return CK_OK;
}

static int parse_thread_state(struct pass *s, const struct ckpt_record *r)
{
	if (!s->thread)
		return damaged(s->p, r, "registers without a thread");
	if (r->type == CKPT_REC_REGS) {
		s->thread->regs_len = r->len;
		return ONCE(s, r, s->thread->regs, r + 1);
	}
	s->thread->xstate_len = r->len;
	return ONCE(s, r, s->thread->xstate, r + 1);
}

static int parse_sched(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_sched *rec = at_least(r, sizeof(*rec));

	if (!s->thread)
		return damaged(s->p, r, "scheduling without a thread");
	if (!rec || !exactly(r, sizeof(*rec), rec->cpus_len))
		return bad_length(s->p, r);
	s->thread->cpus = (const uint64_t *)(rec + 1);
	return ONCE(s, r, s->thread->sched, rec);
}

static int parse_zombie(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_zombie *rec = exactly(r, sizeof(*rec), 0), **zombie;

	if (!rec)
		return bad_length(s->p, r);
	zombie = grow(&s->img->zombies, &s->img->nr_zombies, sizeof(*zombie));
	if (!zombie)
		return no_memory();
	*zombie = rec;
	return CK_OK;
}

static int parse_cpus(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_cpus *rec = at_least(r, sizeof(*rec));

	if (!rec || !exactly(r, sizeof(*rec), rec->cpus_len))
		return bad_length(s->p, r);
	return ONCE(s, r, s->img->cpus, rec);
}

static int parse_vdso(struct pass *s, const struct ckpt_record *r)
{
	s->img->vdso_len = r->len;
	return ONCE(s, r, s->img->vdso, (const void *)(r + 1));
}

static int parse_shm(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_shm *rec = at_least(r, sizeof(*rec));
	struct image_shm *shm;

	if (!rec || !exactly(r, sizeof(*rec), rec->name_len))
		return bad_length(s->p, r);
	shm = grow(&s->img->shms, &s->img->nr_shms, sizeof(*shm));
	if (!shm)
		return no_memory();
	shm->rec = rec;
	if (id_map_add(&s->shms, rec->id, s->img->nr_shms - 1))
		return CK_FAILED;
	return parse_text(s->p, &shm->name, rec + 1, rec->name_len);
}

static int parse_file(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_file *rec = at_least(r, sizeof(*rec));
	struct image_file *file;

	if (!rec || !exactly(r, sizeof(*rec), rec->path_len))
		return bad_length(s->p, r);
	file = grow(&s->img->files, &s->img->nr_files, sizeof(*file));
	if (!file)
		return no_memory();
	file->rec = rec;
	if (id_map_add(&s->files, rec->id, s->img->nr_files - 1))
		return CK_FAILED;
	return parse_text(s->p, &file->path, rec + 1, rec->path_len);
}

static int parse_pipe(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_pipe *rec = at_least(r, sizeof(*rec));
	struct image_pipe *pipe;

	if (!rec || !exactly(r, sizeof(*rec), rec->data_len))
		return bad_length(s->p, r);
	pipe = grow(&s->img->pipes, &s->img->nr_pipes, sizeof(*pipe));
	if (!pipe)
		return no_memory();
	pipe->rec = rec;
	if (id_map_add(&s->pipes, rec->id, s->img->nr_pipes - 1))
		return CK_FAILED;
	pipe->data = rec + 1;
	return CK_OK;
}

static int unknown(const struct pass *s, const struct ckpt_record *r)
{
	if (r->flags & CKPT_RECORD_OPTIONAL) {
		note("%s: skipped an optional record of type %" PRIu32
		     ", which this ckctl does not know", s->p->path, r->type);
		return CK_OK;
	}
	return fail(CK_REFUSED, "%s holds a record of type %" PRIu32 " that this ckctl does not "
		    "know; use the ckctl that made the image", s->p->path, r->type);
}

static int first_pass(struct pass *s, const struct ckpt_record *r)
{
	struct image_process *p = s->process;

	switch (r->type) {
	case CKPT_REC_PROCESS:
		return parse_process(s, r);
	case CKPT_REC_SHM:
		return parse_shm(s, r);
	case CKPT_REC_FILE:
		return parse_file(s, r);
	case CKPT_REC_PIPE:
		return parse_pipe(s, r);
	case CKPT_REC_ZOMBIE:
		return parse_zombie(s, r);
	case CKPT_REC_CPUS:
		return parse_cpus(s, r);
	case CKPT_REC_VDSO:
		return parse_vdso(s, r);
	case CKPT_REC_RELAUNCH:
		return parse_anew(s, r);
	case CKPT_REC_PAGES:
	case CKPT_REC_CRED:
	case CKPT_REC_FS:
	case CKPT_REC_RLIMITS:
	case CKPT_REC_FD:
	case CKPT_REC_EVENTFD:
	case CKPT_REC_TIMERFD:
	case CKPT_REC_SIGNALFD:
	case CKPT_REC_EPOLL:
	case CKPT_REC_LOCK:
	case CKPT_REC_TEMPFILE:
		return CK_OK;		/* in the second pass */
	}
	if (r->type == CKPT_REC_UNSPEC || r->type > CKPT_REC_ZOMBIE)
		return unknown(s, r);
	if (!p)
		return damaged(s->p, r, "a record of type %" PRIu32 " before any process", r->type);
	switch (r->type) {
	case CKPT_REC_MM:
		return parse_mm(s, r);
	case CKPT_REC_VMA:
		return parse_vma(s, r);
	case CKPT_REC_SIGACTIONS:
		return ONCE(s, r, p->sigactions, exactly(r, 64 * sizeof(*p->sigactions), 0));
	case CKPT_REC_SIGQUEUE:
		return parse_sigqueue(s, r);
	case CKPT_REC_ITIMERS:
		return ONCE(s, r, p->itimers, exactly(r, 3 * sizeof(*p->itimers), 0));
	case CKPT_REC_POSIX_TIMER:
		return parse_timer(s, r);
	case CKPT_REC_THREAD:
		return parse_thread(s, r);
	case CKPT_REC_SCHED:
		return parse_sched(s, r);
	default:
		return parse_thread_state(s, r);
	}
}

/* ---- pass two: by id ---- */

static int parse_pages(struct pass *s, const struct ckpt_record *r)
{
	const struct ckpt_rec_pages *rec = exactly(r, sizeof(*rec), 0), **pages;
	size_t i;

	if (!rec)
		return bad_length(s->p, r);
	if (rec->owner_kind == CKPT_PAGES_MM) {
		i = id_map_find(&s->pids, rec->owner);
		pages = i == SIZE_MAX ? NULL : grow(&s->img->processes[i].pages,
						    &s->img->processes[i].nr_pages, sizeof(*pages));
	} else if (rec->owner_kind == CKPT_PAGES_SHM) {
		i = id_map_find(&s->shms, rec->owner);
		pages = i == SIZE_MAX ? NULL : grow(&s->img->shms[i].pages,
						    &s->img->shms[i].nr_pages, sizeof(*pages));
	} else {
		return damaged(s->p, r, "pages of an unknown kind of owner");
	}
	if (i == SIZE_MAX)
		return damaged(s->p, r, "pages of an owner that is not in the image");
	if (!pages)
		return no_memory();
	*pages = rec;
	return CK_OK;
}

static int parse_fd(struct pass *s, const struct ckpt_record *r, struct image_process *p)
{
	const struct ckpt_rec_fd *rec = exactly(r, sizeof(*rec), 0);
	struct image_fd *fd;

	if (!rec)
		return bad_length(s->p, r);
	fd = grow(&p->fds, &p->nr_fds, sizeof(*fd));
	if (!fd)
		return no_memory();
	fd->rec = rec;
	fd->file = id_map_find(&s->files, rec->file);
	if (fd->file == SIZE_MAX)
		return damaged(s->p, r, "descriptor %d refers to a file that is not in the image",
			       rec->fd);
	return CK_OK;
}

static int second_pass(struct pass *s, const struct ckpt_record *r)
{
	const void *payload = r + 1;
	const struct ckpt_rec_cred *cred = payload;
	const struct ckpt_rec_fs *fs = payload;
	struct image_process *p;
	size_t i;
	int rc;

	if (r->type == CKPT_REC_PAGES)
		return parse_pages(s, r);
	if (r->type >= CKPT_REC_EVENTFD && r->type <= CKPT_REC_LOCK)
		return parse_file_state(s->p, &s->files, r);
	if (r->type == CKPT_REC_TEMPFILE)
		return parse_tempfile(s->p, &s->shms, r);
	if (r->type != CKPT_REC_CRED && r->type != CKPT_REC_FS && r->type != CKPT_REC_RLIMITS &&
	    r->type != CKPT_REC_FD)
		return CK_OK;
	/* All of these begin with the pid. */
	i = r->len < sizeof(int32_t) ? SIZE_MAX :
	    id_map_find(&s->pids, (uint64_t)(int64_t)*(const int32_t *)payload);
	if (i == SIZE_MAX)
		return damaged(s->p, r, "a record of type %" PRIu32 " for a process that is not in "
			       "the image", r->type);
	p = &s->img->processes[i];
	switch (r->type) {
	case CKPT_REC_CRED:
		if (!at_least(r, sizeof(*cred)) ||
		    !exactly(r, sizeof(*cred), (uint64_t)cred->nr_groups * sizeof(uint32_t)))
			return bad_length(s->p, r);
		p->groups = (const uint32_t *)(cred + 1);
		return ONCE(s, r, p->cred, cred);
	case CKPT_REC_FS:
		if (!at_least(r, sizeof(*fs)) ||
		    !exactly(r, sizeof(*fs), (uint64_t)fs->cwd_len + fs->root_len))
			return bad_length(s->p, r);
		rc = ONCE(s, r, p->fs, fs);
		if (!rc)
			rc = parse_text(s->p, &p->cwd, fs + 1, fs->cwd_len);
		if (!rc && fs->root_len)
			rc = parse_text(s->p, &p->root, (const char *)(fs + 1) + fs->cwd_len, fs->root_len);
		return rc;
	case CKPT_REC_RLIMITS:
		return ONCE(s, r, p->rlimits, exactly(r, sizeof(*p->rlimits), 0));
	default:
		return parse_fd(s, r, p);
	}
}

/* ---- all of it ---- */

static int each(struct pass *s, int (*fn)(struct pass *s, const struct ckpt_record *r))
{
	size_t pos = 0, left;
	int rc = CK_OK;

	for (; rc == CK_OK && pos < s->img->record_bytes; ) {
		const struct ckpt_record *r = (const void *)((const char *)s->img->records + pos);

		left = s->img->record_bytes - pos;
		if (left < sizeof(*r) || r->len > left - sizeof(*r) ||
		    CKPT_RECORD_ALIGN(r->len) > left - sizeof(*r))
			return damaged(s->p, r, "a record goes beyond the end of the file");
		if (r->flags & ~CKPT_RECORD_OPTIONAL)
			return damaged(s->p, r, "a record has unknown flags");
		pos += sizeof(*r) + CKPT_RECORD_ALIGN(r->len);
		rc = fn(s, r);
	}
	return rc;
}

static int sort_ids(struct pass *s)
{
	uint64_t id;

	if (!id_map_sort(&s->pids, &id))
		return damaged(s->p, NULL, "two processes have the pid %" PRId64, (int64_t)id);
	if (!id_map_sort(&s->shms, &id))
		return damaged(s->p, NULL, "two shared memory objects have the id %" PRIu64, id);
	if (!id_map_sort(&s->files, &id))
		return damaged(s->p, NULL, "two open files have the id %" PRIu64, id);
	if (!id_map_sort(&s->pipes, &id))
		return damaged(s->p, NULL, "two pipes have the id %" PRIu64, id);
	return CK_OK;
}

/* Secure bits can only be read by a process itself, and are its parent's otherwise. */
static void inherit(const struct pass *s, struct image_relaunch *relaunch)
{
	size_t i = id_map_find(&s->pids, (uint64_t)(int64_t)relaunch->rec->ppid);

	relaunch->process.securebits =
		s->img->processes[i == SIZE_MAX ? 0 : i].rec->securebits & ~SECBIT_KEEP_CAPS;
}

/* The references that are not stored in a record's owner. */
static int resolve(struct pass *s)
{
	size_t i, k;

	for (i = 0; i < s->img->nr_files; i++) {
		struct image_file *file = &s->img->files[i];

		if (file->rec->kind == CKPT_FILE_OBJECT || image_is_temporary(file)) {
			file->shm = id_map_find(&s->shms, file->rec->object);
			if (file->shm == SIZE_MAX)
				return damaged(s->p, file->rec, "an open file whose contents are "
					       "not in the image");
		}
		if (file->rec->kind != CKPT_FILE_PIPE && file->rec->kind != CKPT_FILE_FIFO)
			continue;
		file->pipe = id_map_find(&s->pipes, file->rec->object);
		if (file->pipe == SIZE_MAX)
			return damaged(s->p, file->rec, "an end of a pipe that is not in the image");
	}
	for (i = 0; i < s->img->nr_processes; i++) {
		const struct image_process *p = &s->img->processes[i];

		if (p->relaunch)
			inherit(s, p->relaunch);
		for (k = 0; k < p->nr_vmas; k++) {
			size_t shm = p->vmas[k].rec->kind != CKPT_VMA_SHM ? 0 :
				     id_map_find(&s->shms, p->vmas[k].rec->object);

			if (shm == SIZE_MAX || (p->vmas[k].rec->kind == CKPT_VMA_SHM &&
						s->img->shms[shm].rec->flags & CKPT_SHM_NAMED))
				return damaged(s->p, p->vmas[k].rec, "a mapping of shared memory "
					       "that is not in the image");
		}
	}
	return CK_OK;
}

int parse_records(const struct parse *p)
{
	struct pass s = { .p = p, .img = p->img };
	int rc = each(&s, first_pass);

	if (rc == CK_OK)
		rc = sort_ids(&s);
	if (rc == CK_OK)
		rc = each(&s, second_pass);
	if (rc == CK_OK)
		rc = resolve(&s);
	id_map_free(&s.pids);
	id_map_free(&s.shms);
	id_map_free(&s.files);
	id_map_free(&s.pipes);
	return rc;
}
