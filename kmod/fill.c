// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that are consecutive in the page file are read with one call straight
 * into the pages that are or become the process's: no copy with O_DIRECT, one
 * from the page cache.  Only private memory is written to: shared memory is
 * filled through its own object, and a file mapped shared is not ours to change.
 */
#include "fill.h"
#include <linux/bvec.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/workqueue.h>
#include <linux/ckpt_image.h>
#include "compat/file.h"
#include "report.h"
#include "session.h"
#include "window.h"

#define RUNS_AT_ONCE	16
#define MAX_HELPERS	7

/**
 * struct source - one pair of files that all fillers of a process read from
 * @s: the session
 * @task: the process
 * @index: of runs
 * @data: page file
 * @index_pos: of the first run in @index
 * @nr_runs: how many
 * @next: the first that no filler has taken
 * @err: of the first filler that failed: the others give up
 */
struct source {
	struct ckpt_session *s;
	struct task_struct *task;
	struct file *index;
	struct file *data;
	loff_t index_pos;
	u64 nr_runs;
	atomic64_t next;
	int err;
};

/**
 * struct fill - one filler: the process itself, or a kernel worker that helps it
 * @work: of a helper
 * @src: what it reads from
 * @pos: in the page file, of the first page of @window
 * @runs: read last
 * @window: the pages to be read next
 * @bvecs: the same
 */
struct fill {
	struct work_struct work;
	struct source *src;
	loff_t pos;
	struct ckpt_run runs[RUNS_AT_ONCE];
	struct ckpt_window window;
	struct bio_vec bvecs[CKPT_WINDOW_PAGES];
};

static int stopped(struct fill *f)
{
	cond_resched();
	return fatal_signal_pending(current) || ckpt_session_stopped(f->src->s) ||
	       READ_ONCE(f->src->err) ? -EINTR : 0;
}

/* What was noted about a page at @addr that cannot be had; being killed needs no note. */
static int no_page(struct fill *f, unsigned long addr, long err)
{
	if (err == -EINTR || err == -ERESTARTSYS)
		return -EINTR;
	if (err == -EFAULT)
		return ckpt_fail(f->src->s, err, CKPT_REASON_IMAGE, f->src->task,
				 "the image has data for address 0x%lx, where it maps no private memory",
				 addr);
	return ckpt_fail(f->src->s, err ?: -ENOMEM, CKPT_REASON_NOMEM, f->src->task,
			 "no memory for the page at 0x%lx (error %ld)", addr, -err);
}

static int install(struct fill *f)
{
	unsigned long addr = f->window.addr[0];
	int ret = ckpt_window_install(&f->window);

	return ret ? no_page(f, addr, ret) : 0;
}

/* Read all that the window has. */
static int flush(struct fill *f)
{
	struct ckpt_window *w = &f->window;
	struct iov_iter iter;
	ssize_t n = 1;

	if (!w->nr)
		return 0;
	iov_iter_bvec(&iter, ITER_DEST, f->bvecs, ckpt_window_bvecs(w, f->bvecs),
		      (size_t)w->nr << PAGE_SHIFT);
	while (n > 0 && iov_iter_count(&iter))
		n = vfs_iter_read(f->src->data, &iter, &f->pos, 0);
	if (n > 0)
		return install(f);
	ckpt_window_drop(w);
	if (stopped(f))
		return -EINTR;
	return ckpt_fail(f->src->s, n ?: -ENODATA, CKPT_REASON_IO, f->src->task, n ?
			 "reading the page file %pD failed" : "the page file %pD is too short",
			 f->src->data);
}

static int fill_data(struct fill *f, const struct ckpt_run *run)
{
	unsigned long addr = run->addr, end = run->addr + (u64)run->nr_pages * PAGE_SIZE;
	struct ckpt_window *w = &f->window;
	long n;
	int ret;

	if (w->nr && f->pos + (loff_t)w->nr * PAGE_SIZE != run->pos) {
		ret = flush(f);
		if (ret)
			return ret;
	}
	if (!w->nr)
		f->pos = run->pos;
	for (; addr < end; addr += n * PAGE_SIZE) {
		if (w->nr == CKPT_WINDOW_PAGES) {
			ret = flush(f);
			if (ret)
				return ret;
		}
		n = ckpt_window_add(w, addr, (end - addr) >> PAGE_SHIFT);
		if (n < 0)
			return no_page(f, addr, n);
	}
	return 0;
}

/* Fresh anonymous memory is zero as it is; a private file mapping shows the file. */
static int fill_zero(struct fill *f, const struct ckpt_run *run)
{
	unsigned long addr = run->addr, end = run->addr + (u64)run->nr_pages * PAGE_SIZE;
	struct ckpt_window *w = &f->window;
	unsigned int i;
	long n;
	int ret;

	ret = flush(f);
	for (; !ret && addr < end; addr += n * PAGE_SIZE) {
		n = ckpt_window_zero(w, addr, (end - addr) >> PAGE_SHIFT);
		if (!n)
			n = ckpt_window_add(w, addr, (end - addr) >> PAGE_SHIFT);
		if (n < 0)
			return no_page(f, addr, n);
		for (i = 0; i < w->nr; i++)
			clear_highpage(w->page[i]);
		if (w->nr)
			ret = install(f);
		ret = ret ?: stopped(f);
	}
	return ret;
}

static bool bad_run(const struct ckpt_run *run)
{
	u64 len = (u64)run->nr_pages * PAGE_SIZE;
	bool zero = run->flags & CKPT_RUN_ZERO;

	return run->flags & ~CKPT_RUN_ZERO || !run->nr_pages || !PAGE_ALIGNED(run->addr) ||
	       run->addr > TASK_SIZE || len > TASK_SIZE - run->addr ||
	       (!zero && (run->nr_pages > CKPT_RUN_MAX_PAGES || !PAGE_ALIGNED(run->pos) ||
			  run->pos > S64_MAX - len));
}

static int fill_runs(struct fill *f, unsigned int nr)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nr && !ret; i++) {
		const struct ckpt_run *run = &f->runs[i];

		if (bad_run(run))
			return ckpt_fail(f->src->s, -EINVAL, CKPT_REASON_IMAGE, f->src->task,
					 "the index %pD is damaged", f->src->index);
		ret = stopped(f);
		if (!ret)
			ret = run->flags & CKPT_RUN_ZERO ? fill_zero(f, run) : fill_data(f, run);
	}
	return ret;
}

/* Runs [@first, @first + @nr). */
static int fill_some(struct fill *f, u64 first, unsigned int nr)
{
	loff_t pos = f->src->index_pos + first * sizeof(f->runs[0]);
	size_t want = nr * sizeof(f->runs[0]);
	ssize_t n = kernel_read(f->src->index, f->runs, want, &pos);
	int ret;

	if (n < 0 || n != want) {
		ret = stopped(f);
		return ret ?: ckpt_fail(f->src->s, n < 0 ? n : -ENODATA, CKPT_REASON_IO,
					f->src->task,
					"the index %pD cannot be read, or is too short",
					f->src->index);
	}
	ret = fill_runs(f, nr);
	return ret ?: flush(f);
}

static void fill_all(struct fill *f)
{
	struct source *src = f->src;
	int ret = 0;
	u64 first;

	while (!ret) {
		first = atomic64_fetch_add(RUNS_AT_ONCE, &src->next);
		if (first >= src->nr_runs)
			break;
		ret = stopped(f) ?: fill_some(f, first,
					      min_t(u64, src->nr_runs - first, RUNS_AT_ONCE));
	}
	ckpt_window_drop(&f->window);
	if (ret)
		cmpxchg(&src->err, 0, ret);
}

static void help(struct work_struct *work)
{
	fill_all(container_of(work, struct fill, work));
}

static struct fill *new_filler(struct source *src)
{
	struct fill *f = kvzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (f) {
		f->src = src;
		f->window.mm = current->mm;
		INIT_WORK(&f->work, help);
	}
	return f;
}

/*
 * What allocating, charging and mapping pages takes is worth as many CPUs as the
 * process has, and as many again keep the disk busy meanwhile.
 */
static int fill_from(struct fill *own, struct source *src)
{
	u64 chunks = DIV_ROUND_UP_ULL(src->nr_runs, RUNS_AT_ONCE);
	unsigned int wanted = min3(chunks ? chunks - 1 : 0, (u64)MAX_HELPERS,
				   2 * (u64)cpumask_weight(current->cpus_ptr) - 1);
	struct fill *helpers[MAX_HELPERS];
	unsigned int i, nr;

	own->src = src;
	for (nr = 0; nr < wanted; nr++) {
		helpers[nr] = new_filler(src);
		if (!helpers[nr])
			break;
		queue_work(system_unbound_wq, &helpers[nr]->work);
	}
	fill_all(own);
	for (i = 0; i < nr; i++) {
		flush_work(&helpers[i]->work);
		kvfree(helpers[i]);
	}
	return src->err;
}

static int get_image_file(struct ckpt_session *s, int fd, struct file **file)
{
	*file = fget(fd);
	if (*file && S_ISREG(file_inode(*file)->i_mode) && (*file)->f_mode & FMODE_READ)
		return 0;
	return ckpt_fail(s, -EBADF, CKPT_REASON_IMAGE, current,
			 "a file of the image is not open for reading");
}

static int fill_one(struct fill *own, struct ckpt_session *s, const struct ckpt_plan_pages *pages)
{
	struct source src = {
		.s = s,
		.task = current,
		.index_pos = pages->index_pos,
		.nr_runs = pages->nr_runs,
	};
	int ret;

	if (pages->index_pos > S64_MAX || pages->nr_runs > S64_MAX / sizeof(struct ckpt_run))
		return ckpt_fail(s, -EINVAL, CKPT_REASON_IMAGE, current,
				 "the restart plan's position in the index is not valid");
	ret = get_image_file(s, pages->index_fd, &src.index);
	if (!ret)
		ret = get_image_file(s, pages->page_fd, &src.data);
	if (!ret)
		ret = fill_from(own, &src);
	if (src.data)
		fput(src.data);
	if (src.index)
		fput(src.index);
	return ret;
}

/**
 * ckpt_fill() - read in current's private memory
 * @s: the session
 * @pages: which runs of which files
 * @nr: how many
 *
 * Context: a task work of the only running thread of the process.
 *
 * Return: 0; -EINTR when killed or stopped; or a noted failure.
 */
int ckpt_fill(struct ckpt_session *s, const struct ckpt_plan_pages *pages, u32 nr)
{
	struct fill *own = new_filler(NULL);
	int ret = 0;
	u32 i;

	if (!own)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, current,
				 "no memory for reading its pages");
	for (i = 0; i < nr && !ret; i++)
		ret = fill_one(own, s, &pages[i]);
	kvfree(own);
	return ret;
}
