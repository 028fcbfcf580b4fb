/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A checkpoint in steps, for who makes several at once and wants all of their
 * cgroups frozen before the first is looked at.  One struct checkpoint is one
 * cgroup's, with a session of its own:
 *
 *	checkpoint_prepare
 *	checkpoint_freeze    checkpoint_frozen
 *	checkpoint_snapshot  checkpoint_snapped
 *	checkpoint_thaw      checkpoint_thawed
 *	checkpoint_record
 *	checkpoint_write     checkpoint_written
 *	checkpoint_commit
 *	checkpoint_end
 *
 * Of a pair, the first one asks and does not wait: ask for all, then wait for
 * each.  A checkpoint that is written while the job stands still (--stop and
 * the like, checkpoint_hold()) is written before it is thawed, and recorded
 * after that.
 *
 * Each returns enum ck_exit and has reported a failure (out.h).  After one only
 * checkpoint_end() may follow; it may come at any moment: what is frozen runs
 * on, and unless it was committed, the former image is as it was.
 */
#ifndef CKCTL_PHASES_H
#define CKCTL_PHASES_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint.h"
#include "room.h"

/* What all attempts at a checkpoint have in common, and all its parts that are made at the
 * same time. */
struct checkpoint_group {
	uint64_t start_ns;		/* of CLOCK_MONOTONIC: MaxWait counts from there */
	bool alone;			/* nothing else stands still for it: see moment.c */
	int stop_fd;			/* all give up as soon as this can be read */
};

struct checkpoint;
struct dump;

/* *c is never NULL after success; @req, @res and @group must outlive it. */
int checkpoint_prepare(struct checkpoint **c, const struct checkpoint_request *req,
		       struct checkpoint_result *res, const struct checkpoint_group *group);
/* Of one that is prepared: what it takes to let the job run while it is written. */
struct room checkpoint_room(const struct checkpoint *c);
/* Before the freeze: the job is to stand still until all is written; what to say then. */
#define CHECKPOINT_HELD_NOTE "the job stood still until its memory was written: neither its limits " \
			     "nor the machine have room for a copy of what it changes meanwhile"
void checkpoint_hold(struct checkpoint *c);
int checkpoint_freeze(struct checkpoint *c);
int checkpoint_frozen(struct checkpoint *c);
int checkpoint_snapshot(struct checkpoint *c);
/* CK_REFUSED for obstacles, which checkpoint_end() leaves in the result. */
int checkpoint_snapped(struct checkpoint *c);
int checkpoint_thaw(struct checkpoint *c);
int checkpoint_thawed(struct checkpoint *c);
int checkpoint_record(struct checkpoint *c);
int checkpoint_write(struct checkpoint *c);
int checkpoint_written(struct checkpoint *c);
int checkpoint_commit(struct checkpoint *c);
/* Of one that was snapped: the processes that are in it, with their status. */
const struct dump *checkpoint_dump(const struct checkpoint *c);
/* NULL is fine.  True when what failed need not fail again: a process ended or
 * called exec at the wrong moment, or what stood against it is over.  One that is
 * alone waits for that for up to half a second, while the job runs on. */
bool checkpoint_end(struct checkpoint *c);

/*
 * Before the attempt that follows @number failed ones: a pause, longer each
 * time.  False when there have been enough of them or no time is left.
 */
bool checkpoint_try_again(const struct checkpoint_group *group, uint64_t max_wait_ms, int number);
/* One that begins now. */
void checkpoint_group_begin(struct checkpoint_group *group, bool alone, int stop_fd);
/* Every signal that asks a program to end, as a descriptor; -1 and errno. */
int checkpoint_signal_fd(void);

#endif
