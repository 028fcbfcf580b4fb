// SPDX-License-Identifier: GPL-2.0
#include "report.h"
#include <linux/sched.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include "freezer.h"
#include "netlink.h"
#include "session.h"
#include "snapshot.h"
#include "socket.h"

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
	struct ckpt_failure *f = &s->failure;
	char comm[TASK_COMM_LEN];
	va_list args;
	int n = 0;

	mutex_lock(&s->lock);
	if (!f->err) {
		f->err = -err;
		f->reason = reason;
		if (task) {
			f->pid = task_pid_nr_ns(task, s->pid_ns);
			get_task_comm(comm, task);
			n = scnprintf(f->message, sizeof(f->message), "process %d (%s): ",
				      f->pid, comm);
		}
		va_start(args, fmt);
		vscnprintf(f->message + n, sizeof(f->message) - n, fmt, args);
		va_end(args);
	}
	mutex_unlock(&s->lock);
	return err;
}

/* Payload of any message but a list of pids. */
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

/**
 * ckpt_report_failure() - tell the owner that the session is over, and why
 * @s: the session
 */
void ckpt_report_failure(struct ckpt_session *s)
{
	const struct ckpt_failure *f = &s->failure;
	struct sk_buff *skb;
	void *head;

	skb = new_event(s, SPARE_ROOM, &head);
	if (!skb)
		return;
	if (nla_put_u32(skb, CKPT_A_EVENT, CKPT_EVENT_FAILED) ||
	    nla_put_u32(skb, CKPT_A_REASON, f->reason) ||
	    nla_put_u32(skb, CKPT_A_ERRNO, f->err) ||
	    nla_put_s32(skb, CKPT_A_PID, f->pid) ||
	    nla_put_string(skb, CKPT_A_MESSAGE, f->message)) {
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
