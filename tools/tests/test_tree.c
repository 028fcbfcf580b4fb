// SPDX-License-Identifier: GPL-2.0
/* Who clones whom, in which session and group: tree_plan() of small trees. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "restart/restart.h"
#include "tap.h"

/* Ids that no process of this machine has. */
#define P(n)		(5000000 + (n))
/* One that every machine and pid namespace has: the launcher's session and group. */
#define L		1
#define MAX		8

struct row {
	int pid, ppid, pgid, sid;
};

static struct tree tree;
static size_t nr_relaunched;	/* of the rows, the last ones */

/* Plan a tree of rows; the exit code. */
static int plan(const struct row *rows, size_t nr)
{
	static struct image_relaunch relaunch;
	static struct ckpt_rec_process recs[MAX];
	static struct ckpt_rec_thread thread_recs[MAX];
	static struct image_thread threads[MAX];
	static struct image_process processes[MAX];
	struct image image = { .processes = processes, .nr_processes = nr,
			       .nr_relaunched = nr_relaunched };
	char sentence[256];
	size_t i;
	int rc;

	for (i = 0; i < nr; i++) {
		recs[i] = (struct ckpt_rec_process){
			.pid = rows[i].pid, .ppid = rows[i].ppid, .pgid = rows[i].pgid,
			.sid = rows[i].sid, .nr_threads = 1, .exit_signal = 17,
		};
		thread_recs[i].tid = rows[i].pid;
		threads[i].rec = &thread_recs[i];
		processes[i] = (struct image_process){
			.rec = &recs[i], .threads = &threads[i], .nr_threads = 1,
		};
		if (i >= nr - nr_relaunched)
			processes[i] = (struct image_process){ .rec = &recs[i], .relaunch = &relaunch };
	}
	tree_free(&tree);
	fail_capture(sentence, sizeof(sentence));
	rc = tree_plan(&tree, &image);
	fail_capture(NULL, 0);
	if (rc)
		diag("%s", sentence);
	return rc;
}

#define PLAN(...)	plan((struct row[]){ __VA_ARGS__ },			\
			     sizeof((struct row[]){ __VA_ARGS__ }) / sizeof(struct row))

static void test_plain(void)
{
	ok(PLAN({ P(0), 1, L, L }, { P(1), P(0), L, L }, { P(2), P(1), L, L }) == CK_OK,
	   "a job in its launcher's session");
	ok(tree.nr == 3 && tree.main == P(0) && tree.first == 0 && tree.nodes[0].first == 1 &&
	   tree.nodes[1].first == 2, "parents clone their children");
	ok(!tree.nodes[0].leads_session && tree.nodes[2].pgid == 0,
	   "all come into the coordinator's session and group");
}

static void test_sessions(void)
{
	ok(PLAN({ P(0), 1, P(0), P(0) }, { P(1), P(0), L, L }, { P(2), P(0), P(0), P(0) },
		{ P(3), P(1), P(3), P(3) }) == CK_OK, "a leader with a child of its former session");
	ok(tree.nodes[0].leads_session && tree.nodes[1].early && !tree.nodes[2].early,
	   "that child is cloned before setsid, the other after it");
	ok(tree.nodes[3].leads_session && tree.nodes[3].pgid == P(3), "a grandchild leads its own");
	ok(PLAN({ P(0), 1, P(0), P(0) }, { P(1), P(0), P(1), P(1) }, { P(2), P(0), P(1), P(1) }) ==
	   CK_REFUSED, "a session that the parent never was in is refused");
}

static void test_groups(void)
{
	ok(PLAN({ P(0), 1, L, L }, { P(1), P(0), P(1), L }, { P(2), P(0), P(1), L }) == CK_OK &&
	   tree.nodes[2].pgid == P(1) && tree.nr == 3, "a group of two, whose leader lives");
	ok(PLAN({ P(0), 1, L, L }, { P(2), P(0), P(1), L }, { P(3), P(0), P(1), L }) == CK_OK &&
	   tree.nr == 4 && tree.nodes[3].pid == P(1) && !tree.nodes[3].process &&
	   tree.nodes[3].creator == 1, "a group whose leader has ended gets a stand-in");
	ok(PLAN({ P(0), 1, P(0), P(0) }, { P(1), P(0), P(9), P(0) }) == CK_OK && tree.nr == 3 &&
	   tree.nodes[1].pgid == P(9), "so does one inside of a session of the job");
	ok(PLAN({ P(0), 1, P(0), P(0) }, { P(1), P(0), P(1), P(1) }, { P(2), P(1), P(0), P(1) }) ==
	   CK_REFUSED, "a group of another session is refused");
}

static void test_daemon(void)
{
	/* Forked twice: the first child led the session and is gone. */
	ok(PLAN({ P(0), 1, L, L }, { P(2), 1, P(1), P(1) }, { P(3), P(2), P(1), P(1) }) == CK_OK &&
	   tree.nr == 4, "a daemon whose session leader is gone");
	ok(tree.nodes[3].pid == P(1) && tree.nodes[3].leads_session && tree.nodes[3].creator == -1 &&
	   tree.nodes[1].creator == 3 && tree.nodes[1].parent == -1 && tree.nodes[2].creator == 1,
	   "a stand-in leads it and clones the daemon beside itself");
}

static void test_relaunched(void)
{
	nr_relaunched = 1;
	ok(PLAN({ P(1), 1, L, L }, { P(3), P(1), P(2), L }, { P(2), P(1), P(2), L }) == CK_OK &&
	   tree.nr == 3 && tree.nodes[2].process->relaunch && tree.nodes[2].parent == 0 &&
	   tree.nodes[1].pgid == P(2), "a client of a job step that leads a group");
	ok(tree.nr_threads == 2 && tree.main == P(1), "it has no threads");
	ok(PLAN({ P(1), 1, L, L }, { P(0), 1, L, L }) == CK_OK && tree.main == P(1),
	   "it does not stand for the job, also where nobody else has a lower pid");
	ok(PLAN({ P(1), 1, L, L }, { P(1), 1, L, L }) == CK_DAMAGED, "one with the id of another");
	ok(PLAN({ P(0), 1, L, L }) == CK_DAMAGED, "none but that");
	nr_relaunched = 0;
}

static void test_hostile(void)
{
	ok(PLAN({ P(0), P(1), L, L }, { P(1), P(0), L, L }) == CK_DAMAGED, "a circle of parents");
	ok(PLAN({ P(0), 1, L, L }, { P(1), P(2), L, L }, { P(2), P(1), L, L }) == CK_DAMAGED,
	   "a circle beside a root");
	ok(PLAN({ P(0), 1, L, L }, { P(0), 1, L, L }) == CK_DAMAGED, "an id twice");
	ok(PLAN({ -4, 1, L, L }) == CK_DAMAGED, "a negative id");
}

int main(void)
{
	test_plain();
	test_sessions();
	test_groups();
	test_daemon();
	test_relaunched();
	test_hostile();
	tree_free(&tree);
	return done();
}
