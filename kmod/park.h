/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The way of one thread through a restart.  It has sent PARK or RESTORE, has a
 * ticket, and on its way out of that system call runs, as task works:
 *
 *   sibling   hide its user pointers, park
 *   leader    hide its user pointers, wait until its siblings have parked,
 *             replace the address space, read the pages in, close descriptors,
 *             let their release happen, park
 *
 * Parked threads sleep on nothing but their own ticket, so that SET can write
 * their registers; COMMIT wakes all of them.  A ticket ends when its thread
 * goes to user mode or dies, whatever comes first.
 */
#ifndef CKPT_PARK_H
#define CKPT_PARK_H

#include <linux/mutex.h>
#include <linux/task_work.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include "state/thread.h"

struct ckpt_session;
struct task_struct;

/**
 * struct ckpt_group - the threads of one process
 * @wait: the leader, for its siblings
 * @parked: siblings that are parked or about to sleep; never touch memory again
 */
struct ckpt_group {
	wait_queue_head_t wait;
	atomic_t parked;
};

enum ckpt_ticket_state {
	TICKET_COMING,		/* on its way: task works queued or running */
	TICKET_PARKED,		/* asleep, or about to be */
	TICKET_SET,		/* has been given its state */
};

/**
 * struct ckpt_ticket - one thread on its way through a restart
 * @work: what it does next
 * @session: referenced
 * @task: referenced
 * @group: of its process
 * @key: in the table of all tickets: its pid in the initial namespace
 * @pid: in the session's tickets: its pid as the owner sees it
 * @plan_addr: RESTORE's, 0 for PARK
 * @timers_ns: of the plan, for COMMIT
 * @state: under ckpt_restore.lock
 * @hidden: its user pointers while it is parked
 * @set: what it puts in place when it is let go
 */
struct ckpt_ticket {
	struct callback_head work;
	struct ckpt_session *session;
	struct task_struct *task;
	struct ckpt_group *group;
	unsigned long key;
	unsigned long pid;
	u64 plan_addr;
	u64 timers_ns;
	enum ckpt_ticket_state state;
	struct ckpt_thread_hidden hidden;
	struct ckpt_thread_set set;
};

/**
 * struct ckpt_restore - the restart half of a session
 * @lock: protects @tickets, the tickets' states, the counts and flags
 * @tickets: struct ckpt_ticket by pid, of all threads on their way or parked
 * @groups: struct ckpt_group by tgid in the initial namespace
 * @nr_threads: that are to park
 * @nr_tickets: given out, also those that have ended
 * @nr_parked: of them parked at some time
 * @nr_set: of them given their state
 * @nr_ended: of them gone
 * @go: COMMIT was given: everybody leaves
 * @aborted: no more tickets; everybody dies
 */
struct ckpt_restore {
	struct mutex lock;
	struct xarray tickets;
	struct xarray groups;
	u32 nr_threads;
	u32 nr_tickets;
	u32 nr_parked;
	u32 nr_set;
	u32 nr_ended;
	bool go;
	bool aborted;
};

/* All tickets of all sessions by pid: a thread can have one. */
extern struct xarray ckpt_tickets;

void ckpt_park_arrive(struct callback_head *work);

#endif
