// SPDX-License-Identifier: GPL-2.0
#include "vdso_old.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/user.h>

#include "out.h"

/* movabs $target,%rax; jmp *%rax: no function changes rax before it returns. */
#define JUMP_BYTES	12
/* mov $-ENOSYS,%rax; ret */
static const unsigned char nothing[] = { 0x48, 0xc7, 0xc0, 0x100 - ENOSYS, 0xff, 0xff, 0xff, 0xc3 };

/* ---- the symbols of a vdso, which in an image may be anything ---- */

struct symbols {
	const Elf64_Sym *syms;
	size_t nr;
	const char *names;
	size_t names_len;		/* of which the last byte is 0 */
};

static bool inside(size_t len, uint64_t pos, uint64_t size)
{
	return pos <= len && size <= len - pos && pos % 8 == 0;
}

static bool find_symbols(const void *elf, size_t len, struct symbols *s)
{
	const Elf64_Ehdr *head = elf;
	const Elf64_Shdr *sections, *names;
	size_t i;

	if (len < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
	    head->e_shentsize != sizeof(*sections) ||
	    !inside(len, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*sections)))
		return false;
	sections = (const void *)((const char *)elf + head->e_shoff);
	for (i = 0; i < head->e_shnum && sections[i].sh_type != SHT_DYNSYM; i++)
		;
	if (i == head->e_shnum || sections[i].sh_link >= head->e_shnum)
		return false;
	names = &sections[sections[i].sh_link];
	if (!inside(len, sections[i].sh_offset, sections[i].sh_size) ||
	    !inside(len, names->sh_offset & ~7ULL, names->sh_size + (names->sh_offset & 7)) ||
	    !names->sh_size)
		return false;
	s->syms = (const void *)((const char *)elf + sections[i].sh_offset);
	s->nr = sections[i].sh_size / sizeof(*s->syms);
	s->names = (const char *)elf + names->sh_offset;
	s->names_len = names->sh_size;
	return s->names[s->names_len - 1] == '\0';
}

static const char *function_name(const struct symbols *s, size_t i)
{
	static const char prefix[] = "__vdso_";
	const Elf64_Sym *sym = &s->syms[i];

	if (ELF64_ST_TYPE(sym->st_info) != STT_FUNC || sym->st_name >= s->names_len ||
	    strncmp(s->names + sym->st_name, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	return s->names + sym->st_name;
}

static int64_t find_function(const struct symbols *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->nr; i++) {
		const char *this = function_name(s, i);

		if (this && strcmp(this, name) == 0)
			return (int64_t)s->syms[i].st_value;
	}
	return -1;
}

/* ---- before there are processes ---- */

static int plan_jumps(struct vdso_old *old, const struct symbols *then, const struct symbols *now)
{
	size_t i;

	for (i = 0; i < then->nr; i++) {
		const char *name = function_name(then, i);
		const Elf64_Sym *sym = &then->syms[i];

		if (!name)
			continue;
		if (old->nr_jumps == VDSO_MAX_FUNCTIONS || sym->st_size < JUMP_BYTES ||
		    sym->st_value > old->len || sym->st_size > old->len - sym->st_value)
			return CK_REFUSED;
		old->jumps[old->nr_jumps++] = (struct vdso_jump){
			.from = (uint32_t)sym->st_value, .to = find_function(now, name),
		};
	}
	return CK_OK;
}

int vdso_old_look(struct vdso_old *old, const struct image *image)
{
	struct symbols then, now;
	struct vdso text;
	char hash[40];
	int rc = vdso_hash(hash, sizeof(hash));

	*old = (struct vdso_old){ .used = rc == CK_OK && strcmp(hash, image->meta.vdso) != 0 };
	if (rc || !old->used)
		return rc;
	old->code = image->vdso;
	old->len = image->vdso_len;
	rc = vdso_text(&text);
	if (rc)
		return rc;
	if (!old->code || !find_symbols(old->code, old->len, &then) ||
	    !find_symbols((const void *)text.start, text.end - text.start, &now) ||
	    plan_jumps(old, &then, &now))
		return fail(CK_REFUSED, "the image was saved under kernel %s, whose code that programs "
			    "use (vdso) cannot be replaced by this kernel's; restart it there",
			    image->meta.kernel);
	return CK_OK;
}

/* ---- where it goes ---- */

static bool is_free(const struct image_process *p, uint64_t start, uint64_t end)
{
	size_t i;

	if (start >= end || end > 1ULL << 47)
		return false;
	for (i = 0; i < p->nr_vmas; i++)
		if (p->vmas[i].rec->kind != CKPT_VMA_VDSO && p->vmas[i].rec->start < end &&
		    p->vmas[i].rec->end > start)
			return false;
	return true;
}

/* Where the old code was: the executable part. */
static uint64_t old_code_at(const struct image_process *p, size_t len)
{
	size_t i;

	for (i = 0; i < p->nr_vmas; i++) {
		const struct ckpt_rec_vma *vma = p->vmas[i].rec;

		if (vma->kind == CKPT_VMA_VDSO && vma->prot & PROT_EXEC && vma->end - vma->start == len)
			return vma->start;
	}
	return 0;
}

static uint64_t ip_of(const struct image_thread *t)
{
	return ((const struct user_regs_struct *)t->regs)->rip;
}

/* A thread that is in the middle of the old code cannot be in the middle of another. */
static const struct image_thread *thread_inside(const struct image_process *p, uint64_t start,
						uint64_t end)
{
	size_t i;

	for (i = 0; i < p->nr_threads; i++) {
		const struct image_thread *t = &p->threads[i];

		if (t->regs && ip_of(t) >= start && ip_of(t) < end)
			return t;
	}
	return NULL;
}

int vdso_old_place(const struct vdso_old *old, const struct image_process *p,
		   const struct vdso *own, struct vdso_place *place)
{
	const struct vdso then = { p->mm->vdso_start, p->mm->vdso_end };
	uint64_t size = own->end - own->start;
	const struct image_thread *t;

	*place = (struct vdso_place){ .kept = then, .then = then, .own = then.start };
	if (!then.end || !old->used)
		return CK_OK;
	place->code = old_code_at(p, old->len);
	if (!place->code)
		return fail(CK_REFUSED, "process %d (%.15s) has a vdso of another kind than its kernel's",
			    p->rec->pid, p->rec->comm);
	t = thread_inside(p, then.start, then.end);
	if (t)
		return fail(CK_REFUSED, "thread %d of process %d (%.15s) was asking the old kernel for "
			    "the time at that very moment; restart it under that kernel, or from "
			    "another checkpoint", t->rec->tid, p->rec->pid, p->rec->comm);
	if (is_free(p, then.end, then.end + size)) {
		place->own = then.end;
		place->kept.end += size;
	} else if (then.start > size && is_free(p, then.start - size, then.start)) {
		place->own = then.start - size;
		place->kept.start = place->own;
	} else {
		return fail(CK_REFUSED, "process %d (%.15s) has no room beside its vdso for that of "
			    "this kernel", p->rec->pid, p->rec->comm);
	}
	return CK_OK;
}

/* ---- in the skeleton ---- */

static void write_jump(unsigned char *at, uint64_t target)
{
	at[0] = 0x48;
	at[1] = 0xb8;
	memcpy(at + 2, &target, sizeof(target));
	at[10] = 0xff;
	at[11] = 0xe0;
}

int vdso_old_put(const struct vdso_old *old, const struct vdso_place *place, uint64_t own_code)
{
	unsigned char *code = (unsigned char *)place->code;
	size_t i;

	if (!code)
		return 0;
	/* What was the old kernel's data is for nobody to read. */
	if (munmap((void *)place->then.start, place->then.end - place->then.start) < 0)
		return -errno;
	if (mmap(code, old->len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return -errno;
	memcpy(code, old->code, old->len);
	for (i = 0; i < old->nr_jumps; i++) {
		if (old->jumps[i].to >= 0)
			write_jump(code + old->jumps[i].from, own_code + (uint64_t)old->jumps[i].to);
		else
			memcpy(code + old->jumps[i].from, nothing, sizeof(nothing));
	}
	return mprotect(code, old->len, PROT_READ | PROT_EXEC) < 0 ? -errno : 0;
}
