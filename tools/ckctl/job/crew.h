/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The agents of a job's checkpoint (agent.h), one a node, as who coordinates them
 * sees them: all are asked at once, and all have answered, or one has failed.
 * They are one step of the job, started by srun; where the coordinator is on one
 * of the nodes itself, that node's agent is its own child.  All int functions
 * return enum ck_exit and have reported failures (out.h).
 */
#ifndef CKCTL_CREW_H
#define CKCTL_CREW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* What the step is called in Slurm's lists. */
#define CREW_NAME	"ckpt-agent"
/* Set in the agents' environment, for plugins and the like: these are no tasks. */
#define CREW_MARK	"CKPT_HELPER"

struct crew;
struct deadline;

/*
 * Start an agent on each of @nodes, an array of names, and wait until all are
 * there.  @here is the node on which the child serves; NULL for none.  In any
 * case crew_end() must follow.
 */
int crew_start(struct crew **crew, const char *job, const json_t *nodes, const char *here,
	       const struct deadline *d);
/*
 * Send @request, whose reference it takes, to all, and wait for the answers.
 * When one of them says no, or nothing for too long, that is the failure; then
 * all should be told to abort.
 */
int crew_ask(struct crew *crew, json_t *request);
/* After a failure: no agent is at work any more, and all are ready to begin anew. */
int crew_abort(struct crew *crew);
/* What failed need not fail again. */
bool crew_may_try_again(const struct crew *crew);
/* And if there are any, what stands against the checkpoint, sentence by sentence. */
json_t *crew_obstacles(const struct crew *crew);
/* What the user should know of all that has gone well so far, sentence by sentence. */
const json_t *crew_notes(const struct crew *crew);

size_t crew_size(const struct crew *crew);
const char *crew_node(const struct crew *crew, size_t i);
/* The last answer of that node, borrowed. */
const json_t *crew_answer(const struct crew *crew, size_t i);
/* The arrays of that name in the last answers of all nodes, as one; NULL when out of memory. */
json_t *crew_collect(const struct crew *crew, const char *key);
/* What the last answers say under this key of a part of the image, borrowed; NULL for nothing. */
json_t *crew_told(const struct crew *crew, const char *key);

/* Send them home: whatever is under way is aborted.  NULL is fine. */
void crew_end(struct crew *crew);

#endif
