// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: the fields that prctl(PR_SET_MM_MAP) can set, the program's path, and
 * each mapping with what backs it, its locks and advice.  Not saved: NUMA policies
 * (mbind), which name nodes of the machine that the job ran on, and names of
 * mappings (PR_SET_VMA), which are for people.  The vdso is recorded but never saved: it
 * belongs to the kernel that runs.
 *
 * Refused: mappings whose contents are not ordinary memory or a file that can be
 * opened again.
 *
 * Restored here, in the context of the process itself and with its own rights:
 * all mappings but the vdso are dropped, those of the plan made.  The fields are
 * set by the skeleton with prctl(2).  Locked memory needs the rights that
 * mlock(2) asks for.
 */
#include "state/mm.h"
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb_inline.h>
#include <linux/kdev_t.h>
#include <linux/ksm.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pkeys.h>
#include <linux/sched/coredump.h>
#include <linux/sched/mm.h>
#include <linux/stat.h>
#include <linux/userfaultfd_k.h>
#include <asm/mman.h>
#include "compat/mapping.h"
#include "report.h"
#include "shm.h"
#include "state/mapped.h"
#include "state/state.h"

/* A mapping's flags, as the kernel, mmap(2) and the image name them. */
static const struct {
	unsigned long vm;
	u32 flag;
} vma_flags[] = {
	{ VM_GROWSDOWN, MAP_GROWSDOWN },
	{ VM_NORESERVE, MAP_NORESERVE },
	{ VM_LOCKED, MAP_LOCKED },
	{ VM_DONTCOPY, CKPT_VMA_DONTFORK },
	{ VM_WIPEONFORK, CKPT_VMA_WIPEONFORK },
	{ VM_DONTDUMP, CKPT_VMA_DONTDUMP },
	{ VM_HUGEPAGE, CKPT_VMA_HUGEPAGE },
	{ VM_NOHUGEPAGE, CKPT_VMA_NOHUGEPAGE },
	{ VM_SEQ_READ, CKPT_VMA_SEQUENTIAL },
	{ VM_RAND_READ, CKPT_VMA_RANDOM },
	{ VM_MERGEABLE, CKPT_VMA_MERGEABLE },
	{ VM_LOCKONFAULT, CKPT_VMA_LOCKONFAULT },
	{ VM_DROPPABLE, CKPT_VMA_DROPPABLE },
};

#define PLAN_FLAGS	(MAP_PRIVATE | MAP_SHARED | MAP_GROWSDOWN | MAP_NORESERVE | MAP_LOCKED | \
			 MAP_STACK | CKPT_VMA_ADVICE)
/* What is not there from the beginning. */
#define PLAN_ADVICE	(CKPT_VMA_ADVICE & ~CKPT_VMA_LOCKONFAULT)
#define PLAN_MM_FLAGS	(CKPT_MM_LOCK_FUTURE | CKPT_MM_LOCK_ONFAULT)
#define PLAN_PROT	(PROT_READ | PROT_WRITE | PROT_EXEC)

static bool is_vdso(struct vm_area_struct *vma)
{
	const char *name;

	if (vma->vm_file || !vma->vm_ops || !vma->vm_ops->name)
		return false;
	name = vma->vm_ops->name(vma);
	return name && (!strcmp(name, "[vdso]") || !strncmp(name, "[vvar", 5));
}

/* A file that the user can open by its path; not one of the kernel's own. */
static bool has_path(const struct file *file)
{
	return file_inode(file)->i_nlink && !d_unlinked(file->f_path.dentry) &&
	       !(file->f_path.mnt->mnt_flags & MNT_INTERNAL);
}

static const char *file_obstacle(const struct file *file, enum ckpt_vma_kind *kind)
{
	const struct inode *inode = file_inode(file);

	if (inode->i_sb->s_magic == SECRETMEM_MAGIC)
		return "secret memory (memfd_secret)";
	if (S_ISCHR(inode->i_mode) || S_ISBLK(inode->i_mode))
		return "memory of a device";
	if (!S_ISREG(inode->i_mode))
		return "memory of a kernel object (socket, ring, perf or similar)";
	if (has_path(file)) {
		*kind = CKPT_VMA_FILE;
		return NULL;
	}
	/* The same inode with operations of its own. */
	if (inode->i_sb->s_magic == TMPFS_MAGIC && file->f_op != inode->i_fop)
		return "System V shared memory";
	if (inode->i_nlink && !(file->f_path.mnt->mnt_flags & MNT_INTERNAL))
		return "a file that was deleted, but that has another name still";
	if (inode->i_sb->s_magic != TMPFS_MAGIC && !ckpt_shm_is_removed(file))
		return "a file that has no path";
	*kind = CKPT_VMA_SHM;
	return NULL;
}

/* What a mapping is, or why it cannot be saved. */
static const char *vma_obstacle(struct vm_area_struct *vma, enum ckpt_vma_kind *kind)
{
	if (is_vdso(vma)) {
		*kind = CKPT_VMA_VDSO;
		return NULL;
	}
	if (is_vm_hugetlb_page(vma))
		return "huge pages of hugetlbfs";
	if (vma->vm_flags & (VM_PFNMAP | VM_IO | VM_MIXEDMAP))
		return "memory of a device";
	if (vma->vm_userfaultfd_ctx.ctx)
		return "memory watched by userfaultfd";
	if (vma->vm_flags & VM_SEALED)
		return "memory sealed with mseal";
	if (vma->vm_flags & VM_SHADOW_STACK)
		return "a shadow stack";
	if (vma_pkey(vma))
		return "memory with a protection key";
	/* Private mappings of /dev/zero are anonymous, too. */
	if (vma_is_anonymous(vma)) {
		*kind = CKPT_VMA_ANON;
		return NULL;
	}
	if (!vma->vm_file)
		return "a special mapping of the kernel";
	return file_obstacle(vma->vm_file, kind);
}

static struct vm_area_struct *first_vma(struct mm_struct *mm)
{
	return find_vma(mm, 0);
}

static struct vm_area_struct *next_vma(struct mm_struct *mm, const struct vm_area_struct *vma)
{
	return find_vma(mm, vma->vm_end);
}

/* More than there are kinds of obstacles. */
#define MAX_KINDS	16

static bool is_new(const char *why, const char **named, unsigned int *nr)
{
	unsigned int i;

	for (i = 0; i < *nr; i++)
		if (named[i] == why)
			return false;
	if (*nr < MAX_KINDS)
		named[(*nr)++] = why;
	return true;
}

static int mm_check(struct ckpt_session *s, struct ckpt_process *p)
{
	const char *named[MAX_KINDS], *why;
	struct vm_area_struct *vma;
	enum ckpt_vma_kind kind;
	unsigned int nr = 0;

	mmap_read_lock(p->mm);
	for (vma = first_vma(p->mm); vma; vma = next_vma(p->mm, vma)) {
		why = vma_obstacle(vma, &kind);
		if (why && is_new(why, named, &nr))
			ckpt_obstacle(s, -EOPNOTSUPP, p->leader,
				      "at address 0x%lx it has mapped what cannot be saved: %s",
				      vma->vm_start, why);
	}
	mmap_read_unlock(p->mm);
	return 0;
}

/**
 * struct mm_dump - one process's memory map being recorded
 * @s: the session
 * @p: the process
 * @rec: its record
 * @path: PATH_MAX bytes
 */
struct mm_dump {
	struct ckpt_session *s;
	struct ckpt_process *p;
	struct ckpt_rec_mm *rec;
	char *path;
};

static void fill_vma(struct ckpt_rec_vma *rec, const struct vm_area_struct *vma,
		     enum ckpt_vma_kind kind)
{
	unsigned int i;

	rec->kind = kind;
	rec->start = vma->vm_start;
	rec->end = vma->vm_end;
	rec->prot = (vma->vm_flags & VM_READ ? PROT_READ : 0) |
		    (vma->vm_flags & VM_WRITE ? PROT_WRITE : 0) |
		    (vma->vm_flags & VM_EXEC ? PROT_EXEC : 0);
	rec->flags = vma->vm_flags & VM_MAYSHARE ? MAP_SHARED : MAP_PRIVATE;
	if (kind == CKPT_VMA_VDSO)
		return;
	for (i = 0; i < ARRAY_SIZE(vma_flags); i++)
		if (vma->vm_flags & vma_flags[i].vm)
			rec->flags |= vma_flags[i].flag;
	if (kind != CKPT_VMA_ANON)
		rec->offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
}

static int record_vma(struct mm_dump *d, struct vm_area_struct *vma)
{
	enum ckpt_vma_kind kind;
	struct ckpt_rec_vma *rec;
	u64 object = 0;
	int ret;

	if (vma_obstacle(vma, &kind))
		return ckpt_fail(d->s, -EOPNOTSUPP, CKPT_REASON_UNSUPPORTED, d->p->leader,
				 "its memory map changed during the checkpoint: try again");
	if (kind == CKPT_VMA_SHM) {
		ret = ckpt_shm_id(d->s, vma, &object);
		if (ret)
			return ret;
	}
	if (kind == CKPT_VMA_FILE)
		rec = ckpt_mapped_record(d->s, d->p->leader, vma->vm_file, d->path);
	else
		rec = ckpt_records_add(&d->s->records, CKPT_REC_VMA, sizeof(*rec));
	if (!rec)
		return ckpt_fail(d->s, -ENOMEM, CKPT_REASON_NOMEM, d->p->leader,
				 "no memory for the records of its memory map");
	fill_vma(rec, vma, kind);
	rec->object = object;
	if (kind == CKPT_VMA_FILE) {
		rec->file_writable = (vma->vm_flags & VM_MAYSHARE) && (vma->vm_flags & VM_MAYWRITE);
	} else if (kind == CKPT_VMA_VDSO) {
		if (!d->rec->vdso_start)
			d->rec->vdso_start = vma->vm_start;
		d->rec->vdso_end = vma->vm_end;
	}
	d->rec->nr_vmas++;
	return 0;
}

/* Bytes of the auxiliary vector, AT_NULL included. */
static u32 auxv_len(const struct mm_struct *mm)
{
	unsigned int i;

	for (i = 0; i + 2 < ARRAY_SIZE(mm->saved_auxv) && mm->saved_auxv[i] != AT_NULL; i += 2)
		;
	return (i + 2) * sizeof(mm->saved_auxv[0]);
}

static int dump_fields(struct mm_dump *d, struct mm_struct *mm)
{
	struct file *exe = rcu_dereference_protected(mm->exe_file, lockdep_is_held(&mm->mmap_lock));
	const char *name = exe ? d_path(ckpt_user_path(exe), d->path, PATH_MAX) : "";
	u32 auxv = auxv_len(mm);
	struct ckpt_rec_mm *rec;

	if (IS_ERR(name))
		return ckpt_fail(d->s, PTR_ERR(name), CKPT_REASON_UNSUPPORTED, d->p->leader,
				 "the path of its program is too long");
	rec = ckpt_records_add(&d->s->records, CKPT_REC_MM, sizeof(*rec) + auxv + strlen(name));
	if (!rec)
		return ckpt_fail(d->s, -ENOMEM, CKPT_REASON_NOMEM, d->p->leader,
				 "no memory for the records of its memory map");
	spin_lock(&mm->arg_lock);
	rec->start_code = mm->start_code;
	rec->end_code = mm->end_code;
	rec->start_data = mm->start_data;
	rec->end_data = mm->end_data;
	rec->start_brk = mm->start_brk;
	rec->brk = mm->brk;
	rec->start_stack = mm->start_stack;
	rec->arg_start = mm->arg_start;
	rec->arg_end = mm->arg_end;
	rec->env_start = mm->env_start;
	rec->env_end = mm->env_end;
	spin_unlock(&mm->arg_lock);
	rec->dumpable = get_dumpable(mm);
	if (mm->def_flags & VM_LOCKED)
		rec->flags |= CKPT_MM_LOCK_FUTURE;
	if (mm->def_flags & VM_LOCKONFAULT)
		rec->flags |= CKPT_MM_LOCK_ONFAULT;
	if (test_bit(MMF_DISABLE_THP, &mm->flags))
		rec->flags |= CKPT_MM_NO_THP;
	rec->coredump_filter = (mm->flags & MMF_DUMP_FILTER_MASK) >> MMF_DUMP_FILTER_SHIFT;
	rec->auxv_len = auxv;
	rec->exe_len = strlen(name);
	memcpy(rec + 1, mm->saved_auxv, auxv);
	memcpy((u8 *)(rec + 1) + auxv, name, rec->exe_len);
	d->rec = rec;
	return 0;
}

static int mm_dump(struct ckpt_session *s, struct ckpt_process *p)
{
	struct mm_dump d = { .s = s, .p = p };
	struct vm_area_struct *vma;
	int ret;

	d.path = __getname();
	if (!d.path)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, p->leader,
				 "no memory for the records of its memory map");
	mmap_read_lock(p->mm);
	ret = dump_fields(&d, p->mm);
	for (vma = first_vma(p->mm); vma && !ret; vma = next_vma(p->mm, vma))
		ret = record_vma(&d, vma);
	mmap_read_unlock(p->mm);
	__putname(d.path);
	return ret;
}

static bool bad_range(u64 start, u64 end)
{
	return start > end || end > TASK_SIZE || !PAGE_ALIGNED(start) || !PAGE_ALIGNED(end);
}

static const char *plan_vma_fault(const struct ckpt_plan *plan, const struct ckpt_plan_vma *v)
{
	u32 type = v->flags & (MAP_PRIVATE | MAP_SHARED);

	if (v->start == v->end || bad_range(v->start, v->end) || !PAGE_ALIGNED(v->offset))
		return "its range is not valid";
	if (v->start < plan->vdso_end && v->end > plan->vdso_start)
		return "it covers the vdso";
	if (v->prot & ~PLAN_PROT || v->flags & ~PLAN_FLAGS || v->pad)
		return "its flags are not known";
	if (type != MAP_PRIVATE && type != MAP_SHARED)
		return "it is neither private nor shared";
	if (v->fd < 0 && (type == MAP_SHARED || v->offset))
		return "it lacks a file";
	if (v->flags & (MAP_GROWSDOWN | CKPT_VMA_WIPEONFORK | CKPT_VMA_DROPPABLE) && v->fd >= 0)
		return "its flags do not go with a file";
	if ((v->flags & CKPT_VMA_LOCKONFAULT && !(v->flags & MAP_LOCKED)) ||
	    (v->flags & CKPT_VMA_DROPPABLE && v->flags & (MAP_LOCKED | MAP_GROWSDOWN)))
		return "its flags contradict each other";
	return NULL;
}

/**
 * ckpt_mm_check_plan() - is a plan sound, before anything is touched?
 * @s: the session
 * @plan: the plan
 * @vmas: its mappings
 *
 * Return: 0 or a noted failure.
 */
int ckpt_mm_check_plan(struct ckpt_session *s, const struct ckpt_plan *plan,
		       const struct ckpt_plan_vma *vmas)
{
	const char *why;
	u64 end = 0;
	u32 i;

	if (plan->flags & ~PLAN_MM_FLAGS || plan->flags == CKPT_MM_LOCK_ONFAULT)
		return ckpt_fail(s, -EINVAL, CKPT_REASON_IMAGE, current,
				 "the restart plan has flags that are not known");
	if (bad_range(plan->vdso_start, plan->vdso_end))
		return ckpt_fail(s, -EINVAL, CKPT_REASON_IMAGE, current,
				 "the range of the vdso in the restart plan is not valid");
	for (i = 0; i < plan->nr_vmas; i++) {
		why = plan_vma_fault(plan, &vmas[i]);
		if (!why && vmas[i].start < end)
			why = "it is out of order or overlaps another one";
		if (why)
			return ckpt_fail(s, -EINVAL, CKPT_REASON_IMAGE, current,
					 "mapping 0x%llx-0x%llx of the restart plan is refused: %s",
					 vmas[i].start, vmas[i].end, why);
		end = vmas[i].end;
	}
	return 0;
}

/* More than a flag: the mm has to be known to the merger, too. */
static int advise_merge(struct vm_area_struct *vma)
{
	vm_flags_t flags = vma->vm_flags;
	int ret = ksm_madvise(vma, vma->vm_start, vma->vm_end, MADV_MERGEABLE, &flags);

	if (!ret)
		vm_flags_set(vma, flags & VM_MERGEABLE);
	return ret;
}

/* What mmap(2) takes no flag for; the mapping has merged with no other. */
static int advise(const struct ckpt_plan_vma *v)
{
	struct vm_area_struct *vma;
	unsigned int i;
	int ret = 0;

	mmap_write_lock(current->mm);
	vma = find_vma(current->mm, v->start);
	if (!vma || vma->vm_start != v->start || vma->vm_end != v->end)
		ret = -EFAULT;
	for (i = 0; i < ARRAY_SIZE(vma_flags) && !ret; i++) {
		if (!(v->flags & PLAN_ADVICE & vma_flags[i].flag))
			continue;
		if (vma_flags[i].vm == VM_MERGEABLE)
			ret = advise_merge(vma);
		else
			vm_flags_set(vma, vma_flags[i].vm);
	}
	mmap_write_unlock(current->mm);
	return ret;
}

/* What mappings made from now on are born with. */
static void set_default_lock(unsigned long flags)
{
	struct mm_struct *mm = current->mm;

	mmap_write_lock(mm);
	mm->def_flags = (mm->def_flags & ~(VM_LOCKED | VM_LOCKONFAULT)) | flags;
	mmap_write_unlock(mm);
}

/* mmap(2) would fault all pages in of what is to be locked only when it is touched. */
static unsigned long map_range(struct file *file, const struct ckpt_plan_vma *v, unsigned long flags)
{
	unsigned long addr;

	if (v->flags & CKPT_VMA_LOCKONFAULT)
		set_default_lock(VM_LOCKED | VM_LOCKONFAULT);
	addr = vm_mmap(file, v->start, v->end - v->start, v->prot, flags, v->offset);
	if (v->flags & CKPT_VMA_LOCKONFAULT)
		set_default_lock(0);
	return addr;
}

static int map_one(struct ckpt_session *s, const struct ckpt_plan_vma *v)
{
	unsigned long flags = (v->flags & ~CKPT_VMA_ADVICE) | MAP_FIXED;
	struct file *file = NULL;
	unsigned long addr;
	int ret;

	if (v->fd >= 0) {
		file = fget(v->fd);
		if (!file)
			return ckpt_fail(s, -EBADF, CKPT_REASON_IMAGE, current,
					 "the file of mapping 0x%llx is not open", v->start);
	} else {
		flags |= MAP_ANONYMOUS;
	}
	addr = -EINVAL;
	/* Pages of another size, which would be filled wrongly. */
	if (!file || file_inode(file)->i_sb->s_magic != HUGETLBFS_MAGIC)
		addr = map_range(file, v, flags);
	ret = IS_ERR_VALUE(addr) ? (long)addr : 0;
	if (!ret && v->flags & PLAN_ADVICE)
		ret = advise(v);
	if (ret && v->flags & MAP_LOCKED && (ret == -EAGAIN || ret == -EPERM))
		ckpt_fail(s, ret, CKPT_REASON_IMAGE, current,
			  "memory at 0x%llx-0x%llx cannot be locked again: its limit of locked memory (ulimit -l) is too low here",
			  v->start, v->end);
	if (!file)
		return !ret ? 0 :
		       ckpt_fail(s, ret, CKPT_REASON_IMAGE, current,
				 "memory at 0x%llx-0x%llx cannot be mapped (error %d)",
				 v->start, v->end, -ret);
	if (ret)
		ckpt_fail(s, ret, CKPT_REASON_IMAGE, current,
			  "%pD cannot be mapped at 0x%llx-0x%llx (error %d)",
			  file, v->start, v->end, -ret);
	fput(file);
	return ret;
}

/* In two goes: an ordinary mapping would merge with one that has yet to be advised. */
static int map_all(struct ckpt_session *s, const struct ckpt_plan *plan,
		   const struct ckpt_plan_vma *vmas, bool advised)
{
	int ret = 0;
	u32 i;

	for (i = 0; i < plan->nr_vmas && !ret; i++) {
		if (!!(vmas[i].flags & CKPT_VMA_ADVICE) != advised)
			continue;
		if (fatal_signal_pending(current) || ckpt_session_stopped(s))
			return -EINTR;
		ret = map_one(s, &vmas[i]);
		cond_resched();
	}
	return ret;
}

/**
 * ckpt_mm_replace() - drop current's memory and map the plan's
 * @s: the session
 * @plan: the plan, checked
 * @vmas: its mappings
 *
 * Context: a task work of the only running thread of the process.
 *
 * Return: 0, or a failure after which the process must die.
 */
int ckpt_mm_replace(struct ckpt_session *s, const struct ckpt_plan *plan,
		    const struct ckpt_plan_vma *vmas)
{
	int ret = 0;

	if (plan->vdso_start)
		ret = vm_munmap(0, plan->vdso_start);
	if (!ret && plan->vdso_end < TASK_SIZE)
		ret = vm_munmap(plan->vdso_end, TASK_SIZE - plan->vdso_end);
	if (ret)
		return ckpt_fail(s, ret, CKPT_REASON_IMAGE, current,
				 "its former memory cannot be unmapped (error %d)", -ret);
	ret = map_all(s, plan, vmas, true);
	if (!ret)
		ret = map_all(s, plan, vmas, false);
	if (ret || !(plan->flags & CKPT_MM_LOCK_FUTURE))
		return ret;
	if (!can_do_mlock())
		return ckpt_fail(s, -EPERM, CKPT_REASON_PERM, current,
				 "it had locked all future memory (mlockall), which it may not do here (ulimit -l)");
	set_default_lock(VM_LOCKED | (plan->flags & CKPT_MM_LOCK_ONFAULT ? VM_LOCKONFAULT : 0));
	return 0;
}

static bool is_noexec(const struct file *file)
{
	return file->f_path.mnt->mnt_flags & MNT_NOEXEC ||
	       file_inode(file)->i_sb->s_iflags & SB_I_NOEXEC;
}

/**
 * ckpt_mm_set_exe() - set what /proc/PID/exe shows
 * @s: the session
 * @fd: the program, open in current; -1 to leave it as it is
 *
 * The rule of prctl(PR_SET_MM_EXE_FILE): the session's owner needs
 * CAP_CHECKPOINT_RESTORE, and current must be able to execute the file.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_mm_set_exe(struct ckpt_session *s, int fd)
{
	struct file *file;
	int ret;

	if (fd < 0)
		return 0;
	if (!s->may_set_exe)
		return ckpt_fail(s, -EPERM, CKPT_REASON_PERM, current,
				 "setting its program file needs CAP_CHECKPOINT_RESTORE");
	file = fget(fd);
	if (!file)
		return ckpt_fail(s, -EBADF, CKPT_REASON_IMAGE, current,
				 "the file of its program is not open");
	ret = -EACCES;
	if (S_ISREG(file_inode(file)->i_mode) && !is_noexec(file))
		ret = file_permission(file, MAY_EXEC);
	if (!ret)
		ret = ckpt_exe_file_replace(file);
	if (!ret)
		return 0;
	ckpt_fail(s, ret, CKPT_REASON_IMAGE, current,
		  "its program %pD cannot be executed any more, or is open for writing (error %d)",
		  file, -ret);
	fput(file);
	return ret;
}

const struct ckpt_state_ops ckpt_mm_ops = {
	.name = "memory map",
	.check = mm_check,
	.dump = mm_dump,
};
