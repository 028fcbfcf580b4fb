// SPDX-License-Identifier: GPL-2.0
#include "schedule.h"

#define SECOND		1000
#define JITTER_MAX	(60 * SECOND)
#define LOOK_MIN	(10 * SECOND)

static int64_t min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The first one of the interval after @now, whatever was missed until then. */
static void advance(struct schedule *s, int64_t now)
{
	int64_t first = s->start + s->jitter, nr;

	if (now < first) {
		s->regular = first + s->interval;
		return;
	}
	nr = (now - first) / s->interval + 1;
	s->regular = first + nr * s->interval;
}

void schedule_begin(struct schedule *s, int64_t now, uint64_t interval_s, uint32_t seed)
{
	int64_t spread;

	*s = (struct schedule){
		.interval = (int64_t)interval_s * SECOND, .start = now, .end = SCHEDULE_NEVER,
		.retry = SCHEDULE_NEVER, .look = SCHEDULE_NEVER,
	};
	/* Knuth's multiplier: the ids of an array, one after the other, come out far apart. */
	spread = min(s->interval / 10, JITTER_MAX);
	s->jitter = (int64_t)((uint64_t)(seed * 2654435761U) * (uint64_t)spread >> 32);
	advance(s, now);
}

int64_t schedule_last(const struct schedule *s)
{
	int64_t last;

	if (s->end == SCHEDULE_NEVER)
		return SCHEDULE_NEVER;
	if (s->hurry)
		return s->start;
	last = s->end - s->margin - s->factor * s->duration;
	/* A job that is shorter than all that has done something by half its time. */
	return max(last, s->start + (s->end - s->start) / 2);
}

static bool is_over(const struct schedule *s, int64_t now)
{
	return s->end != SCHEDULE_NEVER && now >= s->end;
}

/* Ask again when half of the time is over: often enough as it runs out. */
static void plan_look(struct schedule *s, int64_t now)
{
	int64_t last = schedule_last(s);

	s->look = SCHEDULE_NEVER;
	if (last != SCHEDULE_NEVER && last > now && last - now > LOOK_MIN)
		s->look = now + max((last - now) / 2, LOOK_MIN);
	else if (last != SCHEDULE_NEVER && s->last_made)
		/* It may have been put off since, less and less likely. */
		s->look = max(now + max(now - s->end, LOOK_MIN), s->end + LOOK_MIN);
	if (s->poll)
		s->look = min(s->look, now + s->poll);
}

void schedule_end(struct schedule *s, int64_t now, int64_t end)
{
	/* It is computed from a wall clock: a second is no news. */
	if (end == SCHEDULE_NEVER || s->end == SCHEDULE_NEVER || end > s->end + SECOND ||
	    end < s->end - SECOND) {
		s->end = end;
		s->last_made = s->last_tried = false;
	}
	/* A limit that is over without that the job is: there is none. */
	if (is_over(s, now)) {
		s->last_made = true;
		if (s->last_tried)
			s->retry = SCHEDULE_NEVER;
	}
	plan_look(s, now);
}

int64_t schedule_due(const struct schedule *s)
{
	int64_t due = min(s->regular, s->retry), last = schedule_last(s);

	if (last == SCHEDULE_NEVER)
		return due;
	if (s->last_made)
		/* What comes now would come in the way of the end itself. */
		return max(due, s->end + LOOK_MIN);
	if (s->last_tried)
		return s->retry;
	/* Two in a row are of no more use than one. */
	return due + max(2 * s->duration, SECOND) > last ? last : due;
}

int64_t schedule_wake(const struct schedule *s)
{
	return min(schedule_due(s), s->look);
}

void schedule_made(struct schedule *s, int64_t begun, int64_t now)
{
	s->duration = now - begun;
	s->failures = 0;
	s->retry = SCHEDULE_NEVER;
	/* It may have been shorter than expected: then the last one can wait. */
	s->last_tried = false;
	if (schedule_last(s) <= begun)
		s->last_made = true;
	advance(s, now);
	plan_look(s, now);
}

/* The last one is tried again as long as there is any time. */
static bool try_last_again(struct schedule *s, int64_t begun, int64_t now, int64_t *wait)
{
	if (schedule_last(s) > begun)
		return false;
	*wait = min(*wait, max((s->end - now) / 4, SECOND));
	s->last_tried = true;
	s->last_made = now + *wait >= s->end;
	return true;
}

void schedule_failed(struct schedule *s, int64_t begun, int64_t now)
{
	int64_t wait = max(s->interval / 4, SECOND);
	unsigned int i;

	for (i = 0; i < s->failures && wait < s->interval; i++)
		wait *= 2;
	s->failures++;
	wait = min(wait, max(s->interval, SECOND));
	try_last_again(s, begun, now, &wait);
	s->retry = now + wait;
	advance(s, now);
	plan_look(s, now);
}

void schedule_skipped(struct schedule *s, int64_t now)
{
	int64_t wait = s->interval;

	s->retry = try_last_again(s, now, now, &wait) ? now + wait : SCHEDULE_NEVER;
	advance(s, now);
	plan_look(s, now);
}
