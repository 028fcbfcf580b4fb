/* SPDX-License-Identifier: GPL-2.0 */
/* An ELF core file from an image: notes as a debugger expects them, memory. */
#ifndef CKCTL_CORE_H
#define CKCTL_CORE_H

#include <elf.h>
#include <stddef.h>

#include "../image/image.h"

/* A growing buffer of ELF notes. */
struct core_notes {
	char *data;
	size_t len, size;
};

/* All notes of @p, the leader's first; failures are reported. */
int core_notes(struct core_notes *notes, const struct image *img, const struct image_process *p);

/* The PT_LOAD headers of @p's mappings, one each, with file offsets from
 * @offset (page aligned) on; returns the end of the last in *@end. */
int core_segments(const struct image *img, const struct image_process *p, Elf64_Phdr *headers,
		  uint64_t offset, uint64_t *end);
/* Write what the segments hold: the mapped files' pages, then those saved. */
int core_memory(int fd, const char *path, const struct image *img, const struct image_process *p,
		const Elf64_Phdr *headers);
/* Read saved private memory, at most @len bytes; returns how many are there. */
size_t core_read(const struct image *img, const struct image_process *p, uint64_t addr, void *buf,
		 size_t len);
/* pwrite() of all of it. */
int core_write(int fd, const char *path, const void *buf, size_t len, uint64_t pos);

#endif
