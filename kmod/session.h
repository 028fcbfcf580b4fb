/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A session: one checkpoint or one restart under way, bound to the netlink
 * socket that opened it.  The phases of a checkpoint:
 *
 *          FREEZE          SNAPSHOT (again)
 *   OPENED ------> FROZEN -----------------> SNAPPED --WRITE (held)--+
 *      |             |                        |  ^                   |
 *      |             |                   THAW |  +-------------------+
 *      |             |                        v
 *      |             |                      THAWED <--WRITE (copy-on-write)
 *      v             v                        v
 *      +-------------+--- stop, failure ------+---> DEAD
 *
 * and of a restart: OPENED -(all parked)-> PARKED -COMMIT-> COMMITTED.
 *
 * Requests are accepted one at a time: @op holds the one at work, carried out
 * by @work on the module's own workqueue; a second one meets -EBUSY.
 * Whatever ends a session early (socket closed, deadline, failure) goes
 * through ckpt_session_stop(): it thaws at once, long work looks at @stop and
 * gives up, and the last reference frees everything.
 */
#ifndef CKPT_SESSION_H
#define CKPT_SESSION_H

#include <linux/cred.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include <linux/ckpt.h>
#include "records.h"

struct cgroup;
struct file;
struct net;
struct netlink_ext_ack;
struct pid_namespace;
struct sk_buff;
struct sock;
struct task_struct;

enum ckpt_phase {
	CKPT_OPENED,
	CKPT_FROZEN,
	CKPT_SNAPPED,
	CKPT_THAWED,
	CKPT_PARKED,
	CKPT_COMMITTED,
	CKPT_DEAD,
};

/* A reason to stop that nobody is left to be told: the socket was closed. */
#define CKPT_STOP_CLOSED	0x100

/**
 * struct ckpt_process - one thread group of a checkpoint
 * @leader: the thread group leader, with a reference; it may have ended before others
 * @threads: all threads that live, the leader first if it does, with references
 * @alive: the first of them: what all of them share
 * @mm: its address space, with an mm_users reference from the snapshot on
 * @nr_threads: how many
 * @pid: as the session's owner sees it, 0 when it does not
 * @proved: the owner showed a /proc/PID/mem file of exactly @mm
 * @omitted: and wants it left out of the snapshot
 */
struct ckpt_process {
	struct task_struct *leader;
	struct task_struct **threads;
	struct task_struct *alive;
	struct mm_struct *mm;
	unsigned int nr_threads;
	pid_t pid;
	bool proved;
	bool omitted;
};

/**
 * struct ckpt_failure - the first thing that went wrong
 * @reason: for programs
 * @err: positive errno, 0 while nothing went wrong
 * @pid: the task concerned or 0
 * @message: a sentence for a person
 */
struct ckpt_failure {
	enum ckpt_reason reason;
	int err;
	pid_t pid;
	char message[CKPT_MAX_MESSAGE];
};

/**
 * struct ckpt_obstacles - what else stands against a checkpoint
 * @text: sentences, each with its NUL; NULL until there is one
 * @len: bytes used of CKPT_MAX_OBSTACLES
 * @nr_unnamed: how many there was no room for
 */
struct ckpt_obstacles {
	char *text;
	size_t len;
	unsigned int nr_unnamed;
};

struct ckpt_mapped_file;
struct ckpt_snapshot;
struct ckpt_restore;

/**
 * struct ckpt_request - arguments of a request that the worker carries out
 * @mode: of SNAPSHOT
 * @leave_frozen: of THAW
 * @page_file: of WRITE, NULL for a stream; the reference passes to the session
 * @index_file: likewise
 */
struct ckpt_request {
	enum ckpt_mode mode;
	bool leave_frozen;
	struct file *page_file;
	struct file *index_file;
};

/**
 * struct ckpt_session - see the top of this file
 * @ref: one by the list while the socket lives, one by each user and queued work
 * @node: in the list of sessions, under its lock
 * @id: names a restart session to its skeletons; unique while it lives
 * @sk: the owner's socket, referenced; it may be closed
 * @portid: of that, and of another one's once it is closed
 * @net: of the owner's socket, referenced
 * @cred: of the owner, when the session was opened
 * @pid_ns: of the owner; all pids in messages are in it
 * @owner: the owner's thread group, which must not be in the cgroup
 * @admin: the owner may freeze and read, or restart into, every user's tasks
 * @may_set_exe: the owner has CAP_CHECKPOINT_RESTORE in its user namespace, which
 *	is that of every skeleton
 * @lock: protects @phase, @op, @req, @failure, @obstacles
 * @walk_lock: held while pages are being shared; a thaw waits for it
 * @work_lock: held while @work runs
 * @phase: see the diagram
 * @op: the request at work, 0 for none
 * @stop: enum ckpt_reason or CKPT_STOP_CLOSED: give up; looked at by all long
 *	work; 0 to go on
 * @work: carries out @op
 * @deadline: stops the session when the job stood still too long
 * @failure: what the FAILED event says
 * @obstacles: and what more it says, when that is one
 * @spare: a message for when there is no memory for one; taken with xchg()
 * @cgroup: being checkpointed, with a reference
 * @freeze_file: its cgroup.freeze, open for writing
 * @freeze_ms: how long freezing may take
 * @deadline_ms: how long the job may stand still
 * @was_frozen: the cgroup was frozen before we came: ending early leaves it so
 * @froze: we wrote "1" and have not written "0" since; under @walk_lock
 * @mended: no system call will fail with EINTR because of that
 * @frozen_at: ktime of the freeze request, ns
 * @monotonic_ns: the machine's CLOCK_MONOTONIC when all are frozen, the instant
 *	that is saved
 * @boottime_ns: CLOCK_BOOTTIME, likewise
 * @standstill_ns: set by the thaw
 * @procs: frozen processes, ascending by pid
 * @nr_procs: how many
 * @zombies: dead children of theirs, with references
 * @nr_zombies: how many
 * @files: mapped files met while the state is being recorded, see state/mapped.c
 * @records: serialized state, filled by SNAPSHOT
 * @page_records: what was written for whom, filled by WRITE
 * @shms: shared memory objects met by SNAPSHOT (shm.c)
 * @snapshot: pages held, filled by SNAPSHOT
 * @mode: of the snapshot
 * @req: arguments of @op
 * @restore: state of a restart session, NULL for a checkpoint
 */
struct ckpt_session {
	struct kref ref;
	struct list_head node;
	u32 id;
	struct sock *sk;
	u32 portid;
	struct net *net;
	const struct cred *cred;
	struct pid_namespace *pid_ns;
	struct pid *owner;
	bool admin;
	bool may_set_exe;

	struct mutex lock;
	struct mutex walk_lock;
	struct mutex work_lock;
	enum ckpt_phase phase;
	enum ckpt_cmd op;
	unsigned int stop;
	struct work_struct work;
	struct delayed_work deadline;
	struct ckpt_failure failure;
	struct ckpt_obstacles obstacles;
	struct sk_buff *spare;

	struct cgroup *cgroup;
	struct file *freeze_file;
	unsigned int freeze_ms;
	unsigned int deadline_ms;
	bool was_frozen;
	bool froze;
	bool mended;
	u64 frozen_at;
	u64 monotonic_ns;
	u64 boottime_ns;
	u64 standstill_ns;
	struct ckpt_process *procs;
	unsigned int nr_procs;
	struct task_struct **zombies;
	unsigned int nr_zombies;

	struct ckpt_mapped_file *files;
	struct ckpt_records records;
	struct ckpt_records page_records;
	struct list_head shms;
	struct ckpt_snapshot *snapshot;
	enum ckpt_mode mode;
	struct ckpt_request req;

	struct ckpt_restore *restore;
};

int ckpt_session_init(void);
void ckpt_session_exit(void);

struct ckpt_session *ckpt_session_open(struct sock *sk, u32 portid,
				       struct netlink_ext_ack *extack);
int ckpt_session_claim(struct ckpt_session *s, struct cgroup *cgroup,
		       struct netlink_ext_ack *extack);
struct ckpt_session *ckpt_session_find(const struct sock *sk);
struct ckpt_session *ckpt_session_find_id(struct net *net, u32 id);
void ckpt_session_get(struct ckpt_session *s);
void ckpt_session_put(struct ckpt_session *s);
unsigned int ckpt_session_count(void);

void ckpt_session_unlink(struct ckpt_session *s);
int ckpt_session_allows(const struct ckpt_session *s, enum ckpt_cmd op,
			struct netlink_ext_ack *extack);
int ckpt_session_start(struct ckpt_session *s, enum ckpt_cmd op, const struct ckpt_request *req,
		       struct netlink_ext_ack *extack);
void ckpt_session_stop(struct ckpt_session *s, unsigned int reason);

/**
 * ckpt_session_stopped() - should long work give up?
 * @s: the session
 *
 * Return: true when the session was told to stop.
 */
static inline bool ckpt_session_stopped(const struct ckpt_session *s)
{
	return READ_ONCE(s->stop) != CKPT_REASON_NONE;
}

#endif
