// SPDX-License-Identifier: GPL-2.0
#include "core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/user.h>

#include "../out.h"

/* The legacy area at the head of an xsave area is what NT_FPREGSET holds. */
#define FPREGSET_LEN	512

static int put(struct core_notes *n, const void *data, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;

	if (!len)
		return CK_OK;
	if (n->size - n->len < padded) {
		size_t size = 2 * (n->len + padded);
		char *bigger = realloc(n->data, size);

		if (!bigger)
			return fail(CK_FAILED, "out of memory");
		n->data = bigger;
		n->size = size;
	}
	memcpy(n->data + n->len, data, len);
	memset(n->data + n->len + len, 0, padded - len);
	n->len += padded;
	return CK_OK;
}

static int note_put(struct core_notes *n, const char *name, uint32_t type, const void *desc,
		    size_t len)
{
	Elf64_Nhdr head = {
		.n_namesz = (Elf64_Word)strlen(name) + 1,
		.n_descsz = (Elf64_Word)len,
		.n_type = type,
	};
	int rc = put(n, &head, sizeof(head));

	if (rc == CK_OK)
		rc = put(n, name, head.n_namesz);
	return rc ? rc : put(n, desc, len);
}

static int put_prstatus(struct core_notes *n, const struct image_process *p,
			const struct image_thread *t)
{
	struct elf_prstatus status = {
		.pr_sighold = t->rec->sigmask,
		.pr_pid = t->rec->tid,
		.pr_ppid = p->rec->ppid,
		.pr_pgrp = p->rec->pgid,
		.pr_sid = p->rec->sid,
		.pr_fpvalid = 1,
	};

	_Static_assert(sizeof(status.pr_reg) == sizeof(struct user_regs_struct), "NT_PRSTATUS");
	if (t->regs)	/* not of a first thread that has ended */
		memcpy(&status.pr_reg, t->regs, sizeof(status.pr_reg));
	return note_put(n, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

static int put_prpsinfo(struct core_notes *n, const struct image *img,
			const struct image_process *p)
{
	struct elf_prpsinfo info = {
		.pr_sname = 'R',
		.pr_nice = p->threads[0].sched ? (char)p->threads[0].sched->nice : 0,
		.pr_uid = p->cred->uid,
		.pr_gid = p->cred->gid,
		.pr_pid = p->rec->pid,
		.pr_ppid = p->rec->ppid,
		.pr_pgrp = p->rec->pgid,
		.pr_sid = p->rec->sid,
	};
	size_t len = p->mm->arg_end - p->mm->arg_start, i;

	memcpy(info.pr_fname, p->rec->comm, sizeof(info.pr_fname));
	if (len >= sizeof(info.pr_psargs))
		len = sizeof(info.pr_psargs) - 1;
	len = core_read(img, p, p->mm->arg_start, info.pr_psargs, len);
	for (i = 0; i + 1 < len; i++)
		if (!info.pr_psargs[i])
			info.pr_psargs[i] = ' ';
	return note_put(n, "CORE", NT_PRPSINFO, &info, sizeof(info));
}

/* NT_FILE: count, page size, a triple of addresses and page offset each, names. */
static int put_files(struct core_notes *n, const struct image_process *p)
{
	struct core_notes triples = { 0 }, names = { 0 };
	uint64_t head[2] = { 0, CKPT_PAGE_SIZE };
	size_t i, len;
	int rc;

	rc = put(&triples, head, sizeof(head));
	for (i = 0; rc == CK_OK && i < p->nr_vmas; i++) {
		const struct ckpt_rec_vma *rec = p->vmas[i].rec;
		uint64_t triple[3] = { rec->start, rec->end, rec->offset / CKPT_PAGE_SIZE };

		if (rec->kind != CKPT_VMA_FILE)
			continue;
		head[0]++;
		rc = put(&triples, triple, sizeof(triple));
		/* Names follow each other without the padding of notes. */
		len = names.len + strlen(p->vmas[i].path) + 1;
		if (rc == CK_OK)
			rc = put(&names, p->vmas[i].path, strlen(p->vmas[i].path) + 1);
		names.len = len;
	}
	if (rc == CK_OK) {
		memcpy(triples.data, head, sizeof(head));	/* with the count */
		len = triples.len + names.len;
		rc = put(&triples, names.data, names.len);
	}
	if (rc == CK_OK)
		rc = note_put(n, "CORE", NT_FILE, triples.data, len);
	free(triples.data);
	free(names.data);
	return rc;
}

static int put_thread(struct core_notes *n, const struct image *img, const struct image_process *p,
		      const struct image_thread *t)
{
	int rc = put_prstatus(n, p, t);

	if (rc == CK_OK && t == p->threads) {
		rc = put_prpsinfo(n, img, p);
		if (rc == CK_OK && p->mm->auxv_len)
			rc = note_put(n, "CORE", NT_AUXV, p->auxv, p->mm->auxv_len);
		if (rc == CK_OK)
			rc = put_files(n, p);
	}
	if (rc || !t->xstate)
		return rc;
	rc = note_put(n, "CORE", NT_FPREGSET, t->xstate, FPREGSET_LEN);
	if (rc == CK_OK)
		rc = note_put(n, "LINUX", NT_X86_XSTATE, t->xstate, t->xstate_len);
	return rc;
}

int core_notes(struct core_notes *notes, const struct image *img, const struct image_process *p)
{
	size_t i;
	int rc = CK_OK;

	memset(notes, 0, sizeof(*notes));
	for (i = 0; rc == CK_OK && i < p->nr_threads; i++)
		rc = put_thread(notes, img, p, &p->threads[i]);
	if (rc) {
		free(notes->data);
		memset(notes, 0, sizeof(*notes));
	}
	return rc;
}
