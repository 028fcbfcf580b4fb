// SPDX-License-Identifier: GPL-2.0
/* A schedule that is run against a clock of our own, second after second. */
#include <inttypes.h>

#include "job/schedule.h"
#include "tap.h"

#define S	INT64_C(1000)
#define T0	(INT64_C(5000) * S)	/* the clock counted before */

/* All checkpoints until @until, each of which takes @took. */
static unsigned int run(struct schedule *s, int64_t *now, int64_t until, int64_t took,
			int64_t *times, unsigned int max)
{
	unsigned int n = 0;

	while (*now < until && n < max) {
		if (schedule_wake(s) > *now)
			*now = schedule_wake(s);
		if (*now >= until)
			break;
		if (s->end != SCHEDULE_NEVER || s->poll)
			schedule_end(s, *now, s->end);
		if (schedule_due(s) > *now)
			continue;
		times[n++] = *now;
		*now += took;
		schedule_made(s, *now - took, *now);
	}
	return n;
}

static void test_interval(void)
{
	struct schedule s;
	int64_t now = T0, times[100], first;
	unsigned int n;

	schedule_begin(&s, now, 300, 17);
	first = T0 + 300 * S + s.jitter;
	ok(s.jitter >= 0 && s.jitter < 30 * S, "the jitter is below a tenth of the interval");
	n = run(&s, &now, T0 + 3600 * S, 7 * S, times, 100);
	ok(n == 11, "11 checkpoints in an hour at an interval of five minutes (%u)", n);
	ok(times[0] == first && times[1] == first + 300 * S && times[10] == first + 3000 * S,
	   "counted from the start, not from the last one's end");

	schedule_begin(&s, T0, 10, 3);
	now = T0;
	n = run(&s, &now, T0 + 100 * S, 25 * S, times, 100);
	ok(n >= 3 && n <= 4 && times[1] - times[0] == 30 * S,
	   "one that takes longer than the interval: what it missed is left out (%u)", n);
}

static void test_jitter(void)
{
	unsigned int second[60] = { 0 }, id, most = 0;
	struct schedule s;

	for (id = 1000; id < 1600; id++) {
		schedule_begin(&s, 0, 3600, id);
		if (s.jitter < 0 || s.jitter >= 60 * S)
			break;
		if (++second[s.jitter / S] > most)
			most = second[s.jitter / S];
	}
	ok(id == 1600, "the jitter is a minute at most");
	ok(most <= 15, "600 jobs in a row: at most %u in one second, where 10 is even", most);
}

static void test_failures(void)
{
	struct schedule s;
	int64_t now = T0;

	schedule_begin(&s, now, 400, 1);
	s.jitter = 0;
	now += 400 * S;
	schedule_failed(&s, now, now);
	ok(schedule_due(&s) == now + 100 * S, "tried again after a quarter of the interval");
	now += 100 * S;
	schedule_failed(&s, now, now);
	ok(schedule_due(&s) == now + 200 * S, "then after half of it");
	now += 200 * S;
	schedule_failed(&s, now, now);
	ok(schedule_due(&s) == T0 + 800 * S, "then when the next one is due anyway (%" PRId64 ")",
	   (schedule_due(&s) - T0) / S);
	now = T0 + 800 * S;
	schedule_made(&s, now, now + S);
	ok(schedule_due(&s) == T0 + 1200 * S && !s.failures, "after a good one all is as before");

	schedule_begin(&s, now, 2, 1);
	schedule_failed(&s, now, now);
	ok(schedule_due(&s) == now + S, "a second at least");
}

static void test_end(void)
{
	struct schedule s;
	int64_t now = T0, times[100];
	unsigned int n;

	schedule_begin(&s, now, 600, 1);
	s.jitter = 0;
	s.regular = T0 + 600 * S;
	s.margin = 60 * S;
	s.factor = 3;
	s.duration = 10 * S;
	schedule_end(&s, now, T0 + 3600 * S);
	n = run(&s, &now, T0 + 3600 * S, 10 * S, times, 100);
	ok(n == 6 && times[4] == T0 + 3000 * S && times[5] == T0 + (3600 - 90) * S,
	   "a last one: the margin and three durations before the end (%u)", n);
	ok(schedule_due(&s) > T0 + 3600 * S, "and none after that");

	/* The limit is raised while the schedule sleeps. */
	schedule_begin(&s, T0, 6000, 1);
	s.margin = 60 * S;
	schedule_end(&s, T0, T0 + 1000 * S);
	ok(schedule_wake(&s) == T0 + 470 * S, "the end is asked for when half of the time is over");
	now = schedule_last(&s);
	schedule_end(&s, now, T0 + 2000 * S);
	ok(schedule_due(&s) == T0 + 1940 * S, "put off, it is made later");
	schedule_end(&s, now, T0 + 970 * S);
	ok(schedule_due(&s) <= now, "moved to before the margin, it is made at once");
	schedule_made(&s, now, now + S);
	ok(schedule_due(&s) > T0 + 970 * S && schedule_wake(&s) > now + S, "once");

	schedule_begin(&s, T0, 6000, 1);
	s.margin = 60 * S;
	schedule_end(&s, T0, T0 + 60 * S);
	ok(schedule_due(&s) == T0 + 30 * S, "a job shorter than the margin: at half its time");

	/* Preempted soon after its start, with ten minutes of grace. */
	schedule_begin(&s, T0, 6000, 1);
	s.margin = 60 * S;
	now = T0 + 20 * S;
	s.hurry = true;
	schedule_end(&s, now, now + 600 * S);
	ok(schedule_due(&s) <= now, "one whose tasks have been told to end: at once");
	schedule_made(&s, now, now + S);
	ok(schedule_due(&s) > now + 600 * S, "and no other one");
}

static void test_last_fails(void)
{
	struct schedule s;
	int64_t now, last;
	unsigned int tries;

	schedule_begin(&s, T0, 6000, 1);
	s.margin = 60 * S;
	schedule_end(&s, T0, T0 + 1000 * S);
	now = last = schedule_due(&s);
	for (tries = 0; now < T0 + 1000 * S && tries < 1000; tries++) {
		schedule_failed(&s, now, now);
		if (schedule_due(&s) <= now)
			break;
		now = schedule_due(&s);
	}
	ok(tries >= 5 && tries < 30 && now > T0 + 1000 * S,
	   "a last one that fails is tried again as long as there is time (%u times)", tries);
	schedule_begin(&s, T0, 6000, 1);
	s.margin = 60 * S;
	schedule_end(&s, T0, T0 + 1000 * S);
	schedule_skipped(&s, last);
	ok(schedule_due(&s) == last + 15 * S, "suspended at that time, it is looked at again");
	schedule_end(&s, T0 + 1100 * S, T0 + 1000 * S);
	ok(schedule_wake(&s) > T0 + 1100 * S, "an end that is over is none");
	schedule_end(&s, T0 + 1100 * S, T0 + 3000 * S);
	ok(schedule_due(&s) == T0 + 2940 * S, "and when it comes later after all, there is a last one");
}

/* A site may let jobs run on past their limit, by hours. */
static void test_past_the_end(void)
{
	struct schedule s;
	int64_t now, end = T0 + 1000 * S;
	unsigned int looks = 0;

	schedule_begin(&s, T0, 86400, 1);
	s.margin = 60 * S;
	schedule_end(&s, T0, end);
	now = schedule_due(&s);
	schedule_made(&s, now, now + S);
	ok(schedule_wake(&s) == end + 10 * S, "soon after the end it is asked whether that was put off");
	for (now = schedule_wake(&s); now < end + 3600 * S; now = schedule_wake(&s), looks++)
		schedule_end(&s, now, end);
	ok(looks >= 5 && looks <= 12, "and then less and less often: %u times in an hour", looks);
	schedule_end(&s, now, now + 1000 * S);
	ok(schedule_due(&s) == now + 940 * S, "when it was, after all, there is a last one");
}

static void test_last_is_short(void)
{
	struct schedule s;
	int64_t now;

	schedule_begin(&s, T0, 6000, 1);
	s.margin = 60 * S;
	s.factor = 3;
	s.duration = 100 * S;
	schedule_end(&s, T0, T0 + 1000 * S);
	now = schedule_due(&s);
	schedule_failed(&s, now, now);
	now = schedule_due(&s);
	schedule_made(&s, now, now + S);
	ok(schedule_due(&s) == T0 + 937 * S, "one that took less time than expected, at last, is not the last");
	schedule_made(&s, T0 + 937 * S, T0 + 938 * S);
	ok(schedule_due(&s) > T0 + 1000 * S, "but the next one is");
}

static void test_poll(void)
{
	struct schedule s;

	schedule_begin(&s, T0, 6000, 1);
	s.poll = 30 * S;
	schedule_end(&s, T0, SCHEDULE_NEVER);
	ok(schedule_wake(&s) == T0 + 30 * S, "with a time of grace, the end is asked for regularly");
	s.poll = 0;
	schedule_end(&s, T0, SCHEDULE_NEVER);
	ok(schedule_wake(&s) == s.regular, "without, and with no limit, never in between");
}

int main(void)
{
	test_interval();
	test_jitter();
	test_failures();
	test_end();
	test_last_fails();
	test_past_the_end();
	test_last_is_short();
	test_poll();
	return done();
}
