// SPDX-License-Identifier: GPL-2.0
/* Kind by kind: neutral values instead of the saved ones. */
#include "kinds.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt_image.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/user.h>

unsigned int nr_changed;

static enum verdict drop(void *payload, uint64_t *len)
{
	(void)payload;
	(void)len;
	nr_changed++;
	return DROP;
}

/* All components in their initial state. */
static enum verdict no_xstate(void *payload, uint64_t *len)
{
	uint16_t fcw = 0x37f;
	uint32_t mxcsr = 0x1f80;

	memset(payload, 0, *len);
	memcpy(payload, &fcw, sizeof(fcw));
	memcpy((char *)payload + 24, &mxcsr, sizeof(mxcsr));
	nr_changed++;
	return KEEP;
}

static enum verdict no_registers(void *payload, uint64_t *len)
{
	struct user_regs_struct *r = payload;

	(void)len;
	SET(r->r8, 0);
	SET(r->r15, 0);
	return KEEP;
}

static enum verdict no_gs_base(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct user_regs_struct *)payload)->gs_base, 0);
	return KEEP;
}

/* What was to go on sleeping ends with EINTR, as after any other stop. */
static enum verdict no_system_calls(void *payload, uint64_t *len)
{
	struct user_regs_struct *r = payload;
	long code = -(long)r->rax;

	(void)len;
	/* ERESTARTSYS to ERESTART_RESTARTBLOCK of the kernel's linux/errno.h */
	if ((long)r->orig_rax >= 0 && code >= 512 && code <= 516) {
		SET(r->rax, (unsigned long long)-EINTR);
		r->orig_rax = ~0ULL;
	}
	return KEEP;
}

static enum verdict no_sigmask(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_thread *)payload)->sigmask, 0);
	return KEEP;
}

static enum verdict no_altstack(void *payload, uint64_t *len)
{
	struct ckpt_rec_thread *t = payload;

	(void)len;
	SET(t->sas_sp, 0);
	SET(t->sas_size, 0);
	t->sas_flags = SS_DISABLE;
	return KEEP;
}

static enum verdict no_robust_list(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_thread *)payload)->robust_list, 0);
	return KEEP;
}

static enum verdict no_clear_child_tid(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_thread *)payload)->clear_child_tid, 0);
	return KEEP;
}

static enum verdict no_rseq(void *payload, uint64_t *len)
{
	struct ckpt_rec_thread *t = payload;

	(void)len;
	SET(t->rseq_addr, 0);
	t->rseq_len = t->rseq_sig = 0;
	return KEEP;
}

static enum verdict no_pdeath_signal(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_thread *)payload)->pdeath_signal, 0);
	return KEEP;
}

static enum verdict no_mce_policy(void *payload, uint64_t *len)
{
	struct ckpt_rec_thread *t = payload;

	(void)len;
	SET(t->flags, t->flags & ~(CKPT_THREAD_MCE_EARLY | CKPT_THREAD_MCE_LATE));
	return KEEP;
}

static enum verdict no_name(void *payload, uint64_t *len)
{
	struct ckpt_rec_thread *t = payload;

	(void)len;
	memset(t->comm, 0, sizeof(t->comm));
	strcpy(t->comm, "ckctl");
	nr_changed++;
	return KEEP;
}

static enum verdict no_restart(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_thread *)payload)->restart_kind, CKPT_RESTART_NONE);
	return KEEP;
}

static enum verdict no_content(void *payload, uint64_t *len)
{
	memset(payload, 0, *len);
	nr_changed++;
	return KEEP;
}

/* All groups inside a session but its own, with leaders or without. */
static enum verdict no_groups(void *payload, uint64_t *len)
{
	struct ckpt_rec_process *p = payload;

	(void)len;
	if (p->sid != p->pid)
		SET(p->pgid, p->sid);
	return KEEP;
}

static enum verdict no_offset(void *payload, uint64_t *len)
{
	struct ckpt_rec_file *f = payload;

	(void)len;
	if (f->kind == CKPT_FILE_REG)
		SET(f->pos, 0);
	return KEEP;
}

static enum verdict no_flags(void *payload, uint64_t *len)
{
	struct ckpt_rec_file *f = payload;

	(void)len;
	SET(f->flags, f->flags & O_ACCMODE);
	return KEEP;
}

static enum verdict no_cloexec(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_fd *)payload)->flags, 0);
	return KEEP;
}

static enum verdict no_descriptors(void *payload, uint64_t *len)
{
	return ((struct ckpt_rec_fd *)payload)->fd > 2 ? drop(payload, len) : KEEP;
}

static enum verdict no_pipe_data(void *payload, uint64_t *len)
{
	SET(((struct ckpt_rec_pipe *)payload)->data_len, 0);
	*len = sizeof(struct ckpt_rec_pipe);
	return KEEP;
}

static enum verdict no_pipe_capacity(void *payload, uint64_t *len)
{
	struct ckpt_rec_pipe *p = payload;

	(void)len;
	SET(p->capacity, 2 * p->capacity);
	return KEEP;
}

static enum verdict no_cwd(void *payload, uint64_t *len)
{
	struct ckpt_rec_fs *fs = payload;

	SET(fs->cwd_len, 1);
	SET(fs->root_len, 0);
	*len -= *len - sizeof(*fs) - 1;
	return KEEP;
}

static enum verdict no_root(void *payload, uint64_t *len)
{
	struct ckpt_rec_fs *fs = payload;

	*len -= fs->root_len;
	SET(fs->root_len, 0);
	return KEEP;
}

static enum verdict no_umask(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_fs *)payload)->umask, 0);
	return KEEP;
}

static enum verdict no_limits(void *payload, uint64_t *len)
{
	struct ckpt_rec_rlimits *r = payload;
	int i;

	(void)len;
	for (i = 0; i < CKPT_NR_RLIMITS; i++)
		if (r->limits[i].cur != ~0ULL && r->limits[i].cur)
			SET(r->limits[i].cur, r->limits[i].cur - 1);
	return KEEP;
}

static enum verdict no_nice(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_sched *)payload)->nice, 0);
	return KEEP;
}

static enum verdict no_groups_of_user(void *payload, uint64_t *len)
{
	SET(((struct ckpt_rec_cred *)payload)->nr_groups, 0);
	*len = sizeof(struct ckpt_rec_cred);
	return KEEP;
}

static enum verdict no_new_privs(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_cred *)payload)->no_new_privs, 0);
	return KEEP;
}

/* All that there was at the beginning. */
static enum verdict no_capabilities(void *payload, uint64_t *len)
{
	struct ckpt_rec_cred *c = payload;

	(void)len;
	SET(c->cap_eff, c->cap_prm);
	SET(c->cap_inh, 0);
	SET(c->cap_amb, 0);
	return KEEP;
}

static enum verdict no_bounding_set(void *payload, uint64_t *len)
{
	(void)len;
	/* All capabilities of Linux 6.1. */
	SET(((struct ckpt_rec_cred *)payload)->cap_bnd, (1ULL << 41) - 1);
	return KEEP;
}

/* The effective ones for all. */
static enum verdict no_user_ids(void *payload, uint64_t *len)
{
	struct ckpt_rec_cred *c = payload;

	(void)len;
	SET(c->uid, c->euid);
	SET(c->suid, c->euid);
	return KEEP;
}

static enum verdict no_group_ids(void *payload, uint64_t *len)
{
	struct ckpt_rec_cred *c = payload;

	(void)len;
	SET(c->gid, c->egid);
	SET(c->sgid, c->egid);
	return KEEP;
}

static enum verdict no_securebits(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_process *)payload)->securebits, 0);
	return KEEP;
}

static enum verdict no_oom_score(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_process *)payload)->oom_score_adj, 0);
	return KEEP;
}

static enum verdict no_stop(void *payload, uint64_t *len)
{
	struct ckpt_rec_process *p = payload;

	(void)len;
	SET(p->flags, p->flags & ~CKPT_PROCESS_STOPPED);
	p->stop_signal = 0;
	return KEEP;
}

static enum verdict no_subreaper(void *payload, uint64_t *len)
{
	struct ckpt_rec_process *p = payload;

	(void)len;
	SET(p->flags, p->flags & ~CKPT_PROCESS_CHILD_SUBREAPER);
	return KEEP;
}

static enum verdict no_personality(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_thread *)payload)->personality, 0);
	return KEEP;
}

static enum verdict no_slack(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_thread *)payload)->timer_slack_ns, 50000);
	return KEEP;
}

static enum verdict no_policy(void *payload, uint64_t *len)
{
	struct ckpt_rec_sched *s = payload;

	(void)len;
	SET(s->policy, 0);
	s->rt_priority = 0;
	return KEEP;
}

static enum verdict no_io_priority(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_sched *)payload)->ioprio, 0);
	return KEEP;
}

/* All processors. */
static enum verdict no_affinity(void *payload, uint64_t *len)
{
	struct ckpt_rec_sched *s = payload;
	uint8_t *cpus = (uint8_t *)(s + 1);

	(void)len;
	for (uint32_t i = 0; i < s->cpus_len; i++)
		SET(cpus[i], 0xff);
	return KEEP;
}

static enum verdict no_seals(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_file *)payload)->seals, 0);
	return KEEP;
}

/* The standard output for the standard error and the other way round. */
static enum verdict no_roles(void *payload, uint64_t *len)
{
	struct ckpt_rec_file *f = payload;

	(void)len;
	if (f->kind == CKPT_FILE_STDIO && f->object > 0)
		SET(f->object, 3 - f->object);
	return KEEP;
}

static enum verdict no_count(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_eventfd *)payload)->count, 0);
	return KEEP;
}

static enum verdict no_semaphore(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_eventfd *)payload)->semaphore, 0);
	return KEEP;
}

static enum verdict no_expiry(void *payload, uint64_t *len)
{
	struct ckpt_rec_timerfd *t = payload;

	(void)len;
	SET(t->value_ns, 0);
	SET(t->interval_ns, 0);
	SET(t->ticks, 0);
	t->expiry_ns = 0;
	return KEEP;
}

static enum verdict no_mask(void *payload, uint64_t *len)
{
	(void)len;
	SET(((struct ckpt_rec_signalfd *)payload)->mask, 0);
	return KEEP;
}

static enum verdict no_watches(void *payload, uint64_t *len)
{
	SET(((struct ckpt_rec_epoll *)payload)->nr_watches, 0);
	*len = sizeof(struct ckpt_rec_epoll);
	return KEEP;
}

/* Of another kernel: all of its code traps, so that whoever runs it is found out. */
static enum verdict no_vdso_code(void *payload, uint64_t *len)
{
	const Elf64_Ehdr *head = payload;
	const Elf64_Shdr *sections = (void *)((char *)payload + head->e_shoff);
	size_t i;

	(void)len;
	for (i = 0; i < head->e_shnum; i++) {
		if (sections[i].sh_type != SHT_PROGBITS || !(sections[i].sh_flags & SHF_EXECINSTR))
			continue;
		memset((char *)payload + sections[i].sh_offset, 0xcc, sections[i].sh_size);
		nr_changed++;
	}
	return KEEP;
}

static enum verdict no_vdso_symbols(void *payload, uint64_t *len)
{
	(void)len;
	((Elf64_Ehdr *)payload)->e_shnum = 0;
	nr_changed++;
	return KEEP;
}

const struct kind kinds[] = {
	{ "xstate", CKPT_REC_XSTATE, no_xstate },
	{ "registers", CKPT_REC_REGS, no_registers },
	{ "gs-base", CKPT_REC_REGS, no_gs_base },
	{ "system-calls", CKPT_REC_REGS, no_system_calls },
	{ "sigmask", CKPT_REC_THREAD, no_sigmask },
	{ "altstack", CKPT_REC_THREAD, no_altstack },
	{ "robust-list", CKPT_REC_THREAD, no_robust_list },
	{ "clear-child-tid", CKPT_REC_THREAD, no_clear_child_tid },
	{ "rseq", CKPT_REC_THREAD, no_rseq },
	{ "pdeath-signal", CKPT_REC_THREAD, no_pdeath_signal },
	{ "mce-policy", CKPT_REC_THREAD, no_mce_policy },
	{ "name", CKPT_REC_THREAD, no_name },
	{ "timeouts", CKPT_REC_THREAD, no_restart },
	{ "sigactions", CKPT_REC_SIGACTIONS, no_content },
	{ "sigqueue", CKPT_REC_SIGQUEUE, drop },
	{ "itimers", CKPT_REC_ITIMERS, no_content },
	{ "posix-timers", CKPT_REC_POSIX_TIMER, drop },
	{ "process-groups", CKPT_REC_PROCESS, no_groups },
	{ "offsets", CKPT_REC_FILE, no_offset },
	{ "file-flags", CKPT_REC_FILE, no_flags },
	{ "cloexec", CKPT_REC_FD, no_cloexec },
	{ "descriptors", CKPT_REC_FD, no_descriptors },
	{ "descriptors", CKPT_REC_LOCK, drop },
	{ "pipe-data", CKPT_REC_PIPE, no_pipe_data },
	{ "pipe-capacity", CKPT_REC_PIPE, no_pipe_capacity },
	{ "cwd", CKPT_REC_FS, no_cwd },
	{ "umask", CKPT_REC_FS, no_umask },
	{ "root", CKPT_REC_FS, no_root },
	{ "rlimits", CKPT_REC_RLIMITS, no_limits },
	{ "nice", CKPT_REC_SCHED, no_nice },
	{ "groups", CKPT_REC_CRED, no_groups_of_user },
	{ "no-new-privs", CKPT_REC_CRED, no_new_privs },
	{ "capabilities", CKPT_REC_CRED, no_capabilities },
	{ "bounding-set", CKPT_REC_CRED, no_bounding_set },
	{ "user-ids", CKPT_REC_CRED, no_user_ids },
	{ "group-ids", CKPT_REC_CRED, no_group_ids },
	{ "securebits", CKPT_REC_PROCESS, no_securebits },
	{ "oom-score", CKPT_REC_PROCESS, no_oom_score },
	{ "stops", CKPT_REC_PROCESS, no_stop },
	{ "subreaper", CKPT_REC_PROCESS, no_subreaper },
	{ "zombies", CKPT_REC_ZOMBIE, drop },
	{ "personality", CKPT_REC_THREAD, no_personality },
	{ "timer-slack", CKPT_REC_THREAD, no_slack },
	{ "policy", CKPT_REC_SCHED, no_policy },
	{ "io-priority", CKPT_REC_SCHED, no_io_priority },
	{ "affinity", CKPT_REC_SCHED, no_affinity },
	{ "seals", CKPT_REC_FILE, no_seals },
	{ "locks", CKPT_REC_LOCK, drop },
	{ "streams", CKPT_REC_FILE, no_roles },
	{ "counters", CKPT_REC_EVENTFD, no_count },
	{ "semaphores", CKPT_REC_EVENTFD, no_semaphore },
	{ "timerfds", CKPT_REC_TIMERFD, no_expiry },
	{ "signalfds", CKPT_REC_SIGNALFD, no_mask },
	{ "watches", CKPT_REC_EPOLL, no_watches },
	{ "vdso-code", CKPT_REC_VDSO, no_vdso_code },
	{ "vdso-symbols", CKPT_REC_VDSO, no_vdso_symbols },
	{ 0 },
};
