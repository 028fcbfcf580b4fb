// SPDX-License-Identifier: GPL-2.0
/* The core file of a synthetic image, read as a debugger does. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

static const unsigned char *core;	/* mapped */
static const Elf64_Ehdr *head;

static const Elf64_Phdr *segment(uint64_t addr)
{
	const Elf64_Phdr *h = (const void *)(core + head->e_phoff);
	unsigned int i;

	for (i = 0; i < head->e_phnum; i++)
		if (h[i].p_type == PT_LOAD && addr >= h[i].p_vaddr &&
		    addr < h[i].p_vaddr + h[i].p_memsz)
			return &h[i];
	return NULL;
}

static const void *memory(uint64_t addr)
{
	const Elf64_Phdr *h = segment(addr);

	return h && addr - h->p_vaddr < h->p_filesz ? core + h->p_offset + (addr - h->p_vaddr) : NULL;
}

/* The @nr-th note of a type, valid until the next call; notes are aligned to 4 bytes only. */
static const void *note_of(uint32_t type, unsigned int nr, size_t *len)
{
	static char note[4096] __attribute__((aligned(16)));
	const Elf64_Phdr *h = (const void *)(core + head->e_phoff);
	size_t pos = 0;

	while (pos < h->p_filesz) {
		const Elf64_Nhdr *n = (const void *)(core + h->p_offset + pos);
		size_t name = (n->n_namesz + 3U) & ~3U;

		if (n->n_type == type && nr-- == 0) {
			*len = n->n_descsz;
			return memcpy(note, (const char *)(n + 1) + name, *len);
		}
		pos += sizeof(*n) + name + ((n->n_descsz + 3U) & ~3U);
	}
	return NULL;
}

static void notes(void)
{
	const struct elf_prstatus *status;
	const struct elf_prpsinfo *info;
	const struct user_regs_struct *regs;
	const uint64_t *files;
	const char *area;
	size_t len;

	status = note_of(NT_PRSTATUS, 0, &len);
	ok(status && len == sizeof(*status) && status->pr_pid == SYNTHETIC_PID + 1,
	   "the leader comes first");
	status = note_of(NT_PRSTATUS, 2, &len);
	regs = status ? (const void *)&status->pr_reg : NULL;
	ok(regs && status->pr_pid == SYNTHETIC_PID + 103 &&
	   regs->r12 == 0xc0ffee02 && regs->rip == 0x400102 && status->pr_sighold == 2,
	   "the last thread with its registers and mask");
	ok(!note_of(NT_PRSTATUS, 3, &len), "and no more than that");
	info = note_of(NT_PRPSINFO, 0, &len);
	ok(info && strcmp(info->pr_fname, "program") == 0 && info->pr_uid == 1000 &&
	   info->pr_pid == SYNTHETIC_PID + 1, "the process");
	ok(note_of(NT_AUXV, 0, &len) && len == 32, "the auxiliary vector");
	files = note_of(NT_FILE, 0, &len);
	ok(files && files[0] == 1 && files[1] == 4096 && files[2] == 0x400000 && files[4] == 0 &&
	   strcmp((const char *)(files + 5), "/usr/bin/program") == 0 && len == 5 * 8 + 17,
	   "the mapped files");
	area = note_of(NT_FPREGSET, 1, &len);
	ok(area && len == 512 && area[0] == 2, "floating point registers");
	area = note_of(NT_X86_XSTATE, 2, &len);
	ok(area && len == 832 && area[831] == 3, "and the whole xstate");
}

/* The page file of an image that was just made begins with what is looked for. */
static bool equals_page(uint64_t addr, long page)
{
	char path[600], buf[4096];
	const void *got = memory(addr);
	int fd;
	bool same;

	snprintf(path, sizeof(path), "%s/gen-1/pages", scratch_image("core"));
	fd = open(path, O_RDONLY);
	same = got && pread(fd, buf, 4096, page * 4096) == 4096 && memcmp(got, buf, 4096) == 0;
	close(fd);
	return same;
}

static bool zeros(uint64_t addr)
{
	static const char nothing[4096];
	const void *got = memory(addr);

	return got && memcmp(got, nothing, 4096) == 0;
}

static void contents(const struct stat *st)
{
	/* Page file: 1 + 5 + 2 pages of the parent, 6 of the child, 2 shared. */
	ok(equals_page(0x10000000, 8), "private memory");
	ok(equals_page(0x10003000, 11), "a run over two mappings, in the second one");
	ok(zeros(0x10006000), "memory that was not saved is zeros");
	ok(equals_page(0x20000000, 14) && zeros(0x20001000) && equals_page(0x20002000, 15),
	   "shared memory");
	ok(segment(0x7ffff7fc0000) && !memory(0x7ffff7fc0000), "the vdso has addresses, no data");
	ok(segment(0x400000)->p_flags == (PF_R | PF_X), "rights");
	ok(!segment(0x10010000), "no memory where there is none");
	ok((uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size, "the file is sparse");
	ok((st->st_mode & 07777) == 0600, "and nobody else's to read");
}

static int make(const char *image, const char *pid, const char *output)
{
	char *argv[] = { (char *)"ckctl core", (char *)"--json", (char *)"-o", (char *)output,
			 (char *)image, (char *)pid, NULL };
	int null = open("/dev/null", O_WRONLY), saved, rc;

	/* TAP has stdout to itself. */
	fflush(stdout);
	saved = dup(1);
	dup2(null, 1);
	optind = 0;
	rc = cmd_core(6, argv);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	close(null);
	return rc;
}

int main(void)
{
	char path[600], sentence[512];
	struct stat st;
	int fd;

	out_quiet = true;
	ok(synthetic_write(scratch(), "core", 9, 1) == CK_OK, "an image");
	snprintf(path, sizeof(path), "%s/core", scratch());
	fail_capture(sentence, sizeof(sentence));
	ok(make(scratch_image("core"), "999", path) == CK_NOTFOUND && access(path, F_OK) < 0 &&
	   strstr(sentence, "999"), "a process that is not in it");
	ok(make(scratch_image("core"), "1001", path) == CK_OK, "a core file of one that is");
	ok(make(scratch_image("core"), "1001", path) == CK_FAILED && strstr(sentence, "exists"),
	   "no file is overwritten");
	fail_capture(NULL, 0);
	fd = open(path, O_RDONLY);
	if (!ok(fd >= 0 && fstat(fd, &st) == 0, "the file is there"))
		return done();
	core = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	head = (const void *)core;
	ok(memcmp(head->e_ident, ELFMAG, SELFMAG) == 0 && head->e_type == ET_CORE &&
	   head->e_phnum == 7, "an ELF core file of six mappings");
	notes();
	contents(&st);
	close(fd);
	scratch_remove();
	return done();
}
