/* SPDX-License-Identifier: GPL-2.0 */
/* One checkpoint under way, inside of this directory. */
#ifndef CKCTL_CHECKPOINT_CONTEXT_H
#define CKCTL_CHECKPOINT_CONTEXT_H

#include "../image/image.h"
#include "../nl.h"
#include "../state/proc.h"
#include "../state/state.h"
#include "phases.h"

struct progress;

struct checkpoint {
	const struct checkpoint_request *req;
	struct checkpoint_result *res;
	const struct checkpoint_group *group;
	uint64_t frozen_ns;
	int cgroup_fd;
	struct nl *nl;
	struct nl_info info;
	struct nl_msg *snapshot, *thaw;	/* made before the freeze */
	struct image_writer *writer;
	struct places *places;		/* for temporary files */
	struct image_meta meta;
	struct dump dump;
	struct proc *early;		/* opened before the freeze, and not in dump.procs */
	size_t nr_early;
	size_t early_room;		/* for the rehearsal */
	struct progress *progress;
	bool held;			/* the job stands still until all is written */
	const struct proc *unreadable;	/* in dump: whose memory we may not read */
	bool fleeting;			/* what failed may not fail again */
	uint64_t index_pos;		/* of a stream: where the next run goes */
};

/* checkpoint.c: what MaxWait leaves, in ms; -1 without one. */
int checkpoint_remaining_ms(const struct checkpoint *c);
/* nl_wait() in what MaxWait leaves; may the next step be begun? */
int checkpoint_wait(struct checkpoint *c, enum ckpt_event event, const struct nl_stream *stream,
		    struct nl_event *ev);
int checkpoint_may_go_on(const struct checkpoint *c);

/* What happened to process @pid may not happen again if it has only ended. */
int checkpoint_gone(struct checkpoint *c, int err, const char *what, pid_t pid);

/* prove.c: all frozen and sorted out, the right to read them, and what is to be left out. */
int prove(struct checkpoint *c);
/* Their status is read: whose image it is may have all of their memory. */
int prove_owner(const struct checkpoint *c);

/* moment.c: frozen, and a right was missing: was it that to read somebody's memory? */
void moment_denied(struct checkpoint *c);
/* Thawed; does what stood against it no longer do so, now or in a moment? */
bool moment_is_over(const struct checkpoint *c);

/* save.c: all frozen, the contents of files that are to be in the image; only looked at
 * when there will be none. */
int save_contents(struct checkpoint *c, bool held);

#endif
