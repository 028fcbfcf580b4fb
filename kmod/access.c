// SPDX-License-Identifier: GPL-2.0
#include "access.h"
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include "report.h"
#include "session.h"

/*
 * environ, auxv and pagemap keep the mm in private_data just as mem does, but
 * are opened with a weaker check: only the file operations tell mem apart.
 * They are not exported, so they are learned from a mem file of our own.
 */
static const struct file_operations *mem_fops;

/**
 * ckpt_access_init() - learn what a /proc/PID/mem file looks like
 *
 * Done at load, in root's mount namespace.  Where /proc is not mounted the
 * module loads, but no process can be proved and so none be checkpointed.
 *
 * Return: 0.
 */
int ckpt_access_init(void)
{
	struct file *file = filp_open("/proc/self/mem", O_RDONLY, 0);

	if (IS_ERR(file)) {
		pr_warn("ckpt: /proc is not mounted; no process can be checkpointed\n");
		return 0;
	}
	if (file_inode(file)->i_sb->s_magic == PROC_SUPER_MAGIC &&
	    file->private_data && file->private_data == current->mm)
		mem_fops = file->f_op;
	fput(file);
	return 0;
}

/**
 * ckpt_access_exit() - nothing is held
 */
void ckpt_access_exit(void)
{
	mem_fops = NULL;
}

/**
 * ckpt_access_can_prove() - is a proof recognised on this kernel?
 *
 * Return: true or false.
 */
bool ckpt_access_can_prove(void)
{
	return mem_fops;
}

static const struct cred *opener_of(struct sk_buff *skb)
{
	const struct socket *sock = NETLINK_CB(skb).sk->sk_socket;

	return sock && sock->file ? sock->file->f_cred : NULL;
}

/*
 * Capabilities of different user namespaces do not compare: who opened the
 * socket must have been in the sender's, with all that the sender may now.
 */
static bool opener_could(const struct cred *opener)
{
	return opener && opener->user_ns == current_user_ns() &&
	       cap_issubset(current_cred()->cap_permitted, opener->cap_permitted);
}

/**
 * ckpt_access_sender() - did the one who sends also open the socket?
 * @skb: the request
 * @extack: why not
 *
 * A set-uid program, or one with file capabilities, that can be made to write
 * to a socket which it got from its caller must not speak for itself
 * (CVE-2014-0181).
 *
 * Return: 0 or -EPERM.
 */
int ckpt_access_sender(struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	const struct cred *opener = opener_of(skb);

	if (opener_could(opener) && uid_eq(opener->euid, current_euid()) &&
	    uid_eq(opener->uid, current_uid()))
		return 0;
	NL_SET_ERR_MSG(extack, "the socket was opened by another user, or with fewer rights");
	return -EPERM;
}

/**
 * ckpt_access_capable() - do the sender and the opener of its socket have this capability?
 * @skb: the request
 * @cap: in the sender's own user namespace, whose root has it over that alone
 *
 * Return: true or false.
 */
bool ckpt_access_capable(struct sk_buff *skb, int cap)
{
	return netlink_ns_capable(skb, current_user_ns(), cap);
}

/* Nobody becomes a descendant of somebody else's process. */
static bool descends_from(struct pid *ancestor)
{
	struct task_struct *t;
	bool found = false;

	rcu_read_lock();
	for (t = current; t->pid && !found; t = rcu_dereference(t->real_parent))
		found = task_tgid(t) == ancestor;
	rcu_read_unlock();
	return found;
}

/**
 * ckpt_access_skeleton() - may the sender be restarted into?
 * @s: a restart's session
 * @skb: its PARK or RESTORE
 *
 * The socket was opened as the session's owner, by a skeleton that may have
 * taken another user's credentials since: root restarts everybody's jobs.
 *
 * Return: NULL, or why not.
 */
const char *ckpt_access_skeleton(const struct ckpt_session *s, struct sk_buff *skb)
{
	const struct cred *opener = opener_of(skb);
	bool owns;

	if (!opener_could(opener) || opener->user_ns != s->cred->user_ns ||
	    !uid_eq(opener->euid, s->cred->euid) || !uid_eq(opener->uid, s->cred->uid))
		return "the socket was opened by another user, or with fewer rights";
	rcu_read_lock();
	owns = ckpt_access_owns(s, current);
	rcu_read_unlock();
	if (!owns)
		return "the session belongs to another user";
	if (!descends_from(s->owner))
		return "the sender does not descend from the session's owner";
	return NULL;
}

/**
 * ckpt_access_owns() - may the session's owner stop this task?
 * @s: the session
 * @t: the task
 *
 * Context: RCU read lock held.
 *
 * Return: true when it runs as the owner in every respect, or the owner may all.
 */
bool ckpt_access_owns(const struct ckpt_session *s, struct task_struct *t)
{
	const struct cred *cred = __task_cred(t);
	kuid_t uid = s->cred->uid;

	return s->admin || (uid_eq(uid, s->cred->euid) && uid_eq(cred->uid, uid) &&
			    uid_eq(cred->euid, uid) && uid_eq(cred->suid, uid));
}

static bool is_mem_file(const struct file *file)
{
	return mem_fops && file->f_op == mem_fops && (file->f_mode & FMODE_READ) &&
	       file_inode(file)->i_sb->s_magic == PROC_SUPER_MAGIC;
}

/* Whose mm is this?  Of two that share it, the one that is not yet proved. */
static struct ckpt_process *process_of(struct ckpt_session *s, struct mm_struct *mm,
				       unsigned int from)
{
	struct ckpt_process *proved = NULL;
	unsigned int n;

	for (n = 0; n < s->nr_procs; n++) {
		struct ckpt_process *p = &s->procs[(from + n) % s->nr_procs];

		if (READ_ONCE(p->alive->mm) != mm)
			continue;
		if (!p->proved)
			return p;
		proved = proved ?: p;
	}
	return proved;
}

/* Mark the process whose mm this is; @from: where to look first, for fds come in order. */
static bool prove_mm(struct ckpt_session *s, struct mm_struct *mm, bool omit, unsigned int *from)
{
	struct ckpt_process *p = process_of(s, mm, *from);

	if (!p)
		return false;
	/* The file pins mm_count only; mm_users keeps the pages, too. */
	if (!p->mm && mmget_not_zero(mm))
		p->mm = mm;
	p->proved = p->mm == mm;
	p->omitted = p->proved && omit;
	*from = (p - s->procs + 1) % s->nr_procs;
	return p->proved;
}

/**
 * ckpt_access_prove() - accept /proc/PID/mem files as the right to read
 * @s: a frozen session; s->lock held
 * @fds: open in current
 * @nr: how many
 * @omit: are these processes to be left out?
 * @extack: why not
 *
 * Return: 0, -EBADF, or -EPERM for a file that proves nothing here.
 */
int ckpt_access_prove(struct ckpt_session *s, const s32 *fds, unsigned int nr, bool omit,
		      struct netlink_ext_ack *extack)
{
	unsigned int i, from = 0;

	lockdep_assert_held(&s->lock);
	for (i = 0; i < nr; i++) {
		struct file *file = fget(fds[i]);
		bool ok;

		if (!file) {
			NL_SET_ERR_MSG(extack, "a descriptor of the proof is not open");
			return -EBADF;
		}
		ok = is_mem_file(file) && file->private_data &&
		     prove_mm(s, file->private_data, omit, &from);
		fput(file);
		if (!ok) {
			NL_SET_ERR_MSG(extack, "a descriptor is not /proc/PID/mem of a process of this job as it is now");
			return -EPERM;
		}
	}
	return 0;
}

/**
 * ckpt_access_check_proofs() - was every process proved, and is it still the same?
 * @s: the session, frozen
 *
 * What the owner does not see could not be named in the image.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_access_check_proofs(struct ckpt_session *s)
{
	unsigned int i, j, nr_omitted = 0;

	for (i = 0; i < s->nr_procs; i++) {
		struct ckpt_process *p = &s->procs[i];

		nr_omitted += p->omitted;
		if (!p->pid && !p->omitted)
			return ckpt_fail(s, -EPERM, CKPT_REASON_PERM, NULL,
					 "a process of the job is outside of the caller's pid namespace");
		if (!READ_ONCE(p->alive->mm))
			return ckpt_fail(s, -EAGAIN, CKPT_REASON_UNSUPPORTED, p->leader,
					 "it is ending: try again");
		if (!p->proved)
			return ckpt_fail(s, -EPERM, CKPT_REASON_PERM, p->leader,
					 "the caller has not shown that it may read it");
		for (j = 0; j < p->nr_threads; j++)
			if (READ_ONCE(p->threads[j]->mm) != p->mm)
				return ckpt_fail(s, -EAGAIN, CKPT_REASON_VANISHED, p->leader,
						 "it ended or ran another program during the checkpoint");
	}
	if (nr_omitted == s->nr_procs)
		return ckpt_fail(s, -ENOENT, CKPT_REASON_EMPTY, NULL,
				 "every process of the job is to be left out: there is nothing to save");
	return 0;
}
