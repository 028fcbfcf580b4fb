// SPDX-License-Identifier: GPL-2.0
/*
 * Processes whose parents, group or session leaders are gone.
 *
 *	root -+- grouped (of a group whose leader has ended)
 *	      +- reaper (child subreaper) -+- adopted (its parent has ended)
 *	      |                            `- session (likewise, led by one that has ended)
 *	      `- (ended)
 *	daemon (forked twice: parent and session leader have ended) - helper
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "workload.h"

enum { ROOT, GROUPED, REAPER, ADOPTED, SESSION, DAEMON, HELPER, NR };

static const char *const names[NR] = {
	"root", "grouped", "reaper", "adopted", "session", "daemon", "helper",
};

struct ids {
	pid_t pid, ppid, sid, pgid;
};

static struct node {
	struct ids ids;
	uint64_t rounds;
	int ready;
} *nodes;

static int *stop, *nr_ended;

static struct ids read_ids(void)
{
	return (struct ids){ getpid(), getppid(), getsid(0), getpgid(0) };
}

static void check_ids(int who)
{
	struct ids now = read_ids(), was = nodes[who].ids;

	wl_check(now.pid == was.pid, "%s: pid was %d and is %d", names[who], was.pid, now.pid);
	/* The parents of these two are outside. */
	wl_check(who == ROOT || who == DAEMON || now.ppid == was.ppid,
		 "%s: parent was %d and is %d", names[who], was.ppid, now.ppid);
	/* A session or group from outside becomes that of the restart. */
	if (who == SESSION || who == DAEMON || who == HELPER)
		wl_check(now.sid == was.sid, "%s: session was %d and is %d", names[who], was.sid, now.sid);
	else
		wl_check(now.sid == getsid(nodes[ROOT].ids.pid), "%s: session is %d", names[who], now.sid);
	if (who != ROOT && who != REAPER && who != ADOPTED)
		wl_check(now.pgid == was.pgid, "%s: group was %d and is %d", names[who], was.pgid, now.pgid);
}

static bool stopping(void)
{
	return __atomic_load_n(stop, __ATOMIC_ACQUIRE);
}

static void live(int who)
{
	while (!stopping()) {
		check_ids(who);
		__atomic_add_fetch(&nodes[who].rounds, 1, __ATOMIC_RELAXED);
		wl_pause_ms(2);
	}
}

static void wait_ready(int who)
{
	while (!__atomic_load_n(&nodes[who].ready, __ATOMIC_ACQUIRE))
		wl_pause_ms(1);
}

/* Once it is an orphan, for @parent is gone. */
static void come_up(int who, pid_t parent)
{
	while (getppid() == parent)
		wl_pause_ms(1);
	nodes[who].ids = read_ids();
	__atomic_store_n(&nodes[who].ready, 1, __ATOMIC_RELEASE);
}

static void __attribute__((noreturn)) end(int who)
{
	__atomic_add_fetch(nr_ended, 1, __ATOMIC_RELEASE);
	_exit(30 + who);
}

static void wait_end(pid_t pid, int status)
{
	int now;

	wl_check(waitpid(pid, &now, 0) == pid && now == status << 8, "child %d ended with status %#x",
		 pid, now);
}

static void make_grouped(void)
{
	pid_t leader = wl_must(fork()), pid;

	if (!leader) {
		pause();
		_exit(1);
	}
	wl_must(setpgid(leader, leader));
	pid = wl_must(fork());
	if (!pid) {
		wl_must(setpgid(0, leader));
		come_up(GROUPED, 0);
		live(GROUPED);
		end(GROUPED);
	}
	wait_ready(GROUPED);
	wl_must(kill(leader, SIGKILL));
	wl_must(waitpid(leader, NULL, 0));
}

/* Fork twice, the first child leads a session or not. */
static void make_orphan(int who, bool session)
{
	pid_t pid = wl_must(fork()), parent;

	if (pid) {
		wait_end(pid, 0);
		wait_ready(who);
		return;
	}
	if (session)
		wl_must(setsid());
	parent = getpid();
	if (wl_must(fork()))
		_exit(0);
	come_up(who, parent);
	if (who == DAEMON && wl_must(fork()) == 0) {
		come_up(HELPER, 0);
		live(HELPER);
		end(HELPER);
	}
	live(who);
	if (who == DAEMON)
		wait_end(nodes[HELPER].ids.pid, 30 + HELPER);
	end(who);
}

static void reaper(void)
{
	wl_must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	come_up(REAPER, 0);
	make_orphan(ADOPTED, false);
	make_orphan(SESSION, true);
	live(REAPER);
	wait_end(nodes[ADOPTED].ids.pid, 30 + ADOPTED);
	wait_end(nodes[SESSION].ids.pid, 30 + SESSION);
	end(REAPER);
}

int main(int argc, char **argv)
{
	struct wl_patience p;
	uint64_t rounds[NR];

	wl_start(argc, argv);
	nodes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wl_check(nodes != MAP_FAILED, "mmap: %s", strerror(errno));
	stop = (int *)&nodes[NR];
	nr_ended = stop + 1;
	come_up(ROOT, 0);
	make_grouped();
	if (wl_must(fork()) == 0)
		reaper();
	make_orphan(DAEMON, true);
	for (int i = 0; i < NR; i++)
		wait_ready(i);
	wl_ready();
	do {
		for (int i = GROUPED; i < NR; i++)
			rounds[i] = nodes[i].rounds;
		check_ids(ROOT);
		p = (struct wl_patience){ 0 };
		for (int i = GROUPED; i < NR; i++) {
			while (__atomic_load_n(&nodes[i].rounds, __ATOMIC_RELAXED) == rounds[i]) {
				wl_check(wl_patient(&p, 60), "%s stands still", names[i]);
				wl_pause_ms(2);
			}
		}
	} while (!wl_stopping());
	__atomic_store_n(stop, 1, __ATOMIC_RELEASE);
	wait_end(nodes[GROUPED].ids.pid, 30 + GROUPED);
	wait_end(nodes[REAPER].ids.pid, 30 + REAPER);
	p = (struct wl_patience){ 0 };
	while (__atomic_load_n(nr_ended, __ATOMIC_ACQUIRE) < NR - 1) {
		wl_check(wl_patient(&p, 60), "%d processes have not ended", NR - 1 - *nr_ended);
		wl_pause_ms(2);
	}
	wl_passed();
	return 0;
}
