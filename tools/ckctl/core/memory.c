// SPDX-License-Identifier: GPL-2.0
/* The segments of a core file.  Holes stay holes: the file is sparse. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xxhash.h>

#include "../image/dir.h"
#include "../io.h"
#include "../out.h"
#include "../restart/vdso.h"

#define RUN_BYTES	((size_t)CKPT_RUN_MAX_PAGES * CKPT_PAGE_SIZE)

struct memory {
	int fd;
	const char *path;		/* of the core file */
	const struct image_process *process;
	const Elf64_Phdr *headers;
	char *buf;			/* one run */
	/* Where a run's addresses are: all of the process's private memory, or
	 * one mapping of a shared object. */
	const struct image_vma *shared;
	size_t vma;			/* that the last run ended in */
};

int core_write(int fd, const char *path, const void *buf, size_t len, uint64_t pos)
{
	return io_write(fd, buf, len, pos) < 0 ? fail_errno(errno, "cannot write %s", path) : CK_OK;
}

/* The vdso is in no image, but this kernel's where it is that of the image; else empty. */
static struct vdso vdso_of(const struct image *img)
{
	struct vdso code = { 0, 0 };
	char hash[sizeof(img->meta.vdso)];

	if (vdso_hash(hash, sizeof(hash)) || strcmp(hash, img->meta.vdso) != 0 || vdso_text(&code))
		return (struct vdso){ 0, 0 };
	return code;
}

static bool is_code_of(const struct vdso *code, const struct ckpt_rec_vma *vma)
{
	return vma->kind == CKPT_VMA_VDSO && vma->prot & PROT_EXEC && code->end &&
	       vma->end - vma->start == code->end - code->start;
}

/* Shared file mappings stay in their file: a debugger is told where they were,
 * not what was in them. */
static bool has_data(const struct vdso *code, const struct ckpt_rec_vma *vma)
{
	return is_code_of(code, vma) || vma->kind == CKPT_VMA_ANON || vma->kind == CKPT_VMA_SHM ||
	       (vma->kind == CKPT_VMA_FILE && (vma->flags & MAP_PRIVATE));
}

/* The mapped file as it was at the checkpoint, or -1. */
static int open_mapped(const struct image_vma *vma)
{
	int fd = open(vma->path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (uint64_t)st.st_size == vma->rec->size && st.st_mtim.tv_sec == vma->rec->mtime_sec &&
	    st.st_mtim.tv_nsec == vma->rec->mtime_nsec)
		return fd;
	close(fd);
	return -1;
}

int core_segments(const struct image *img, const struct image_process *p, Elf64_Phdr *headers,
		  uint64_t offset, uint64_t *end)
{
	struct vdso code = vdso_of(img);
	size_t i;

	for (i = 0; i < p->nr_vmas; i++) {
		const struct ckpt_rec_vma *vma = p->vmas[i].rec;
		Elf64_Phdr *h = &headers[i];
		uint64_t len = vma->end - vma->start;

		*h = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offset, .p_vaddr = vma->start,
				   .p_memsz = len, .p_align = CKPT_PAGE_SIZE };
		h->p_flags = (vma->prot & PROT_READ ? PF_R : 0) |
			     (vma->prot & PROT_WRITE ? PF_W : 0) |
			     (vma->prot & PROT_EXEC ? PF_X : 0);
		if (!has_data(&code, vma))
			continue;
		if (len > INT64_MAX - offset)
			return fail(CK_REFUSED, "the memory of process %d is too large for a file",
				    p->rec->pid);
		h->p_filesz = len;
		offset += len;
	}
	*end = offset;
	return CK_OK;
}

/* ---- pages that are not in the image because the file has them ---- */

static bool all_zero(const char *buf, size_t len)
{
	return buf[0] == 0 && memcmp(buf, buf + 1, len - 1) == 0;
}

static int copy_mapped(struct memory *m, size_t i)
{
	const struct image_vma *vma = &m->process->vmas[i];
	uint64_t len = vma->rec->end - vma->rec->start, pos = 0;
	int fd = open_mapped(vma), rc = CK_OK;

	if (fd < 0) {
		note("%s has changed or is gone: its pages at %" PRIx64
		     " are zeros in the core file", vma->path, (uint64_t)vma->rec->start);
		return CK_OK;
	}
	while (rc == CK_OK && pos < len) {
		size_t want = len - pos < RUN_BYTES ? (size_t)(len - pos) : RUN_BYTES;
		ssize_t n = io_read(fd, m->buf, want, vma->rec->offset + pos);

		if (n < 0)
			rc = fail_errno(errno, "cannot read %s", vma->path);
		if (n <= 0)
			break;
		if (!all_zero(m->buf, (size_t)n))
			rc = core_write(m->fd, m->path, m->buf, (size_t)n,
					m->headers[i].p_offset + pos);
		pos += (uint64_t)n;
	}
	close(fd);
	return rc;
}

/* ---- pages from the image ---- */

/* The run's data, proved, in m->buf; zeros for a run of zeros of that length. */
static int load_run(struct memory *m, const struct ckpt_run *run,
		    const struct image_generation *gen)
{
	size_t len = (size_t)run->nr_pages * CKPT_PAGE_SIZE;
	int rc = dir_read(gen->page_fd, m->buf, len, run->pos, gen->path, DIR_PAGES);

	if (rc == CK_OK && XXH64(m->buf, len, 0) != run->xxh64)
		rc = fail(CK_DAMAGED, "%s is damaged: %s, byte %" PRIu64
			  ": the page data is not what was written", gen->path, DIR_PAGES,
			  (uint64_t)run->pos);
	return rc;
}

/* [addr, end) of mapping @i; @data is NULL for zeros. */
static int write_part(struct memory *m, size_t i, uint64_t addr, uint64_t end, const char *data)
{
	const struct ckpt_rec_vma *vma = m->process->vmas[i].rec;
	uint64_t pos = m->headers[i].p_offset + (addr - vma->start);
	int rc = CK_OK;

	if (data)
		return core_write(m->fd, m->path, data, (size_t)(end - addr), pos);
	/* Where nothing was written before, the hole is zeros already. */
	if (vma->kind != CKPT_VMA_FILE)
		return CK_OK;
	memset(m->buf, 0, RUN_BYTES);
	while (rc == CK_OK && addr < end) {
		size_t len = end - addr < RUN_BYTES ? (size_t)(end - addr) : RUN_BYTES;

		rc = core_write(m->fd, m->path, m->buf, len, pos);
		addr += len;
		pos += len;
	}
	return rc;
}

static int write_run(const struct ckpt_run *run, const struct image_generation *gen, void *arg)
{
	struct memory *m = arg;
	const struct image_process *p = m->process;
	uint64_t addr = run->addr, end = addr + (uint64_t)run->nr_pages * CKPT_PAGE_SIZE;
	bool zero = run->flags & CKPT_RUN_ZERO;
	int rc = zero ? CK_OK : load_run(m, run, gen);

	/* check_runs() has proved that mappings cover it without a gap. */
	while (rc == CK_OK && addr < end) {
		const struct ckpt_rec_vma *vma;
		uint64_t stop;

		while (p->vmas[m->vma].rec->end <= addr)
			m->vma++;
		vma = p->vmas[m->vma].rec;
		stop = end < vma->end ? end : vma->end;
		rc = write_part(m, m->vma, addr, stop, zero ? NULL : m->buf + (addr - run->addr));
		addr = stop;
	}
	return rc;
}

/* The part of a shared object's run that one mapping shows. */
static int write_shared(const struct ckpt_run *run, const struct image_generation *gen, void *arg)
{
	struct memory *m = arg;
	const struct ckpt_rec_vma *vma = m->shared->rec;
	uint64_t len = vma->end - vma->start;
	uint64_t first = run->addr, last = first + (uint64_t)run->nr_pages * CKPT_PAGE_SIZE;
	int rc;

	if (first < vma->offset)
		first = vma->offset;
	if (last > vma->offset + len)
		last = vma->offset + len;
	if (first >= last || (run->flags & CKPT_RUN_ZERO))
		return CK_OK;
	rc = load_run(m, run, gen);
	return rc ? rc : write_part(m, m->vma, vma->start + (first - vma->offset),
				    vma->start + (last - vma->offset),
				    m->buf + (first - run->addr));
}

static int write_object(struct memory *m, const struct image *img, size_t i)
{
	size_t s, k;
	int rc = CK_OK;

	m->shared = &m->process->vmas[i];
	m->vma = i;
	for (s = 0; s < img->nr_shms; s++)
		if (img->shms[s].rec->id == m->shared->rec->object)
			for (k = 0; rc == CK_OK && k < img->shms[s].nr_pages; k++)
				rc = image_for_each_run(img, img->shms[s].pages[k], write_shared, m);
	return rc;
}

int core_memory(int fd, const char *path, const struct image *img, const struct image_process *p,
		const Elf64_Phdr *headers)
{
	struct memory m = { .fd = fd, .path = path, .process = p, .headers = headers };
	struct vdso code = vdso_of(img);
	size_t i;
	int rc = CK_OK;

	m.buf = malloc(RUN_BYTES);
	if (!m.buf)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; rc == CK_OK && i < p->nr_vmas; i++) {
		if (p->vmas[i].rec->kind == CKPT_VMA_FILE && headers[i].p_filesz)
			rc = copy_mapped(&m, i);
		else if (p->vmas[i].rec->kind == CKPT_VMA_SHM)
			rc = write_object(&m, img, i);
		else if (is_code_of(&code, p->vmas[i].rec))
			rc = core_write(fd, path, (const void *)code.start, headers[i].p_filesz,
					headers[i].p_offset);
	}
	for (i = 0; rc == CK_OK && i < p->nr_pages; i++) {
		m.vma = 0;
		rc = image_for_each_run(img, p->pages[i], write_run, &m);
	}
	free(m.buf);
	return rc;
}

/* ---- a few bytes ---- */

struct reading {
	uint64_t addr, end;
	char *buf;
	size_t got;
};

static int read_part(const struct ckpt_run *run, const struct image_generation *gen, void *arg)
{
	struct reading *r = arg;
	uint64_t end = run->addr + (uint64_t)run->nr_pages * CKPT_PAGE_SIZE;
	uint64_t at = r->addr + r->got;
	size_t len;

	if (at < run->addr || at >= end || at >= r->end)
		return CK_OK;
	len = (size_t)((end < r->end ? end : r->end) - at);
	if (run->flags & CKPT_RUN_ZERO)
		memset(r->buf + r->got, 0, len);
	else if (pread(gen->page_fd, r->buf + r->got, len, (off_t)(run->pos + (at - run->addr))) !=
		 (ssize_t)len)
		return CK_OK;
	r->got += len;
	return CK_OK;
}

size_t core_read(const struct image *img, const struct image_process *p, uint64_t addr, void *buf,
		 size_t len)
{
	struct reading r = { .addr = addr, .end = addr + len, .buf = buf };
	size_t i;

	for (i = 0; i < p->nr_pages; i++)
		if (image_for_each_run(img, p->pages[i], read_part, &r))
			break;
	return r.got;
}
