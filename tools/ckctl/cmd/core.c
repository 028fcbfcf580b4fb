// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"
#include "json.h"
#include "out.h"

static const char usage[] =
	"Usage: ckctl core [--json] [-o FILE] IMAGE[@GENERATION] PID\n"
	"Make an ELF core file of process PID of an image, for gdb and other debuggers:\n"
	"all threads with their registers, and all memory.\n\n"
	"  -o, --output=FILE  the file to make, which must not exist; default: core.PID\n";

/* The layout of the file: header, program headers, notes, (section header), memory. */
struct layout {
	Elf64_Ehdr head;
	Elf64_Phdr *headers;		/* the notes' first, then one a mapping */
	size_t nr;
	Elf64_Shdr section;		/* for more headers than e_phnum can count */
	uint64_t notes_pos, section_pos, end;
};

static int lay_out(struct layout *l, const struct image *img, const struct image_process *p,
		   size_t notes_len)
{
	uint64_t memory;

	l->nr = p->nr_vmas + 1;
	l->headers = calloc(l->nr, sizeof(*l->headers));
	if (!l->headers)
		return fail(CK_FAILED, "out of memory");
	l->head = (Elf64_Ehdr){
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_phoff = sizeof(l->head), .e_ehsize = sizeof(l->head),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = l->nr < PN_XNUM ? (Elf64_Half)l->nr : PN_XNUM,
	};
	memcpy(l->head.e_ident, ELFMAG, SELFMAG);
	l->head.e_ident[EI_CLASS] = ELFCLASS64;
	l->head.e_ident[EI_DATA] = ELFDATA2LSB;
	l->head.e_ident[EI_VERSION] = EV_CURRENT;
	l->notes_pos = sizeof(l->head) + l->nr * sizeof(*l->headers);
	l->section_pos = (l->notes_pos + notes_len + 7) & ~7ULL;
	if (l->nr >= PN_XNUM) {
		l->head.e_shoff = l->section_pos;
		l->head.e_shentsize = sizeof(l->section);
		l->head.e_shnum = 1;
		l->section.sh_info = (Elf64_Word)l->nr;
	}
	l->headers[0] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = l->notes_pos,
				      .p_filesz = notes_len, .p_align = 4 };
	memory = (l->section_pos + sizeof(l->section) + CKPT_PAGE_SIZE - 1) &
		 ~(uint64_t)(CKPT_PAGE_SIZE - 1);
	return core_segments(img, p, l->headers + 1, memory, &l->end);
}

static int write_core(int fd, const char *path, const struct image *img,
		      const struct image_process *p)
{
	struct layout l = { .nr = 0 };
	struct core_notes notes;
	int rc = core_notes(&notes, img, p);

	if (rc)
		return rc;
	rc = lay_out(&l, img, p, notes.len);
	if (rc == CK_OK && ftruncate(fd, (off_t)l.end) < 0)
		rc = fail_errno(errno, "cannot write %s", path);
	if (rc == CK_OK)
		rc = core_write(fd, path, &l.head, sizeof(l.head), 0);
	if (rc == CK_OK)
		rc = core_write(fd, path, l.headers, l.nr * sizeof(*l.headers), sizeof(l.head));
	if (rc == CK_OK)
		rc = core_write(fd, path, notes.data, notes.len, l.notes_pos);
	if (rc == CK_OK && l.head.e_shnum)
		rc = core_write(fd, path, &l.section, sizeof(l.section), l.section_pos);
	if (rc == CK_OK)
		rc = core_memory(fd, path, img, p, l.headers + 1);
	free(l.headers);
	free(notes.data);
	return rc;
}

static int make_core(const char *path, const struct image *img, const struct image_process *p)
{
	/* It holds the job's memory: nobody else may read it. */
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc;

	if (fd < 0 && errno == EEXIST)
		return fail(CK_FAILED, "%s exists; remove it or name another file with -o", path);
	if (fd < 0)
		return fail_errno(errno, "cannot make %s", path);
	rc = write_core(fd, path, img, p);
	if (close(fd) < 0 && rc == CK_OK)
		rc = fail_errno(errno, "cannot write %s", path);
	if (rc) {
		unlink(path);
		return rc;
	}
	if (out_json)
		return json_print(json_pack("{s:o, s:i, s:I}", "core", json_text(path), "pid",
					    p->rec->pid, "threads", (json_int_t)p->nr_threads));
	printf("%s: process %d, %zu thread%s; debug with: gdb %s %s\n", path, p->rec->pid,
	       p->nr_threads, p->nr_threads == 1 ? "" : "s", *p->exe ? p->exe : "PROGRAM", path);
	return CK_OK;
}

static const struct image_process *find(const struct image *img, const char *text)
{
	char *end;
	long pid = strtol(text, &end, 10);
	size_t i;

	if (*text && !*end)
		for (i = 0; i < img->nr_processes; i++)
			if (img->processes[i].rec->pid == pid && !img->processes[i].relaunch)
				return &img->processes[i];
	fail(CK_NOTFOUND, "%s has no memory of a process %s; \"ckctl show\" lists its processes", img->path, text);
	return NULL;
}

int cmd_core(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		CMD_OPTIONS
	};
	const struct image_process *process;
	const char *output = NULL;
	struct image *img = NULL;
	char path[4500], name[32];
	int c, rc;

	while ((c = getopt_long(argc, argv, "o:" CMD_SHORT, options, NULL)) != -1) {
		if (c == 'o') {
			output = optarg;
			continue;
		}
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (argc - optind != 2)
		return cmd_usage(argv, "core takes an image and a pid");
	rc = cmd_image_open(&img, path, sizeof(path), argv[optind]);
	if (rc)
		return rc;
	process = find(img, argv[optind + 1]);
	if (process) {
		snprintf(name, sizeof(name), "core.%d", process->rec->pid);
		rc = make_core(output ? output : name, img, process);
	} else {
		rc = CK_NOTFOUND;
	}
	image_close(img);
	return rc;
}
