// SPDX-License-Identifier: GPL-2.0
/*
 * A process's memory: anonymous pages, huge pages, heap, a growing stack,
 * a private file mapping with changed pages, guard pages, read-only data,
 * a large sparse mapping, and pages of zeros.
 */
#include <setjmp.h>
#include <sys/mman.h>
#include "workload.h"

#define KB 1024UL
#define MB (1024UL * KB)

static const char constant[] = "this is read-only data";
static uint64_t initialized[512] = { 1, 2, 3 };
static uint64_t bss[4096];

static uint8_t *anon, *huge, *sparse, *zeros, *heap, *none, *readonly, *file;

#define ANON (4 * MB)
#define HUGE (4 * MB)
#define SPARSE (1024 * MB)
#define FILE_PAGES 16

static void *map(size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	wl_check(p != MAP_FAILED, "mmap of %zu bytes: %s", len, strerror(errno));
	return p;
}

static void set_up_file(void)
{
	static uint8_t page[4096];
	int fd = wl_must(open(wl_path("mapped"), O_RDWR | O_CREAT, 0644));

	for (int i = 0; i < FILE_PAGES; i++) {
		wl_fill(page, sizeof(page), 1000 + i);
		wl_check(write(fd, page, sizeof(page)) == sizeof(page), "write: %s", strerror(errno));
	}
	close(fd);
	/* Read-only, so that nobody minds what happens to the file's time stamp. */
	fd = wl_must(open(wl_path("mapped"), O_RDONLY));
	file = mmap(NULL, FILE_PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	wl_check(file != MAP_FAILED, "mmap of a file: %s", strerror(errno));
	close(fd);
	for (int i = 0; i < FILE_PAGES; i += 3)
		wl_fill(file + i * 4096, 4096, 2000 + i);
}

static void set_up(void)
{
	anon = map(ANON, PROT_READ | PROT_WRITE, 0);
	wl_fill(anon, ANON, 1);
	huge = map(HUGE + 2 * MB, PROT_READ | PROT_WRITE, 0);
	huge = (uint8_t *)(((uintptr_t)huge + 2 * MB - 1) & ~(2 * MB - 1));
	madvise(huge, HUGE, MADV_HUGEPAGE);	/* it may be off: then they are small */
	wl_fill(huge, HUGE, 2);
	sparse = map(SPARSE, PROT_READ | PROT_WRITE, MAP_NORESERVE);
	for (size_t at = 0; at < SPARSE; at += 64 * MB + 4096)
		wl_fill(sparse + at, 4096, 3 + at);
	zeros = map(1 * MB, PROT_READ | PROT_WRITE, 0);
	memset(zeros, 0, 512 * KB);		/* pages of their own, all zeros */
	heap = sbrk(3 * MB);
	wl_check(heap != (void *)-1, "sbrk: %s", strerror(errno));
	wl_fill(heap, 3 * MB & ~7UL, 4);
	none = map(64 * KB, PROT_READ | PROT_WRITE, 0);
	wl_fill(none, 64 * KB, 5);
	wl_must(mprotect(none, 64 * KB, PROT_NONE));
	readonly = map(64 * KB, PROT_READ | PROT_WRITE, 0);
	wl_fill(readonly, 64 * KB, 6);
	wl_must(mprotect(readonly, 64 * KB, PROT_READ));
	wl_fill(bss, sizeof(bss), 7);
	set_up_file();
}

static sigjmp_buf fault;

static void on_segv(int sig)
{
	siglongjmp(fault, sig);
}

static bool faults(volatile uint8_t *p, bool write)
{
	struct sigaction sa = { .sa_handler = on_segv, .sa_flags = SA_NODEFER }, old;
	volatile bool faulted = true;

	wl_must(sigaction(SIGSEGV, &sa, &old));
	if (sigsetjmp(fault, 1) == 0) {
		if (write)
			*p = *p + 1;
		else
			(void)*p;
		faulted = false;
	}
	wl_must(sigaction(SIGSEGV, &old, NULL));
	return faulted;
}

/* Each frame holds a page and looks at it on the way back. */
static __attribute__((noinline)) void deep(unsigned int depth)
{
	uint64_t frame[512];

	wl_fill(frame, sizeof(frame), 300 + depth);
	asm volatile("" :: "r"(frame) : "memory");
	if (depth)
		deep(depth - 1);
	wl_verify(frame, sizeof(frame), 300 + depth, "stack");
}

static void verify(uint64_t round)
{
	static uint8_t saw_anon[64];

	/* A part that changes each round, the rest never. */
	memset(saw_anon, (int)round, sizeof(saw_anon));
	wl_verify(anon, ANON, 1, "anonymous memory");
	wl_verify(huge, HUGE, 2, "memory in huge pages");
	for (size_t at = 0; at < SPARSE; at += 64 * MB + 4096) {
		wl_verify(sparse + at, 4096, 3 + at, "sparse mapping");
		wl_check(sparse[at + 8192] == 0, "a hole of the sparse mapping is not empty");
	}
	for (size_t i = 0; i < 1 * MB; i += 512)
		wl_check(zeros[i] == 0, "a page of zeros is not zero at byte %zu", i);
	wl_verify(heap, 3 * MB & ~7UL, 4, "heap");
	wl_verify(readonly, 64 * KB, 6, "read-only memory");
	wl_verify(bss, sizeof(bss), 7, "bss");
	wl_check(initialized[0] == 1 && initialized[2] == 3 && initialized[511] == 0, "data changed");
	wl_check(strcmp(constant, "this is read-only data") == 0, "read-only data changed");
	for (int i = 0; i < FILE_PAGES; i++)
		wl_verify(file + i * 4096, 4096, i % 3 ? 1000 + i : 2000 + i, "private file mapping");
	wl_check(faults(none, false), "memory without access can be read");
	wl_check(faults(readonly, true), "read-only memory can be written");
	wl_check(faults((uint8_t *)constant, true), "read-only data can be written");
	wl_check(sbrk(0) == heap + 3 * MB, "the break moved");
	deep(20);
}

int main(int argc, char **argv)
{
	uint64_t round = 0;
	uint8_t *more;

	wl_start(argc, argv);
	set_up();
	wl_ready();
	do {
		verify(round++);
		/* Scratch memory comes and goes. */
		more = map(256 * KB, PROT_READ | PROT_WRITE, 0);
		wl_fill(more, 256 * KB, round);
		wl_verify(more, 256 * KB, round, "new memory");
		wl_must(munmap(more, 256 * KB));
		/* What was written since the last round must survive the next snapshot. */
		wl_fill(bss, sizeof(bss), round);
		wl_verify(bss, sizeof(bss), round, "bss");
		wl_fill(bss, sizeof(bss), 7);
	} while (!wl_stopping());
	deep(400);				/* the stack can still grow */
	wl_must(mprotect(none, 64 * KB, PROT_READ));
	wl_verify(none, 64 * KB, 5, "memory that had no access");
	wl_check(sbrk(1 * MB) == heap + 3 * MB, "the break cannot be moved");
	wl_fill(heap + 3 * MB, 1 * MB, 9);
	wl_passed();
	return 0;
}
