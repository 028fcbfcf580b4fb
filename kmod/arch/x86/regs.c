// SPDX-License-Identifier: GPL-2.0
/*
 * Saved: what PTRACE_GETREGSET gives: the general registers with orig_ax, fs
 * and gs base, and the whole uncompacted xsave area.  The registers are saved
 * as they are, also of a thread that sleeps in a system call (orig_ax is its
 * number, ax one of -ERESTART*).
 *
 * A restored thread goes to user mode through the kernel's own signal code,
 * which then restarts that system call, or has it return -EINTR when a handler
 * runs first: exactly what would have happened to the original.
 *
 * Only -ERESTART_RESTARTBLOCK, of a call with a timeout, refers to kernel memory
 * that is gone, and to functions that the kernel keeps to itself.  CKPT_REC_THREAD
 * has what was left of the timeout; who gives the registers back makes another
 * call of it, else it ends with -EINTR.
 *
 * Not saved: debug registers (of a tracer, refused elsewhere), I/O permissions,
 * shadow stacks and AMX tiles (refused here).
 */
#include "arch/x86/regs.h"
#include <linux/compat.h>
#include <linux/elf.h>
#include <linux/futex.h>
#include <linux/netlink.h>
#include <linux/ptrace.h>
#include <linux/regset.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/thread_info.h>
#include <asm/fpu/types.h>
#include <asm/fpu/xcr.h>
#include <asm/syscall.h>
#include <asm/unistd.h>
#include "report.h"
#include "state/sighand.h"
#include "state/state.h"

/* By type: the order differs between kernels.  The table itself is static. */
static const struct user_regset *find_regset(struct task_struct *t, unsigned int type)
{
	const struct user_regset_view *view = task_user_regset_view(t);
	unsigned int i;

	for (i = 0; i < view->n; i++)
		if (view->regsets[i].core_note_type == type && view->regsets[i].n)
			return &view->regsets[i];
	return NULL;
}

/**
 * ckpt_regs_xfeatures() - the xstate components this CPU and kernel save
 *
 * Return: XCR0, 0 without xsave.
 */
u64 ckpt_regs_xfeatures(void)
{
	return boot_cpu_has(X86_FEATURE_OSXSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;
}

/**
 * ckpt_regs_xstate_size() - bytes of an xstate here
 *
 * Return: the size, 0 without xsave.
 */
u32 ckpt_regs_xstate_size(void)
{
	const struct user_regset *xstate = find_regset(current, NT_X86_XSTATE);

	return xstate ? xstate->n * xstate->size : 0;
}

static const char *obstacle(struct task_struct *t)
{
	if (task_user_regset_view(t)->e_machine != EM_X86_64)
		return "it is a 32-bit program; only 64-bit ones can be saved";
	if (test_tsk_thread_flag(t, TIF_IO_BITMAP) || t->thread.iopl_emul)
		return "it may access I/O ports (ioperm, iopl), which cannot be saved";
#ifdef CONFIG_X86_USER_SHADOW_STACK
	if (t->thread.features)
		return "it uses a shadow stack, which cannot be saved: start it with GLIBC_TUNABLES=glibc.cpu.hwcaps=-SHSTK";
#endif
	if (t->thread.fpu.fpstate->is_valloc)
		return "it uses AMX tile registers, which cannot be saved yet";
	return NULL;
}

static int regs_check(struct ckpt_session *s, struct ckpt_process *p)
{
	unsigned int i;

	for (i = 0; i < p->nr_threads; i++) {
		struct task_struct *t = p->threads[i];
		struct sighand_struct *sighand = ckpt_sighand_lock_frozen(s, t);
		const char *why;

		if (!sighand)
			return -ESRCH;
		why = obstacle(t);
		ckpt_sighand_unlock(sighand);
		if (why)
			return ckpt_obstacle(s, -EOPNOTSUPP, t, "%s", why);
	}
	return 0;
}

/**
 * ckpt_regs_sleeping_call() - which system call sleeps with a restart block?
 * @t: a frozen thread, its stack held
 *
 * After an earlier freeze it is restart_syscall(2) that sleeps, in whose
 * registers are still the arguments of the call that it stands for: the restart
 * block tells which one they belong to.
 *
 * Return: its number, __NR_restart_syscall when that cannot be told, -1 for none.
 */
int ckpt_regs_sleeping_call(struct task_struct *t)
{
	const struct restart_block *rb = &t->restart_block;
	const struct pt_regs *regs = task_pt_regs(t);
	unsigned int futex_op = regs->si & FUTEX_CMD_MASK;

	if ((long)regs->orig_ax == -1 || (long)regs->ax != -ERESTART_RESTARTBLOCK)
		return -1;
	if (regs->orig_ax != __NR_restart_syscall)
		return regs->orig_ax;
	if ((futex_op == FUTEX_WAIT || futex_op == FUTEX_WAIT_BITSET) &&
	    (unsigned long)rb->futex.uaddr == regs->di && rb->futex.val == (u32)regs->dx)
		return __NR_futex;
	if ((unsigned long)rb->poll.ufds == regs->di && rb->poll.nfds == (int)regs->si)
		return __NR_poll;
	if (rb->nanosleep.clockid == (int)regs->di &&
	    (rb->nanosleep.type == TT_NONE || (unsigned long)rb->nanosleep.rmtp == regs->r10))
		return __NR_clock_nanosleep;
	if (rb->nanosleep.clockid == CLOCK_MONOTONIC &&
	    (rb->nanosleep.type == TT_NONE || (unsigned long)rb->nanosleep.rmtp == regs->si))
		return __NR_nanosleep;
	return __NR_restart_syscall;
}

static int dump_regset(struct ckpt_session *s, struct task_struct *t, unsigned int note, u32 type)
{
	const struct user_regset *regset;
	struct sighand_struct *sighand;
	unsigned int size;
	void *data;
	int ret;

	sighand = ckpt_sighand_lock_frozen(s, t);
	if (!sighand)
		return -ESRCH;
	regset = find_regset(t, note);
	ckpt_sighand_unlock(sighand);
	if (!regset)
		return 0;
	size = regset->n * regset->size;
	data = ckpt_records_add(&s->records, type, size);
	if (!data)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, t, "no memory for its registers");
	sighand = ckpt_sighand_lock_frozen(s, t);
	if (!sighand)
		return -ESRCH;
	ret = regset_get(t, regset, size, data);
	ckpt_sighand_unlock(sighand);
	if (ret != size)
		return ckpt_fail(s, ret < 0 ? ret : -EIO, CKPT_REASON_UNSUPPORTED, t,
				 "its registers cannot be read");
	return 0;
}

static int regs_dump_thread(struct ckpt_session *s, struct ckpt_process *p, struct task_struct *t)
{
	int ret;

	ret = dump_regset(s, t, NT_PRSTATUS, CKPT_REC_REGS);
	if (!ret)
		ret = dump_regset(s, t, NT_X86_XSTATE, CKPT_REC_XSTATE);
	return ret;
}

static int set_regset(struct task_struct *t, unsigned int note, const void *data, size_t len,
		      struct netlink_ext_ack *extack)
{
	const struct user_regset *regset = find_regset(t, note);

	if (!regset || !regset->set || len != regset->n * regset->size) {
		NL_SET_ERR_MSG(extack, "the registers were saved on another kind of CPU");
		return -EINVAL;
	}
	if (regset->set(t, regset, 0, len, data, NULL)) {
		NL_SET_ERR_MSG(extack, "the registers hold values that this CPU does not allow");
		return -EINVAL;
	}
	return 0;
}

/**
 * ckpt_regs_set() - give a parked thread its registers
 * @t: the thread, asleep in the module and off its CPU; not current
 * @regs: struct user_regs_struct
 * @regs_len: its length
 * @xstate: the uncompacted xsave area, NULL for none
 * @xstate_len: its length
 * @extack: why not
 *
 * Context: whatever keeps the thread from going on is held; may sleep: the setter of the
 *	xstate allocates memory.
 *
 * Return: 0 or -EINVAL.
 */
int ckpt_regs_set(struct task_struct *t, const void *regs, size_t regs_len, const void *xstate,
		  size_t xstate_len, struct netlink_ext_ack *extack)
{
	struct user_regs_struct r;
	int ret;

	if (regs_len != sizeof(r)) {
		NL_SET_ERR_MSG(extack, "the registers were saved on another kind of CPU");
		return -EINVAL;
	}
	memcpy(&r, regs, sizeof(r));
	if ((long)r.orig_ax != -1 && (long)r.ax == -ERESTART_RESTARTBLOCK)
		r.ax = -EINTR;
	ret = set_regset(t, NT_PRSTATUS, &r, sizeof(r), extack);
	if (!ret && xstate)
		ret = set_regset(t, NT_X86_XSTATE, xstate, xstate_len, extack);
	return ret;
}

/**
 * ckpt_regs_resume() - have current go to user mode through the signal code
 *
 * It restarts an interrupted system call as the registers set say, see above.
 */
void ckpt_regs_resume(void)
{
	set_thread_flag(TIF_SIGPENDING);
}

/**
 * ckpt_regs_in_send() - is current inside of its own sendmsg(2) or sendto(2)?
 *
 * Return: false also for a 32-bit call, write(2), io_uring and kernel threads.
 */
bool ckpt_regs_in_send(void)
{
	struct pt_regs *regs = task_pt_regs(current);

	if (current->flags & PF_KTHREAD || in_ia32_syscall() || !user_64bit_mode(regs))
		return false;
	return regs->orig_ax == __NR_sendmsg || regs->orig_ax == __NR_sendto;
}

const struct ckpt_state_ops ckpt_regs_ops = {
	.name = "registers",
	.check = regs_check,
	.dump_thread = regs_dump_thread,
};
