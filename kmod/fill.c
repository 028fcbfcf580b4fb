// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that are consecutive in the page file are read with one call straight
 * into the process's own pages, pinned for that: no copy with O_DIRECT, one
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
#include <linux/ckpt_image.h>
#include "compat/mapping.h"
#include "report.h"
#include "session.h"

#define RUNS_AT_ONCE	128
#define PAGES_AT_ONCE	CKPT_RUN_MAX_PAGES

/**
 * struct fill - reading in from one pair of files
 * @s: the session
 * @index: of runs
 * @data: page file
 * @pos: in @data, of the first page pending
 * @nr: pages pending: pinned, to be read next
 * @nr_bvecs: in how many pieces of physical memory
 * @runs: read last
 * @page: the pages pending
 * @bvec: the same, pieces merged
 */
struct fill {
	struct ckpt_session *s;
	struct file *index;
	struct file *data;
	loff_t pos;
	unsigned int nr;
	unsigned int nr_bvecs;
	struct ckpt_run runs[RUNS_AT_ONCE];
	struct page *page[PAGES_AT_ONCE];
	struct bio_vec bvec[PAGES_AT_ONCE];
};

static int stopped(struct fill *f)
{
	cond_resched();
	return fatal_signal_pending(current) || ckpt_session_stopped(f->s) ? -EINTR : 0;
}

/* What was noted about a page at @addr that cannot be had; being killed needs no note. */
static int no_page(struct fill *f, unsigned long addr, long err)
{
	if (err == -EINTR || err == -ERESTARTSYS)
		return -EINTR;
	if (err == -EFAULT)
		return ckpt_fail(f->s, err, CKPT_REASON_IMAGE, current,
				 "the image has data for address 0x%lx, where it maps no private memory",
				 addr);
	return ckpt_fail(f->s, err ?: -ENOMEM, CKPT_REASON_NOMEM, current,
			 "no memory for the page at 0x%lx (error %ld)", addr, -err);
}

/*
 * Pin up to @nr pages from @addr on behind those pending, at most to the end of
 * the mapping.  Return: how many; with @zero, fresh anonymous memory is counted
 * but not pinned, and f->nr does not change.
 */
static long pin(struct fill *f, unsigned long addr, unsigned long nr, bool zero)
{
	struct vm_area_struct *vma;
	unsigned int before = f->nr;
	long ret = -EFAULT;

	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	vma = find_vma(current->mm, addr);
	if (!vma || vma->vm_start > addr ||
	    vma->vm_flags & (VM_SHARED | VM_MAYSHARE | VM_IO | VM_PFNMAP | VM_HUGETLB))
		goto out;
	nr = min(nr, (vma->vm_end - addr) >> PAGE_SHIFT);
	if (zero && vma_is_anonymous(vma)) {
		ret = nr;
		goto out;
	}
	ret = ckpt_pin_pages(addr, min_t(unsigned long, nr, PAGES_AT_ONCE - before),
			     f->page + before);
	if (ret > 0)
		f->nr += ret;
out:
	mmap_read_unlock(current->mm);
	return ret > 0 ? ret : no_page(f, addr, ret);
}

static void unpin(struct fill *f)
{
	unpin_user_pages_dirty_lock(f->page, f->nr, true);
	f->nr = 0;
	f->nr_bvecs = 0;
}

/* Pages of a huge page lie side by side: one piece. */
static void gather(struct fill *f)
{
	struct bio_vec *last = NULL;
	unsigned int i;

	f->nr_bvecs = 0;
	for (i = 0; i < f->nr; i++) {
		if (last && page_to_pfn(last->bv_page) + (last->bv_len >> PAGE_SHIFT) ==
			    page_to_pfn(f->page[i])) {
			last->bv_len += PAGE_SIZE;
			continue;
		}
		last = &f->bvec[f->nr_bvecs++];
		last->bv_page = f->page[i];
		last->bv_len = PAGE_SIZE;
		last->bv_offset = 0;
	}
}

/* Read all that is pending. */
static int flush(struct fill *f)
{
	struct iov_iter iter;
	ssize_t n = 1;

	if (!f->nr)
		return 0;
	gather(f);
	iov_iter_bvec(&iter, ITER_DEST, f->bvec, f->nr_bvecs, (size_t)f->nr << PAGE_SHIFT);
	while (n > 0 && iov_iter_count(&iter))
		n = vfs_iter_read(f->data, &iter, &f->pos, 0);
	unpin(f);
	if (n > 0)
		return 0;
	if (stopped(f))
		return -EINTR;
	return ckpt_fail(f->s, n ?: -ENODATA, CKPT_REASON_IO, current, n ?
			 "reading the page file %pD failed" : "the page file %pD is too short",
			 f->data);
}

static int fill_data(struct fill *f, const struct ckpt_run *run)
{
	unsigned long addr = run->addr, end = run->addr + (u64)run->nr_pages * PAGE_SIZE;
	long n;
	int ret;

	if (f->nr && f->pos + (loff_t)f->nr * PAGE_SIZE != run->pos) {
		ret = flush(f);
		if (ret)
			return ret;
	}
	if (!f->nr)
		f->pos = run->pos;
	for (; addr < end; addr += n * PAGE_SIZE) {
		if (f->nr == PAGES_AT_ONCE) {
			ret = flush(f);
			if (ret)
				return ret;
		}
		n = pin(f, addr, (end - addr) >> PAGE_SHIFT, false);
		if (n < 0)
			return n;
	}
	return 0;
}

/* Fresh anonymous memory is zero as it is; a private file mapping shows the file. */
static int fill_zero(struct fill *f, const struct ckpt_run *run)
{
	unsigned long addr = run->addr, end = run->addr + (u64)run->nr_pages * PAGE_SIZE;
	unsigned int i;
	long n;
	int ret;

	ret = flush(f);
	for (; !ret && addr < end; addr += n * PAGE_SIZE) {
		n = pin(f, addr, (end - addr) >> PAGE_SHIFT, true);
		if (n < 0)
			return n;
		for (i = 0; i < f->nr; i++)
			clear_highpage(f->page[i]);
		if (f->nr)
			unpin(f);
		ret = stopped(f);
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
			return ckpt_fail(f->s, -EINVAL, CKPT_REASON_IMAGE, current,
					 "the index %pD is damaged", f->index);
		ret = stopped(f);
		if (!ret)
			ret = run->flags & CKPT_RUN_ZERO ? fill_zero(f, run) : fill_data(f, run);
	}
	return ret;
}

static int fill_index(struct fill *f, const struct ckpt_plan_pages *pages)
{
	loff_t pos = pages->index_pos;
	u64 left = pages->nr_runs;
	int ret = 0;

	while (left && !ret) {
		size_t want = min_t(u64, left, RUNS_AT_ONCE) * sizeof(f->runs[0]);
		ssize_t n = kernel_read(f->index, f->runs, want, &pos);

		if (n < 0 || n != want) {
			ret = stopped(f);
			return ret ?: ckpt_fail(f->s, n < 0 ? n : -ENODATA, CKPT_REASON_IO, current,
						"the index %pD cannot be read, or is too short",
						f->index);
		}
		ret = fill_runs(f, want / sizeof(f->runs[0]));
		left -= want / sizeof(f->runs[0]);
	}
	return ret ?: flush(f);
}

static int get_image_file(struct fill *f, int fd, struct file **file)
{
	*file = fget(fd);
	if (*file && S_ISREG(file_inode(*file)->i_mode) && (*file)->f_mode & FMODE_READ)
		return 0;
	return ckpt_fail(f->s, -EBADF, CKPT_REASON_IMAGE, current,
			 "a file of the image is not open for reading");
}

static int fill_one(struct fill *f, const struct ckpt_plan_pages *pages)
{
	int ret;

	if (pages->index_pos > S64_MAX)
		return ckpt_fail(f->s, -EINVAL, CKPT_REASON_IMAGE, current,
				 "the restart plan's position in the index is not valid");
	f->index = NULL;
	f->data = NULL;
	ret = get_image_file(f, pages->index_fd, &f->index);
	if (!ret)
		ret = get_image_file(f, pages->page_fd, &f->data);
	if (!ret)
		ret = fill_index(f, pages);
	if (f->nr)
		unpin(f);
	if (f->data)
		fput(f->data);
	if (f->index)
		fput(f->index);
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
	struct fill *f = kvzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);
	int ret = 0;
	u32 i;

	if (!f)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, current,
				 "no memory for reading its pages");
	f->s = s;
	for (i = 0; i < nr && !ret; i++)
		ret = fill_one(f, &pages[i]);
	kvfree(f);
	return ret;
}
