// SPDX-License-Identifier: GPL-2.0
/* The rules that hold between records, so that nobody after us has to ask. */
#include "parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/user.h>
#include <xxhash.h>

#include "out.h"

/* The highest user address of any x86-64 kernel (five-level page tables);
 * what this one refuses, it refuses itself. */
#define USER_END	((1ULL << 56) - CKPT_PAGE_SIZE)
/* The FPU's legacy area and the xsave header. */
#define XSTATE_MIN	(512 + 64)
#define MAX_AUXV	4096
/* No system has more descriptors in a process, and one more is a number, too. */
#define MAX_FD		(1 << 30)

#define VMA_FLAGS	(MAP_PRIVATE | MAP_SHARED | MAP_GROWSDOWN | MAP_NORESERVE | MAP_LOCKED | \
			 CKPT_VMA_ADVICE)

static bool aligned(uint64_t value)
{
	return value % CKPT_PAGE_SIZE == 0;
}

static bool is_text(const char *name)
{
	return memchr(name, '\0', CKPT_COMM_LEN);
}

/* ---- address spaces ---- */

static int check_vma(const struct parse *p, const struct image_vma *vma, uint64_t *end)
{
	const struct ckpt_rec_vma *rec = vma->rec;
	uint32_t sharing = rec->flags & (MAP_PRIVATE | MAP_SHARED);

	if (rec->start < *end || rec->start >= rec->end || rec->end > USER_END ||
	    !aligned(rec->start) || !aligned(rec->end))
		return damaged(p, rec, "mapping %" PRIx64 "-%" PRIx64 " is no range after %" PRIx64,
			       (uint64_t)rec->start, (uint64_t)rec->end, *end);
	if (!aligned(rec->offset) || rec->offset > INT64_MAX - (rec->end - rec->start))
		return damaged(p, rec, "the mapping at %" PRIx64 " has a broken offset",
			       (uint64_t)rec->start);
	if ((rec->prot & ~(uint32_t)(PROT_READ | PROT_WRITE | PROT_EXEC)) ||
	    (rec->flags & ~(uint32_t)VMA_FLAGS) || !sharing ||
	    sharing == (MAP_PRIVATE | MAP_SHARED) ||
	    rec->kind < CKPT_VMA_ANON || rec->kind > CKPT_VMA_VDSO ||
	    (rec->kind == CKPT_VMA_ANON && sharing != MAP_PRIVATE) ||
	    (rec->kind == CKPT_VMA_FILE && !rec->path_len))
		return damaged(p, rec, "the mapping at %" PRIx64 " has a kind, rights or flags that "
			       "cannot be", (uint64_t)rec->start);
	*end = rec->end;
	return CK_OK;
}

static int check_mm(const struct parse *p, const struct image_process *proc)
{
	const struct ckpt_rec_mm *mm = proc->mm;
	const uint64_t addresses[] = {
		mm->start_code, mm->end_code, mm->start_data, mm->end_data, mm->start_brk, mm->brk,
		mm->start_stack, mm->arg_start, mm->arg_end, mm->env_start, mm->env_end,
		mm->vdso_start, mm->vdso_end,
	};
	uint64_t end = 0;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		if (addresses[i] > USER_END)
			return damaged(p, mm, "an address of process %d is no user address",
				       proc->rec->pid);
	if (mm->vdso_start > mm->vdso_end || !aligned(mm->vdso_start) || !aligned(mm->vdso_end) ||
	    mm->start_brk > mm->brk || mm->arg_start > mm->arg_end || mm->env_start > mm->env_end ||
	    mm->auxv_len > MAX_AUXV || mm->auxv_len % 16 || (mm->flags & ~CKPT_MM_FLAGS) ||
	    mm->coredump_filter > 0x1ff)
		return damaged(p, mm, "the address space of process %d makes no sense",
			       proc->rec->pid);
	if (mm->nr_vmas != proc->nr_vmas || proc->nr_vmas > CKPT_MAX_VMAS)
		return damaged(p, mm, "process %d has %zu mappings, not %u", proc->rec->pid,
			       proc->nr_vmas, mm->nr_vmas);
	for (i = 0; i < proc->nr_vmas; i++) {
		rc = check_vma(p, &proc->vmas[i], &end);
		if (rc)
			return rc;
	}
	return CK_OK;
}

/* ---- processes and threads ---- */

static int check_sched(const struct parse *p, const struct image_thread *t)
{
	const struct ckpt_rec_sched *rec = t->sched;
	bool realtime;

	if (!rec)
		return damaged(p, t->rec, "the scheduling of thread %d is not there", t->rec->tid);
	realtime = rec->policy == SCHED_FIFO || rec->policy == SCHED_RR;
	if (rec->policy > SCHED_IDLE || rec->policy == SCHED_IDLE - 1 || rec->nice < -20 ||
	    rec->nice > 19 || rec->rt_priority > 99 || realtime != (rec->rt_priority > 0) ||
	    (rec->flags & ~CKPT_SCHED_RESET_ON_FORK) || rec->ioprio > UINT16_MAX ||
	    rec->cpus_len % sizeof(uint64_t) || rec->cpus_len > CKPT_MAX_CPUS / 8)
		return damaged(p, rec, "the scheduling of thread %d makes no sense", t->rec->tid);
	return CK_OK;
}

/* A first thread that has ended before the others has nothing but its id. */
static bool is_ended(const struct image_process *proc, size_t i)
{
	const struct image_thread *t = &proc->threads[i];

	return i == 0 && proc->nr_threads > 1 && t->rec->flags == CKPT_THREAD_ENDED &&
	       !(t->rec->exit_status & ~0xff00U) && !t->regs && !t->xstate && !t->sched &&
	       !t->nr_sigqueue;
}

static int check_threads(const struct parse *p, const struct image_process *proc,
			 struct id_map *tids)
{
	size_t i;
	int rc;

	if (proc->rec->nr_threads != proc->nr_threads || !proc->nr_threads ||
	    proc->threads[0].rec->tid != proc->rec->pid)
		return damaged(p, proc->rec, "the threads of process %d are not all there",
			       proc->rec->pid);
	for (i = 0; i < proc->nr_threads; i++) {
		const struct image_thread *t = &proc->threads[i];

		if (t->rec->tid <= 0 || !is_text(t->rec->comm) ||
		    t->rec->restart_kind > CKPT_RESTART_FUTEX ||
		    (t->rec->flags & CKPT_THREAD_ENDED ? !is_ended(proc, i) :
		     (t->rec->flags & ~CKPT_THREAD_FLAGS) || t->rec->exit_status))
			return damaged(p, t->rec, "thread %d makes no sense", t->rec->tid);
		if (!(t->rec->flags & CKPT_THREAD_ENDED) &&
		    (t->regs_len != sizeof(struct user_regs_struct) || t->xstate_len < XSTATE_MIN ||
		     t->xstate_len > CKPT_MAX_XSTATE))
			return damaged(p, t->rec, "the registers of thread %d are not all there",
				       t->rec->tid);
		rc = t->rec->flags & CKPT_THREAD_ENDED ? CK_OK : check_sched(p, t);
		if (!rc)
			rc = id_map_add(tids, (uint64_t)t->rec->tid, i);
		if (rc)
			return rc;
	}
	return CK_OK;
}

static int compare_fds(const void *a, const void *b)
{
	const struct image_fd *x = a, *y = b;

	return x->rec->fd < y->rec->fd ? -1 : x->rec->fd > y->rec->fd;
}

static int check_fds(const struct parse *p, struct image_process *proc)
{
	size_t i;

	if (proc->nr_fds)
		qsort(proc->fds, proc->nr_fds, sizeof(*proc->fds), compare_fds);
	for (i = 0; i < proc->nr_fds; i++) {
		const struct ckpt_rec_fd *rec = proc->fds[i].rec;

		if (rec->fd < 0 || rec->fd > MAX_FD || (rec->flags & ~(uint32_t)FD_CLOEXEC))
			return damaged(p, rec, "descriptor %d of process %d cannot be", rec->fd,
				       rec->pid);
		if (i && rec->fd == proc->fds[i - 1].rec->fd)
			return damaged(p, rec, "process %d has descriptor %d twice", rec->pid,
				       rec->fd);
	}
	return CK_OK;
}

/* For damaged(): where a process begins. */
static const void *record_of(const struct image_process *proc)
{
	return proc->relaunch ? (const void *)proc->relaunch->rec : proc->rec;
}

/* What system calls tell of a process, whether it is saved or started anew. */
static int check_rows(const struct parse *p, struct image_process *proc)
{
	if (!proc->cred || !proc->fs || !proc->rlimits)
		return damaged(p, record_of(proc), "the records of process %d are not all there",
			       proc->rec->pid);
	if (proc->cwd[0] != '/' || (proc->root && proc->root[0] != '/') || (proc->fs->umask & ~0777U))
		return damaged(p, proc->fs, "the working directory, root directory or umask of "
			       "process %d makes no sense", proc->rec->pid);
	return check_fds(p, proc);
}

static int check_process(const struct parse *p, struct image_process *proc, struct id_map *tids)
{
	const struct ckpt_rec_process *rec = proc->rec;
	size_t i;
	int rc;

	if (rec->pid <= 0 || rec->ppid < 0 || rec->pgid < 0 || rec->sid < 0 ||
	    rec->ppid == rec->pid || rec->exit_signal < -1 || rec->exit_signal > 64 ||
	    rec->stop_signal > 64 || (rec->flags & ~CKPT_PROCESS_FLAGS) || !is_text(rec->comm))
		return damaged(p, rec, "process %d makes no sense", rec->pid);
	if (!proc->mm || !proc->sigactions || !proc->itimers)
		return damaged(p, rec, "the records of process %d are not all there", rec->pid);
	for (i = 0; i < proc->nr_timers; i++)
		if (proc->timers[i]->signo < 0 || proc->timers[i]->signo > 64)
			return damaged(p, proc->timers[i], "timer %d of process %d makes no sense",
				       proc->timers[i]->id, rec->pid);
	rc = check_mm(p, proc);
	return rc ? rc : check_threads(p, proc, tids);
}

/* The parent of @at is @pid: one that is started anew knows of no children. */
static int check_parent(const struct parse *p, const struct id_map *pids, const void *at, pid_t pid)
{
	size_t i = id_map_find(pids, (uint64_t)(int64_t)pid);

	if (i == SIZE_MAX || !p->img->processes[i].relaunch)
		return CK_OK;
	return damaged(p, at, "the parent %d of a process is one that is to be started anew", pid);
}

/* Parents must lead to a root: a child of its own descendant has none. */
static int check_tree(const struct parse *p)
{
	const struct image *img = p->img;
	struct id_map pids = { 0 };
	size_t *depth = calloc(img->nr_processes, sizeof(*depth));
	size_t i, at, steps;
	uint64_t id;
	int rc = depth ? CK_OK : fail(CK_FAILED, "out of memory");

	for (i = 0; rc == CK_OK && i < img->nr_processes; i++)
		rc = id_map_add(&pids, (uint64_t)img->processes[i].rec->pid, i);
	if (rc == CK_OK)
		id_map_sort(&pids, &id);
	for (i = 0; rc == CK_OK && i < img->nr_zombies; i++) {
		if (id_map_find(&pids, (uint64_t)(int64_t)img->zombies[i]->ppid) == SIZE_MAX)
			rc = damaged(p, img->zombies[i], "the ended process %d has no parent",
				     img->zombies[i]->pid);
		else
			rc = check_parent(p, &pids, img->zombies[i], img->zombies[i]->ppid);
	}
	for (i = 0; rc == CK_OK && i < img->nr_processes; i++)
		rc = check_parent(p, &pids, record_of(&img->processes[i]),
				  img->processes[i].rec->ppid);
	for (i = 0; rc == CK_OK && i < img->nr_processes; i++) {
		/* @depth marks those that are known to lead to a root. */
		for (at = i, steps = 0; at != SIZE_MAX && !depth[at]; steps++) {
			if (steps > img->nr_processes) {
				rc = damaged(p, record_of(&img->processes[i]),
					     "process %d is its own ancestor",
					     img->processes[i].rec->pid);
				break;
			}
			at = id_map_find(&pids, (uint64_t)img->processes[at].rec->ppid);
		}
		for (at = i; rc == CK_OK && at != SIZE_MAX && !depth[at];
		     at = id_map_find(&pids, (uint64_t)img->processes[at].rec->ppid))
			depth[at] = 1;
	}
	id_map_free(&pids);
	free(depth);
	return rc;
}

/* What a process can have ended with, and be made to end with again. */
static bool is_end(uint32_t status)
{
	uint32_t signal = status & 0x7f;

	if (!signal)
		return !(status & ~0xff00U);
	return !(status & ~0xffU) && signal <= 64 && signal != SIGCHLD && signal != SIGCONT &&
	       signal != SIGSTOP && signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU &&
	       signal != SIGURG && signal != SIGWINCH;
}

static int check_zombies(const struct parse *p, struct id_map *tids)
{
	const struct image *img = p->img;
	size_t i;

	for (i = 0; i < img->nr_zombies; i++) {
		const struct ckpt_rec_zombie *rec = img->zombies[i];

		if (rec->pid <= 0 || rec->pgid < 0 || rec->sid < 0 || rec->exit_signal < 0 ||
		    rec->exit_signal > 64 || !is_end(rec->status) || rec->pad || !is_text(rec->comm))
			return damaged(p, rec, "the ended process %d makes no sense", rec->pid);
		if (id_map_add(tids, (uint64_t)rec->pid, i))
			return CK_FAILED;
	}
	return CK_OK;
}

/* ---- objects ---- */

/* An epoll may be asked for any of these; the kernel knows the rest. */
static bool watches_make_sense(const struct image_file *file)
{
	size_t i;

	for (i = 0; i < file->nr_watches; i++)
		if (file->watches[i].fd < 0 || file->watches[i].fd > MAX_FD)
			return false;
	return true;
}

static bool timerfd_makes_sense(const struct ckpt_rec_timerfd *rec)
{
	return rec->value_ns <= INT64_MAX && rec->interval_ns <= INT64_MAX && rec->expiry_ns >= 0;
}

static bool file_makes_sense(const struct image_file *file)
{
	const struct ckpt_rec_file *rec = file->rec;
	const struct ckpt_rec_eventfd *eventfd = file->state;

	if (rec->pos < 0)
		return false;
	switch (rec->kind) {
	case CKPT_FILE_REG:
	case CKPT_FILE_DIR:
	case CKPT_FILE_CHR:
	case CKPT_FILE_PATH:
	case CKPT_FILE_FIFO:
		return file->path[0] == '/';
	case CKPT_FILE_PIPE:
	case CKPT_FILE_OBJECT:
		return true;
	case CKPT_FILE_STDIO:
		return rec->object <= 2;
	case CKPT_FILE_EVENTFD:
		return eventfd && eventfd->count != UINT64_MAX && eventfd->semaphore <= 1;
	case CKPT_FILE_TIMERFD:
		return file->state && timerfd_makes_sense(file->state);
	case CKPT_FILE_SIGNALFD:
		return file->state;
	case CKPT_FILE_EPOLL:
		return file->state && watches_make_sense(file);
	default:
		return false;
	}
}

static bool lock_makes_sense(const struct image *img, const struct image_lock *lock)
{
	const struct ckpt_rec_lock *rec = lock->rec;
	size_t i, n;

	if (rec->kind < CKPT_LOCK_FLOCK || rec->kind > CKPT_LOCK_POSIX || rec->exclusive > 1 ||
	    rec->start < 0 || rec->end < rec->start)
		return false;
	if (rec->kind != CKPT_LOCK_POSIX)
		return !rec->pid && !rec->fd;
	for (i = 0; i < img->nr_processes; i++)
		for (n = 0; img->processes[i].rec->pid == rec->pid && n < img->processes[i].nr_fds; n++)
			if (img->processes[i].fds[n].rec->fd == rec->fd)
				return img->processes[i].fds[n].file == lock->file;
	return false;
}

static int check_objects(const struct parse *p)
{
	const struct image *img = p->img;
	size_t i;

	for (i = 0; i < img->nr_shms; i++)
		if (img->shms[i].rec->size > INT64_MAX - CKPT_PAGE_SIZE)
			return damaged(p, img->shms[i].rec, "a shared memory object of a size that "
				       "cannot be");
	for (i = 0; i < img->nr_shms; i++)
		if (img->shms[i].rec->flags & CKPT_SHM_FILE && img->shms[i].name[0] != '/')
			return damaged(p, img->shms[i].rec, "a removed file makes no sense");
	for (i = 0; i < img->nr_pipes; i++)
		if (img->pipes[i].rec->data_len > img->pipes[i].rec->capacity)
			return damaged(p, img->pipes[i].rec, "a pipe holds more than it can");
	for (i = 0; i < img->nr_locks; i++)
		if (!lock_makes_sense(img, &img->locks[i]))
			return damaged(p, img->locks[i].rec, "a lock makes no sense");
	for (i = 0; i < img->nr_files; i++)
		if (!file_makes_sense(&img->files[i]))
			return damaged(p, img->files[i].rec, "an open file makes no sense");
	return check_tempfiles(p);
}

static bool vdso_makes_sense(const struct image *img)
{
	char hash[17];

	if (!img->vdso)
		return true;
	snprintf(hash, sizeof(hash), "%016" PRIx64, (uint64_t)XXH64(img->vdso, img->vdso_len, 0));
	return strcmp(hash, img->meta.vdso) == 0;
}

int check_records(const struct parse *p)
{
	struct id_map tids = { 0 };
	uint64_t tid;
	size_t i;
	int rc = CK_OK;

	if (p->img->nr_processes == p->img->nr_relaunched)
		return damaged(p, NULL, "there is no process in it");
	if (p->img->cpus && (p->img->cpus->cpus_len % sizeof(uint64_t) || p->img->cpus->pad ||
			     p->img->cpus->cpus_len > CKPT_MAX_CPUS / 8))
		return damaged(p, p->img->cpus, "the CPUs of the job make no sense");
	if (!vdso_makes_sense(p->img))
		return damaged(p, p->img->vdso, "the kernel's vdso is not the one it should be");
	for (i = 0; rc == CK_OK && i < p->img->nr_processes; i++) {
		struct image_process *proc = &p->img->processes[i];

		rc = proc->relaunch ? check_relaunch(p, proc, &tids) : check_process(p, proc, &tids);
		if (rc == CK_OK)
			rc = check_rows(p, proc);
	}
	if (rc == CK_OK)
		rc = check_zombies(p, &tids);
	if (rc == CK_OK && tids.nr > CKPT_MAX_THREADS)
		rc = damaged(p, NULL, "it has more than %d threads", CKPT_MAX_THREADS);
	if (rc == CK_OK && !id_map_sort(&tids, &tid))
		rc = damaged(p, NULL, "two threads have the id %" PRIu64, tid);
	id_map_free(&tids);
	if (rc == CK_OK)
		rc = check_tree(p);
	if (rc == CK_OK)
		rc = check_objects(p);
	return rc;
}

/* ---- runs ---- */

struct runs {
	const struct parse *p;
	const struct ckpt_rec_pages *pages;
	const struct image_process *proc;	/* the owner, or NULL and @size */
	uint64_t size;				/* of the shared object, whole pages */
	size_t vma;				/* that the last run ended in */
	uint64_t end;				/* of the last run */
	uint64_t nr_pages;
};

/* [addr, end) is private memory, of one mapping or of adjacent ones. */
static bool in_private(struct runs *r, uint64_t addr, uint64_t end)
{
	const struct image_process *proc = r->proc;

	while (r->vma < proc->nr_vmas && proc->vmas[r->vma].rec->end <= addr)
		r->vma++;
	for (; r->vma < proc->nr_vmas; r->vma++) {
		const struct ckpt_rec_vma *vma = proc->vmas[r->vma].rec;

		if (addr < vma->start || !(vma->flags & MAP_PRIVATE) || vma->kind == CKPT_VMA_VDSO)
			return false;
		if (end <= vma->end)
			return true;
		addr = vma->end;
	}
	return false;
}

static int check_run(const struct ckpt_run *run, const struct image_generation *gen, void *arg)
{
	struct runs *r = arg;
	uint64_t bytes = (uint64_t)run->nr_pages * CKPT_PAGE_SIZE, end = run->addr + bytes;
	bool zero = run->flags & CKPT_RUN_ZERO;

	if ((run->flags & ~CKPT_RUN_ZERO) || !run->nr_pages || !aligned(run->addr) ||
	    run->addr < r->end || end < run->addr ||
	    (zero ? run->pos || run->xxh64 : run->nr_pages > CKPT_RUN_MAX_PAGES))
		return damaged(r->p, r->pages, "the index has a broken run at %" PRIx64,
			       (uint64_t)run->addr);
	if (!zero && (!aligned(run->pos) || bytes > gen->page_bytes ||
		      run->pos > gen->page_bytes - bytes))
		return damaged(r->p, r->pages, "the run at %" PRIx64 " is not inside the page file",
			       (uint64_t)run->addr);
	if (r->proc ? !in_private(r, run->addr, end) : end > r->size)
		return damaged(r->p, r->pages, "the run at %" PRIx64 " is in no memory of its owner",
			       (uint64_t)run->addr);
	r->end = end;
	r->nr_pages += run->nr_pages;
	return CK_OK;
}

static int check_pages(struct runs *r)
{
	const struct image_generation *gen = image_generation(r->p->img, r->pages->generation);
	const struct ckpt_rec_pages *pages = r->pages;
	int rc;

	r->vma = 0;
	r->end = r->nr_pages = 0;
	if (!gen || gen->index_fd < 0)
		return damaged(r->p, pages, "pages are in generation %u, which is not there",
			       pages->generation);
	if (pages->index_pos % sizeof(struct ckpt_run) || pages->index_pos > gen->index_bytes ||
	    pages->nr_runs > (gen->index_bytes - pages->index_pos) / sizeof(struct ckpt_run))
		return damaged(r->p, pages, "pages are outside of the index file");
	rc = image_for_each_run(r->p->img, pages, check_run, r);
	if (rc == CK_OK && r->nr_pages != pages->nr_pages)
		rc = damaged(r->p, pages, "%" PRIu64 " pages are in the index, not %" PRIu64,
			     r->nr_pages, (uint64_t)pages->nr_pages);
	return rc;
}

int check_runs(const struct parse *p)
{
	const struct image *img = p->img;
	struct runs r = { .p = p };
	size_t i, k;
	int rc;

	for (i = 0; i < img->nr_processes; i++)
		for (k = 0; k < img->processes[i].nr_pages; k++) {
			r.proc = &img->processes[i];
			r.pages = r.proc->pages[k];
			rc = check_pages(&r);
			if (rc)
				return rc;
		}
	r.proc = NULL;
	for (i = 0; i < img->nr_shms; i++)
		for (k = 0; k < img->shms[i].nr_pages; k++) {
			r.pages = img->shms[i].pages[k];
			r.size = (img->shms[i].rec->size + CKPT_PAGE_SIZE - 1) &
				 ~(uint64_t)(CKPT_PAGE_SIZE - 1);
			rc = check_pages(&r);
			if (rc)
				return rc;
		}
	return CK_OK;
}
