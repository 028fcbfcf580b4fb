// SPDX-License-Identifier: GPL-2.0
#include "report.h"
#include <linux/mm.h>
#include <linux/sched.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include "freezer.h"
#include "netlink.h"
#include "session.h"
#include "snapshot.h"
#include "socket.h"

/* Room for the words on those that there is no room for. */
#define LAST_WORDS	64

/* With the task in front of it; the length without the NUL. */
static __printf(5, 0)
size_t put_sentence(const struct ckpt_session *s, char *buf, size_t size, struct task_struct *task,
		    const char *fmt, va_list args)
{
	char comm[TASK_COMM_LEN];
	size_t n = 0;

	if (task) {
		get_task_comm(comm, task);
		n = scnprintf(buf, size, "process %d (%s): ", task_pid_nr_ns(task, s->pid_ns), comm);
	}
	return n + vscnprintf(buf + n, size - n, fmt, args);
}

static __printf(5, 0)
void set_failure(struct ckpt_session *s, int err, enum ckpt_reason reason, struct task_struct *task,
		 const char *fmt, va_list args)
{
	struct ckpt_failure *f = &s->failure;

	lockdep_assert_held(&s->lock);
	f->err = -err;
	f->reason = reason;
	if (task)
		f->pid = task_pid_nr_ns(task, s->pid_ns);
	put_sentence(s, f->message, sizeof(f->message), task, fmt, args);
}

static __printf(3, 0)
void add_obstacle(struct ckpt_session *s, struct task_struct *task, const char *fmt, va_list args)
{
	struct ckpt_obstacles *o = &s->obstacles;

	lockdep_assert_held(&s->lock);
	if (!o->text)
		o->text = kvmalloc(CKPT_MAX_OBSTACLES, GFP_KERNEL_ACCOUNT);
	/* Without memory, the first one will do to refuse. */
	if (!o->text || o->len + CKPT_MAX_MESSAGE + LAST_WORDS > CKPT_MAX_OBSTACLES)
		o->nr_unnamed++;
	else
		o->len += put_sentence(s, o->text + o->len, CKPT_MAX_MESSAGE, task, fmt, args) + 1;
}

/**
 * ckpt_fail() - keep the first thing that went wrong in a session
 * @s: the session
 * @err: negative errno
 * @reason: for programs
 * @task: the task concerned or NULL; it is named in front of the sentence
 * @fmt: the sentence
 *
 * Context: may sleep, takes s->lock.
 *
 * Return: @err.
 */
int ckpt_fail(struct ckpt_session *s, int err, enum ckpt_reason reason, struct task_struct *task,
	      const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	mutex_lock(&s->lock);
	if (!s->failure.err)
		set_failure(s, err, reason, task, fmt, args);
	mutex_unlock(&s->lock);
	va_end(args);
	return err;
}

/**
 * ckpt_obstacle() - keep one of the things that stand against a checkpoint
 * @s: the session
 * @err: negative errno: -EAGAIN for what passes, -EOPNOTSUPP for what does not
 * @task: the task concerned; it is named in front of the sentence
 * @fmt: the sentence
 *
 * The first is the session's failure, CKPT_REASON_UNSUPPORTED.  A job can have
 * any number of them: not more are kept than CKPT_MAX_OBSTACLES holds.
 *
 * Context: the session's worker; may sleep, takes s->lock.
 *
 * Return: 0, so that all are found; who looked at everything returns the failure.
 */
int ckpt_obstacle(struct ckpt_session *s, int err, struct task_struct *task, const char *fmt, ...)
{
	va_list args;

	lockdep_assert_held(&s->work_lock);
	va_start(args, fmt);
	mutex_lock(&s->lock);
	if (!s->failure.err)
		set_failure(s, err, CKPT_REASON_UNSUPPORTED, task, fmt, args);
	else
		add_obstacle(s, task, fmt, args);
	mutex_unlock(&s->lock);
	va_end(args);
	return 0;
}

/* Payload of any message but a list of pids or of obstacles. */
#define SPARE_ROOM	(CKPT_MAX_MESSAGE + 256)

/**
 * ckpt_report_init() - what a new session needs to be able to say how it ends
 * @s: the session
 *
 * Return: 0 or -ENOMEM.
 */
int ckpt_report_init(struct ckpt_session *s)
{
	s->spare = alloc_skb(nlmsg_total_size(GENL_HDRLEN + SPARE_ROOM), GFP_KERNEL_ACCOUNT);
	return s->spare ? 0 : -ENOMEM;
}

/**
 * ckpt_report_free() - the reverse
 * @s: the session
 */
void ckpt_report_free(struct ckpt_session *s)
{
	kvfree(s->obstacles.text);
	kfree_skb(s->spare);
}

/* Begin an event; without memory, with the spare message if that is large enough. */
static struct sk_buff *new_event(struct ckpt_session *s, size_t room, void **head)
{
	struct sk_buff *skb = ckpt_netlink_message(CKPT_CMD_EVENT, room, head);

	if (skb || room > SPARE_ROOM)
		return skb;
	skb = xchg(&s->spare, NULL);
	if (skb)
		*head = ckpt_netlink_begin(skb, CKPT_CMD_EVENT);
	return skb;
}

static void send_event(struct ckpt_session *s, struct sk_buff *skb, void *head, bool wait)
{
	genlmsg_end(skb, head);
	ckpt_socket_send(s, skb, wait);
}

static int put_pids(struct sk_buff *skb, const struct ckpt_session *s)
{
	unsigned int unseen = 0, i;
	struct nlattr *attr;
	s32 *pids;

	/* In order of their pids: what the owner does not see comes first. */
	while (unseen < s->nr_procs && !s->procs[unseen].pid)
		unseen++;
	attr = nla_reserve(skb, CKPT_A_PID_LIST, (s->nr_procs - unseen) * sizeof(s32));
	if (!attr)
		return -EMSGSIZE;
	pids = nla_data(attr);
	for (i = unseen; i < s->nr_procs; i++)
		pids[i - unseen] = s->procs[i].pid;
	return 0;
}

static int put_counts(struct sk_buff *skb, struct ckpt_session *s, enum ckpt_event event)
{
	const struct ckpt_snapshot *snap = s->snapshot;

	if (event == CKPT_EVENT_FROZEN) {
		if (s->was_frozen && nla_put_flag(skb, CKPT_A_LEAVE_FROZEN))
			return -EMSGSIZE;
		return put_pids(skb, s);
	}
	if (event == CKPT_EVENT_THAWED)
		return nla_put_u64_64bit(skb, CKPT_A_STANDSTILL_NS, s->standstill_ns, CKPT_A_PAD);
	if (!snap || (event != CKPT_EVENT_SNAPPED && event != CKPT_EVENT_WRITTEN))
		return 0;
	if (nla_put_u64_64bit(skb, CKPT_A_NR_PAGES, snap->nr_pages, CKPT_A_PAD) ||
	    nla_put_u64_64bit(skb, CKPT_A_NR_SHARED, snap->nr_shared, CKPT_A_PAD) ||
	    nla_put_u64_64bit(skb, CKPT_A_NR_COPIED, snap->nr_copied, CKPT_A_PAD))
		return -EMSGSIZE;
	if (event != CKPT_EVENT_WRITTEN)
		return 0;
	if (nla_put_u64_64bit(skb, CKPT_A_NR_BYTES, snap->nr_bytes, CKPT_A_PAD) ||
	    nla_put_u64_64bit(skb, CKPT_A_NR_ZERO, snap->nr_zero, CKPT_A_PAD))
		return -EMSGSIZE;
	return 0;
}

/**
 * ckpt_report_event() - tell the owner that something was completed
 * @s: the session
 * @event: what
 *
 * Return: 0, or a noted failure: the owner waits for what cannot be said.
 */
int ckpt_report_event(struct ckpt_session *s, enum ckpt_event event)
{
	size_t room = event == CKPT_EVENT_FROZEN ? 256 + s->nr_procs * sizeof(s32) : 256;
	struct sk_buff *skb;
	void *head;

	skb = new_event(s, room, &head);
	if (!skb)
		goto err_nomem;
	if (nla_put_u32(skb, CKPT_A_EVENT, event) || put_counts(skb, s, event))
		goto err_skb;
	send_event(s, skb, head, current->flags & PF_WQ_WORKER);
	return 0;

err_skb:
	nlmsg_free(skb);
err_nomem:
	return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for a message");
}

static size_t end_obstacles(struct ckpt_obstacles *o)
{
	if (o->text && o->nr_unnamed)
		o->len += scnprintf(o->text + o->len, LAST_WORDS,
				    "there are %u more, which are not named here", o->nr_unnamed) + 1;
	return o->len;
}

static int put_failure(struct sk_buff *skb, const struct ckpt_failure *f)
{
	if (nla_put_u32(skb, CKPT_A_EVENT, CKPT_EVENT_FAILED) ||
	    nla_put_u32(skb, CKPT_A_REASON, f->reason) ||
	    nla_put_u32(skb, CKPT_A_ERRNO, f->err) ||
	    nla_put_s32(skb, CKPT_A_PID, f->pid) ||
	    nla_put_string(skb, CKPT_A_MESSAGE, f->message))
		return -EMSGSIZE;
	return 0;
}

/**
 * ckpt_report_failure() - tell the owner that the session is over, and why
 * @s: the session
 *
 * Context: the session's worker, once.
 */
void ckpt_report_failure(struct ckpt_session *s)
{
	size_t more = end_obstacles(&s->obstacles);
	struct sk_buff *skb = NULL;
	void *head;

	lockdep_assert_held(&s->work_lock);
	if (more)
		skb = new_event(s, SPARE_ROOM + nla_total_size(more), &head);
	if (!skb) {
		more = 0;
		skb = new_event(s, SPARE_ROOM, &head);
	}
	if (!skb)
		return;
	if (put_failure(skb, &s->failure) ||
	    (more && nla_put(skb, CKPT_A_OBSTACLES, more, s->obstacles.text))) {
		nlmsg_free(skb);
		return;
	}
	send_event(s, skb, head, current->flags & PF_WQ_WORKER);
}

/**
 * ckpt_report_progress() - tell the owner how far the pages are written
 * @s: the session
 * @bytes: so far
 */
void ckpt_report_progress(struct ckpt_session *s, u64 bytes)
{
	struct sk_buff *skb;
	void *head;

	skb = ckpt_netlink_message(CKPT_CMD_EVENT, 64, &head);
	if (!skb)
		return;
	if (nla_put_u32(skb, CKPT_A_EVENT, CKPT_EVENT_PROGRESS) ||
	    nla_put_u64_64bit(skb, CKPT_A_NR_BYTES, bytes, CKPT_A_PAD)) {
		nlmsg_free(skb);
		return;
	}
	send_event(s, skb, head, false);
}
