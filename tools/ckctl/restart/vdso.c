// SPDX-License-Identifier: GPL-2.0
#include "vdso.h"

#include <asm/prctl.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <xxhash.h>

#include <linux/ckpt_image.h>

#include "out.h"

#define VDSO_MAX_PAGES	64	/* 6 to 8 in all kernels so far */

/* The mappings whose name begins with @name: their first and last address. */
static int find_mappings(const char *name, struct vdso *v)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	if (!maps)
		return fail_errno(errno, "cannot open /proc/self/maps");
	v->start = 0;
	v->end = 0;
	while (fgets(line, sizeof(line), maps)) {
		uint64_t start, end;
		int at = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %n", &start, &end,
			   &at) < 2 || !at || strncmp(line + at, name, strlen(name)) != 0)
			continue;
		if (start >> 63)
			continue;	/* [vsyscall], the same everywhere */
		if (!v->end)
			v->start = start;
		v->end = end;
	}
	fclose(maps);
	return CK_OK;
}

int vdso_find(struct vdso *v)
{
	/* [vvar], on newer kernels [vvar_vclock] too, [vdso]: side by side. */
	int rc = find_mappings("[v", v);

	if (!rc && v->end - v->start > VDSO_MAX_PAGES * CKPT_PAGE_SIZE)
		rc = fail(CK_FAILED, "this kernel's vdso has a layout that ckctl does not know");
	return rc;
}

int vdso_text(struct vdso *v)
{
	return find_mappings("[vdso]", v);
}

int vdso_hash(char *buf, size_t size)
{
	struct vdso code;
	int rc = vdso_text(&code);

	if (rc)
		return rc;
	snprintf(buf, size, "%016" PRIx64,
		 (uint64_t)XXH64((const void *)code.start, code.end - code.start, 0));
	return CK_OK;
}

/* One page at a time: what is ours already (@own) stays, the rest must be free. */
static int reserve_range(const struct vdso *own, uint64_t start, uint64_t end)
{
	uint64_t at;

	for (at = start; at < end; at += CKPT_PAGE_SIZE) {
		void *p;

		if (at >= own->start && at < own->end)
			continue;
		p = mmap((void *)at, CKPT_PAGE_SIZE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p == (void *)at)
			continue;
		if (p != MAP_FAILED)
			munmap(p, CKPT_PAGE_SIZE);
		if (p != MAP_FAILED || errno == EEXIST)
			return VDSO_TAKEN;
		return fail_errno(errno, "cannot keep the address %" PRIx64 " of the saved vdso free",
				  at);
	}
	return CK_OK;
}

static int by_start(const void *a, const void *b)
{
	const struct vdso *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int vdso_reserve(const struct vdso *own, struct vdso *ranges, size_t nr)
{
	uint64_t done = 0;
	size_t i;
	int rc = CK_OK;

	/* Forked processes share one range: what was reserved is not tried again. */
	qsort(ranges, nr, sizeof(*ranges), by_start);
	for (i = 0; i < nr && !rc; i++) {
		uint64_t start = ranges[i].start > done ? ranges[i].start : done;

		rc = reserve_range(own, start, ranges[i].end);
		if (ranges[i].end > done)
			done = ranges[i].end;
	}
	return rc;
}

int vdso_move(const struct vdso *own, uint64_t start)
{
	uint64_t size = own->end - own->start;
	unsigned char present[VDSO_MAX_PAGES];
	long rc;

	if (own->end && munmap((void *)own->start, own->end - own->start) < 0)
		return -errno;
	if (!start)
		return 0;
	if (munmap((void *)start, size) < 0)
		return -errno;
	rc = syscall(SYS_arch_prctl, ARCH_MAP_VDSO_64, start);
	if (rc < 0)
		return -errno;
	/* The address is only a hint to the kernel; nothing else can be there now. */
	if (mincore((void *)start, size, present) < 0)
		return -EEXIST;
	return 0;
}
