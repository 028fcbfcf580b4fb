// SPDX-License-Identifier: GPL-2.0
#include "session.h"
#include <linux/cgroup.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <linux/pid_namespace.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "access.h"
#include "freezer.h"
#include "report.h"
#include "restore.h"
#include "shm.h"
#include "snapshot.h"
#include "state/state.h"
#include "tasks.h"
#include "transport.h"

/* One user's sessions at a time; each can hold pages and records. */
#define CKPT_SESSIONS_PER_USER	64

static LIST_HEAD(sessions);
static DEFINE_MUTEX(sessions_lock);	/* protects sessions, last_id and who claims a cgroup */
static u32 last_id;
/*
 * The job stands still while the one works; the other runs beside the job.  A
 * session's work item never runs twice at once, whichever it is queued on.
 */
static struct workqueue_struct *urgent_queue;
static struct workqueue_struct *writing_queue;

static void release_sinks(struct ckpt_session *s)
{
	if (s->req.page_file)
		fput(s->req.page_file);
	if (s->req.index_file)
		fput(s->req.index_file);
	s->req.page_file = NULL;
	s->req.index_file = NULL;
}

static void free_records(struct ckpt_session *s)
{
	ckpt_records_free(&s->records);
	ckpt_records_free(&s->page_records);
}

static void session_free(struct kref *ref)
{
	struct ckpt_session *s = container_of(ref, struct ckpt_session, ref);

	ckpt_report_free(s);
	ckpt_snapshot_free(s);
	free_records(s);
	ckpt_tasks_release(s);
	ckpt_restore_free(s);
	release_sinks(s);
	if (s->freeze_file)
		fput(s->freeze_file);
	if (s->cgroup)
		cgroup_put(s->cgroup);
	put_pid(s->owner);
	put_pid_ns(s->pid_ns);
	put_cred(s->cred);
	put_net(s->net);
	sock_put(s->sk);
	mutex_destroy(&s->lock);
	mutex_destroy(&s->walk_lock);
	mutex_destroy(&s->work_lock);
	kfree(s);
	/* What runs after this in a work item is waited for by the module's exit. */
	module_put(THIS_MODULE);
}

/**
 * ckpt_session_get() - take a reference
 * @s: the session
 */
void ckpt_session_get(struct ckpt_session *s)
{
	kref_get(&s->ref);
}

/**
 * ckpt_session_put() - drop a reference
 * @s: the session, NULL is fine
 *
 * Context: may sleep when it is the last one.
 */
void ckpt_session_put(struct ckpt_session *s)
{
	if (s)
		kref_put(&s->ref, session_free);
}

/**
 * ckpt_session_unlink() - off the list: nobody finds it any more
 * @s: the session
 *
 * Its socket may open another one.  Idempotent; the caller has a reference.
 */
void ckpt_session_unlink(struct ckpt_session *s)
{
	bool linked;

	mutex_lock(&sessions_lock);
	linked = !list_empty(&s->node);
	list_del_init(&s->node);
	mutex_unlock(&sessions_lock);
	if (linked)
		ckpt_session_put(s);
}

static int do_freeze(struct ckpt_session *s)
{
	int ret = ckpt_freezer_freeze(s);

	if (ret)
		return ret;
	return ckpt_tasks_outsiders(s);
}

static int do_snapshot(struct ckpt_session *s)
{
	int ret;

	ckpt_snapshot_free(s);
	free_records(s);
	ret = ckpt_access_check_proofs(s);
	if (!ret)
		ret = ckpt_state_check(s);
	if (!ret)
		ret = ckpt_state_dump(s);
	if (!ret)
		ret = ckpt_shm_dump(s);
	if (!ret)
		ret = ckpt_snapshot_take(s);
	ckpt_shm_release(s);
	return ret;
}

static void cancel_deadline(struct ckpt_session *s)
{
	if (cancel_delayed_work(&s->deadline))
		ckpt_session_put(s);
}

static int do_thaw(struct ckpt_session *s)
{
	int ret;

	cancel_deadline(s);
	ret = ckpt_freezer_thaw(s, s->req.leave_frozen);
	/* What is left to write are pages: a process may end and free the rest. */
	ckpt_tasks_release_mms(s);
	return ret;
}

/* As the owner: a file system keeps quotas, and space that is reserved, by who writes. */
static int do_write(struct ckpt_session *s)
{
	const struct cred *old = override_creds(s->cred);
	int ret = ckpt_transport_write(s);

	revert_creds(old);
	release_sinks(s);
	return ret;
}

#define IN(phase)	BIT(CKPT_##phase)

/* In which phases a session can serve a request. */
static const unsigned long phases_of[__CKPT_CMD_MAX] = {
	[CKPT_CMD_FREEZE] = IN(OPENED),
	[CKPT_CMD_PROVE] = IN(FROZEN) | IN(SNAPPED),
	[CKPT_CMD_SNAPSHOT] = IN(FROZEN) | IN(SNAPPED),
	[CKPT_CMD_THAW] = IN(FROZEN) | IN(SNAPPED),
	[CKPT_CMD_WRITE] = IN(SNAPPED) | IN(THAWED),
	[CKPT_CMD_PARK] = IN(OPENED),
	[CKPT_CMD_RESTORE] = IN(OPENED),
	[CKPT_CMD_SET] = IN(PARKED),
	[CKPT_CMD_COMMIT] = IN(PARKED),
};

/* What a request does, the phase and the event that follow its success. */
static const struct session_op {
	int (*run)(struct ckpt_session *s);
	enum ckpt_event event;
	enum ckpt_phase phase;		/* CKPT_OPENED: stays as it is */
} session_ops[__CKPT_CMD_MAX] = {
	[CKPT_CMD_FREEZE] = { do_freeze, CKPT_EVENT_FROZEN, CKPT_FROZEN },
	[CKPT_CMD_SNAPSHOT] = { do_snapshot, CKPT_EVENT_SNAPPED, CKPT_SNAPPED },
	[CKPT_CMD_THAW] = { do_thaw, CKPT_EVENT_THAWED, CKPT_THAWED },
	[CKPT_CMD_WRITE] = { do_write, CKPT_EVENT_WRITTEN, CKPT_OPENED },
	[CKPT_CMD_COMMIT] = { ckpt_restore_commit, CKPT_EVENT_COMMITTED, CKPT_COMMITTED },
};

static const char *stop_sentence(unsigned int reason)
{
	switch (reason) {
	case CKPT_REASON_DEADLINE:
		return "the job stood still for the longest time allowed; it runs on";
	case CKPT_STOP_CLOSED:
		return "the tool closed its socket";
	default:
		return "it failed inside the kernel";
	}
}

/* The end of a session: everybody runs, the owner knows why, nobody finds it. */
static void session_finish(struct ckpt_session *s, int err)
{
	ckpt_session_stop(s, s->failure.reason ?: CKPT_REASON_IO);
	ckpt_fail(s, err ?: -ECANCELED, s->stop, NULL, "%s", stop_sentence(s->stop));

	mutex_lock(&s->lock);
	s->op = CKPT_CMD_UNSPEC;
	s->phase = CKPT_DEAD;
	mutex_unlock(&s->lock);

	ckpt_session_unlink(s);
	ckpt_report_failure(s);
	ckpt_snapshot_free(s);
	free_records(s);
	ckpt_tasks_release(s);
}

static void session_work(struct work_struct *work)
{
	struct ckpt_session *s = container_of(work, struct ckpt_session, work);
	const struct session_op *op;
	int ret = 0;

	/* A work item is exclusive on one queue only, and there are two. */
	mutex_lock(&s->work_lock);
	op = &session_ops[READ_ONCE(s->op)];
	if (s->phase == CKPT_DEAD)
		goto out;
	if (op->run && !ckpt_session_stopped(s))
		ret = op->run(s);
	if (ret || ckpt_session_stopped(s)) {
		session_finish(s, ret);
		goto out;
	}
	if (op->run) {
		mutex_lock(&s->lock);
		if (op->phase != CKPT_OPENED)
			s->phase = op->phase;
		s->op = CKPT_CMD_UNSPEC;
		mutex_unlock(&s->lock);
		ret = ckpt_report_event(s, op->event);
		if (ret)
			session_finish(s, ret);
	}
out:
	mutex_unlock(&s->work_lock);
	ckpt_session_put(s);
}

static void session_queue(struct ckpt_session *s)
{
	bool writing = READ_ONCE(s->op) == CKPT_CMD_WRITE && !ckpt_session_stopped(s);

	kref_get(&s->ref);
	if (!queue_work(writing ? writing_queue : urgent_queue, &s->work))
		ckpt_session_put(s);
}

static void deadline_work(struct work_struct *work)
{
	struct ckpt_session *s = container_of(work, struct ckpt_session, deadline.work);

	ckpt_session_stop(s, CKPT_REASON_DEADLINE);
	ckpt_session_put(s);
}

/**
 * ckpt_session_stop() - end a session early
 * @s: the session
 * @reason: enum ckpt_reason, what the FAILED event says unless a failure was
 *	noted before; or CKPT_STOP_CLOSED
 *
 * The frozen tasks run when this returns, parked ones are killed; what the
 * worker holds it lets go by itself.  Idempotent.
 *
 * Context: may sleep; not under s->lock.
 */
void ckpt_session_stop(struct ckpt_session *s, unsigned int reason)
{
	if (cmpxchg(&s->stop, CKPT_REASON_NONE, reason) != CKPT_REASON_NONE)
		return;
	ckpt_restore_abort(s);
	ckpt_freezer_thaw(s, s->was_frozen);
	cancel_deadline(s);
	session_queue(s);
}

/**
 * ckpt_session_allows() - is this the phase for such a request?
 * @s: the session
 * @op: the request
 * @extack: why not
 *
 * Context: any; what the answer is worth ends with s->lock.
 *
 * Return: 0, -EPROTO where it is not, -EBUSY while another request is at work,
 * -ECANCELED when the session is over.
 */
int ckpt_session_allows(const struct ckpt_session *s, enum ckpt_cmd op,
			struct netlink_ext_ack *extack)
{
	enum ckpt_phase phase = READ_ONCE(s->phase);

	if (phase == CKPT_DEAD || ckpt_session_stopped(s)) {
		NL_SET_ERR_MSG(extack, "the session is over");
		return -ECANCELED;
	}
	if (READ_ONCE(s->op)) {
		NL_SET_ERR_MSG(extack, "the session is still at work on the former request");
		return -EBUSY;
	}
	if (!(BIT(phase) & phases_of[op])) {
		NL_SET_ERR_MSG(extack, "the session is not in a state in which this can be done");
		return -EPROTO;
	}
	return 0;
}

/**
 * ckpt_session_start() - accept a request and have the worker carry it out
 * @s: the session
 * @op: the request
 * @req: its arguments, NULL for none; their references are taken over on success
 * @extack: why not
 *
 * Return: 0, or as ckpt_session_allows().
 */
int ckpt_session_start(struct ckpt_session *s, enum ckpt_cmd op, const struct ckpt_request *req,
		       struct netlink_ext_ack *extack)
{
	int ret;

	mutex_lock(&s->lock);
	ret = ckpt_session_allows(s, op, extack);
	if (!ret) {
		WRITE_ONCE(s->op, op);
		if (op == CKPT_CMD_SNAPSHOT)
			s->mode = req->mode;
		if (req)
			s->req = *req;
	}
	mutex_unlock(&s->lock);
	if (ret)
		return ret;
	if (op == CKPT_CMD_FREEZE) {
		kref_get(&s->ref);
		queue_delayed_work(urgent_queue, &s->deadline, msecs_to_jiffies(s->deadline_ms));
	}
	session_queue(s);
	return 0;
}

/* Under sessions_lock: may this user open one more on this socket? */
static int may_open(const struct sock *sk, struct netlink_ext_ack *extack)
{
	struct ckpt_session *s;
	unsigned int mine = 0;

	list_for_each_entry(s, &sessions, node) {
		if (s->sk == sk) {
			NL_SET_ERR_MSG(extack, "this socket has a session already");
			return -EBUSY;
		}
		mine += uid_eq(s->cred->uid, current_uid());
	}
	if (mine >= CKPT_SESSIONS_PER_USER) {
		NL_SET_ERR_MSG(extack, "this user has too many checkpoints and restarts under way");
		return -EUSERS;
	}
	return 0;
}

/**
 * ckpt_session_open() - a new session for the sender of a request
 * @sk: the sender's socket
 * @portid: its number
 * @extack: why not
 *
 * Return: the session with a reference for the caller, or an ERR_PTR.
 */
struct ckpt_session *ckpt_session_open(struct sock *sk, u32 portid,
				       struct netlink_ext_ack *extack)
{
	struct ckpt_session *s;
	int ret;

	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return ERR_PTR(-ENOMEM);
	kref_init(&s->ref);
	mutex_init(&s->lock);
	mutex_init(&s->walk_lock);
	mutex_init(&s->work_lock);
	INIT_WORK(&s->work, session_work);
	INIT_DELAYED_WORK(&s->deadline, deadline_work);
	ckpt_records_init(&s->records);
	ckpt_records_init(&s->page_records);
	INIT_LIST_HEAD(&s->node);
	INIT_LIST_HEAD(&s->shms);
	sock_hold(sk);
	s->sk = sk;
	s->portid = portid;
	s->net = get_net(sock_net(sk));
	s->cred = get_current_cred();
	s->pid_ns = get_pid_ns(task_active_pid_ns(current));
	s->owner = get_pid(task_tgid(current));
	__module_get(THIS_MODULE);
	ret = ckpt_report_init(s);

	mutex_lock(&sessions_lock);
	ret = ret ?: may_open(sk, extack);
	if (!ret) {
		s->id = ++last_id ?: ++last_id;
		kref_get(&s->ref);
		list_add_tail(&s->node, &sessions);
	}
	mutex_unlock(&sessions_lock);
	if (ret) {
		ckpt_session_put(s);
		return ERR_PTR(ret);
	}
	return s;
}

/**
 * ckpt_session_claim() - make a session the only one at work on a cgroup
 * @s: a new session
 * @cgroup: its reference becomes the session's on success
 * @extack: why not
 *
 * Return: 0 or -EBUSY.
 */
int ckpt_session_claim(struct ckpt_session *s, struct cgroup *cgroup,
		       struct netlink_ext_ack *extack)
{
	struct ckpt_session *other;
	int ret = 0;

	mutex_lock(&sessions_lock);
	list_for_each_entry(other, &sessions, node) {
		if (other == s || !other->cgroup || READ_ONCE(other->phase) >= CKPT_THAWED)
			continue;
		if (cgroup_is_descendant(other->cgroup, cgroup) ||
		    cgroup_is_descendant(cgroup, other->cgroup)) {
			NL_SET_ERR_MSG(extack, "another checkpoint of this job is under way");
			ret = -EBUSY;
			break;
		}
	}
	if (!ret)
		s->cgroup = cgroup;
	mutex_unlock(&sessions_lock);
	return ret;
}

static bool is_of_socket(const struct ckpt_session *s, const void *sk)
{
	return s->sk == sk;
}

static bool has_id(const struct ckpt_session *s, const void *id)
{
	return s->id == *(const u32 *)id;
}

/* Of a socket with this number, which is somebody else's by now. */
static bool is_orphan(const struct ckpt_session *s, const void *portid)
{
	return s->portid == *(const u32 *)portid && sock_flag(s->sk, SOCK_DEAD) &&
	       !ckpt_session_stopped(s);
}

static struct ckpt_session *session_find(const struct net *net, const void *what,
					 bool (*is)(const struct ckpt_session *s, const void *what))
{
	struct ckpt_session *s, *found = NULL;

	mutex_lock(&sessions_lock);
	list_for_each_entry(s, &sessions, node) {
		if (net_eq(s->net, net) && is(s, what)) {
			kref_get(&s->ref);
			found = s;
			break;
		}
	}
	mutex_unlock(&sessions_lock);
	return found;
}

/**
 * ckpt_session_find() - the session of a socket
 * @sk: the socket
 *
 * Return: the session with a reference, or NULL.
 */
struct ckpt_session *ckpt_session_find(const struct sock *sk)
{
	return session_find(sock_net(sk), sk, is_of_socket);
}

/**
 * ckpt_session_find_id() - the session of this id
 * @net: the asker's network namespace, which must be the session's
 * @id: as OPEN's reply said
 *
 * Return: the session with a reference, or NULL.
 */
struct ckpt_session *ckpt_session_find_id(struct net *net, u32 id)
{
	return id ? session_find(net, &id, has_id) : NULL;
}

/**
 * ckpt_session_count() - sessions open now
 *
 * Return: how many, of all users.
 */
unsigned int ckpt_session_count(void)
{
	struct ckpt_session *s;
	unsigned int n = 0;

	mutex_lock(&sessions_lock);
	list_for_each_entry(s, &sessions, node)
		n++;
	mutex_unlock(&sessions_lock);
	return n;
}

/* A netlink socket was closed: its session ends with it.  Only its number is told. */
static int socket_released(struct notifier_block *nb, unsigned long event, void *data)
{
	const struct netlink_notify *n = data;
	struct ckpt_session *s;

	if (event != NETLINK_URELEASE || n->protocol != NETLINK_GENERIC)
		return NOTIFY_DONE;
	while ((s = session_find(n->net, &n->portid, is_orphan))) {
		ckpt_session_stop(s, CKPT_STOP_CLOSED);
		ckpt_session_put(s);
	}
	return NOTIFY_DONE;
}

static struct notifier_block netlink_notifier = { .notifier_call = socket_released };

/**
 * ckpt_session_init() - workqueue and notifier
 *
 * Return: 0 or a negative errno.
 */
int ckpt_session_init(void)
{
	int ret = -ENOMEM;

	urgent_queue = alloc_workqueue("ckpt", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!urgent_queue)
		return ret;
	writing_queue = alloc_workqueue("ckpt_write", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!writing_queue)
		goto err_urgent;
	ret = netlink_register_notifier(&netlink_notifier);
	if (ret)
		goto err_writing;
	return 0;

err_writing:
	destroy_workqueue(writing_queue);
err_urgent:
	destroy_workqueue(urgent_queue);
	return ret;
}

/**
 * ckpt_session_exit() - the reverse; there are no sessions any more
 */
void ckpt_session_exit(void)
{
	netlink_unregister_notifier(&netlink_notifier);
	destroy_workqueue(urgent_queue);
	destroy_workqueue(writing_queue);
}
