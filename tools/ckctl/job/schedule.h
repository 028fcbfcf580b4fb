/* SPDX-License-Identifier: GPL-2.0 */
/*
 * When a job is checkpointed: at an interval, counted from its start; sooner
 * after a failure; and once more before its end, when that is known.  Nothing
 * but arithmetic: all times are milliseconds of one clock that does not jump.
 */
#ifndef CKCTL_SCHEDULE_H
#define CKCTL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#define SCHEDULE_NEVER	INT64_MAX

struct schedule {
	int64_t interval, jitter, start;
	int64_t margin;			/* before the end, besides what a checkpoint takes, ... */
	int64_t factor;			/* ... this often */
	int64_t duration;		/* of the last one, or what one is expected to take */
	int64_t end;			/* when the job has to end, or SCHEDULE_NEVER */
	int64_t regular;		/* the next one of the interval */
	int64_t retry;			/* after a failure, or SCHEDULE_NEVER */
	int64_t look;			/* when to ask again for the end, or SCHEDULE_NEVER */
	int64_t poll;			/* ask this often, or 0 */
	bool hurry;			/* the end has begun: the last one cannot be made too soon */
	unsigned int failures;		/* since the last good one */
	bool last_tried;		/* the one before that end, in vain so far */
	bool last_made;			/* nothing is left to do before that end */
};

/*
 * With an interval of seconds, from @now on.  Jobs with the same interval that
 * start together do not checkpoint together: @seed spreads them over a tenth of
 * the interval, and a minute at most.  The caller sets margin, factor, duration,
 * poll and hurry.
 */
void schedule_begin(struct schedule *s, int64_t now, uint64_t interval_s, uint32_t seed);

/* The job ends then, as far as is known @now. */
void schedule_end(struct schedule *s, int64_t now, int64_t end);

/* The last one, which is made before the end; SCHEDULE_NEVER for none. */
int64_t schedule_last(const struct schedule *s);
/* The next checkpoint. */
int64_t schedule_due(const struct schedule *s);
/* When there is something to do: a checkpoint, or to ask for the end. */
int64_t schedule_wake(const struct schedule *s);

/* What came of one that was begun at @begun and has ended @now. */
void schedule_made(struct schedule *s, int64_t begun, int64_t now);
void schedule_failed(struct schedule *s, int64_t begun, int64_t now);
/* There was nothing to checkpoint, as the job is suspended. */
void schedule_skipped(struct schedule *s, int64_t now);

#endif
