// SPDX-License-Identifier: GPL-2.0
/* Kinds of mappings and of a whole memory (CKPT_REC_VMA, CKPT_REC_MM). */
#include "kinds.h"

#include <elf.h>
#include <linux/ckpt_image.h>
#include <string.h>
#include <sys/mman.h>

static enum verdict no_vma_flags(void *payload, uint32_t flags)
{
	struct ckpt_rec_vma *v = payload;

	SET(v->flags, v->flags & ~flags);
	return KEEP;
}

/* Each flag of a mapping is a kind of its own. */
#define NO_VMA_FLAGS(name, flags)				\
	static enum verdict name(void *payload, uint64_t *len)	\
	{							\
		(void)len;					\
		return no_vma_flags(payload, flags);		\
	}

NO_VMA_FLAGS(no_mlock, MAP_LOCKED | CKPT_VMA_LOCKONFAULT)
NO_VMA_FLAGS(no_mlock_onfault, CKPT_VMA_LOCKONFAULT)
NO_VMA_FLAGS(no_mergeable, CKPT_VMA_MERGEABLE)
NO_VMA_FLAGS(no_sequential, CKPT_VMA_SEQUENTIAL)
NO_VMA_FLAGS(no_random, CKPT_VMA_RANDOM)
NO_VMA_FLAGS(no_dontfork, CKPT_VMA_DONTFORK)
NO_VMA_FLAGS(no_wipeonfork, CKPT_VMA_WIPEONFORK)
NO_VMA_FLAGS(no_dontdump, CKPT_VMA_DONTDUMP)
NO_VMA_FLAGS(no_hugepage, CKPT_VMA_HUGEPAGE)
NO_VMA_FLAGS(no_nohugepage, CKPT_VMA_NOHUGEPAGE)
NO_VMA_FLAGS(no_growsdown, MAP_GROWSDOWN)

/* What prctl(2) and /proc set for the whole memory. */
static enum verdict no_mm_flags(void *payload, uint32_t flags)
{
	struct ckpt_rec_mm *m = payload;

	SET(m->flags, m->flags & ~flags);
	return KEEP;
}

static enum verdict no_lock_future(void *payload, uint64_t *len)
{
	(void)len;
	return no_mm_flags(payload, CKPT_MM_LOCK_FUTURE | CKPT_MM_LOCK_ONFAULT);
}

static enum verdict no_thp_disable(void *payload, uint64_t *len)
{
	(void)len;
	return no_mm_flags(payload, CKPT_MM_NO_THP);
}

static enum verdict no_coredump_filter(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_mm *)payload)->coredump_filter, 0x33);
	return KEEP;
}

/* 1 is what every program begins with. */
static enum verdict no_dumpable(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_mm *)payload)->dumpable, 1);
	return KEEP;
}

/* The last of them is lost to /proc/PID/cmdline. */
static enum verdict no_arguments(void *payload, uint64_t *len)
{
	struct ckpt_rec_mm *m = payload;

	(void)len;
	SET(m->arg_end, m->arg_start + 1);
	return KEEP;
}

static enum verdict no_environment(void *payload, uint64_t *len)
{
	struct ckpt_rec_mm *m = payload;

	(void)len;
	SET(m->env_end, m->env_start + 1);
	return KEEP;
}

/* As /proc/PID/auxv shows it: another page size. */
static enum verdict no_auxv(void *payload, uint64_t *len)
{
	struct ckpt_rec_mm *m = payload;
	Elf64_auxv_t *a = (Elf64_auxv_t *)(m + 1);

	(void)len;
	for (uint32_t i = 0; i < m->auxv_len / sizeof(*a); i++)
		if (a[i].a_type == AT_PAGESZ)
			SET(a[i].a_un.a_val, 8192);
	return KEEP;
}

/* Another program's. */
static enum verdict no_exe(void *payload, uint64_t *len)
{
	static const char other[] = "/bin/true";
	struct ckpt_rec_mm *m = payload;
	char *exe = (char *)(m + 1) + m->auxv_len;

	if (m->exe_len < sizeof(other))
		return KEEP;
	*len -= m->exe_len - strlen(other);
	m->exe_len = (uint32_t)strlen(other);
	memcpy(exe, other, strlen(other));
	nr_changed++;
	return KEEP;
}

const struct kind memory_kinds[] = {
	{ "mlock", CKPT_REC_VMA, no_mlock },
	{ "mlock-onfault", CKPT_REC_VMA, no_mlock_onfault },
	{ "mergeable", CKPT_REC_VMA, no_mergeable },
	{ "sequential", CKPT_REC_VMA, no_sequential },
	{ "random", CKPT_REC_VMA, no_random },
	{ "dontfork", CKPT_REC_VMA, no_dontfork },
	{ "wipeonfork", CKPT_REC_VMA, no_wipeonfork },
	{ "dontdump", CKPT_REC_VMA, no_dontdump },
	{ "hugepage", CKPT_REC_VMA, no_hugepage },
	{ "nohugepage", CKPT_REC_VMA, no_nohugepage },
	{ "growsdown", CKPT_REC_VMA, no_growsdown },
	{ "lock-future", CKPT_REC_MM, no_lock_future },
	{ "thp-disable", CKPT_REC_MM, no_thp_disable },
	{ "coredump-filter", CKPT_REC_MM, no_coredump_filter },
	{ "dumpable", CKPT_REC_MM, no_dumpable },
	{ "arguments", CKPT_REC_MM, no_arguments },
	{ "environment", CKPT_REC_MM, no_environment },
	{ "auxv", CKPT_REC_MM, no_auxv },
	{ "exe", CKPT_REC_MM, no_exe },
	{ 0 }
};
