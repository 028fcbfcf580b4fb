// SPDX-License-Identifier: GPL-2.0
/*
 * A tree of processes with sessions and process groups: ids and kinship stay,
 * parents can wait for children that were born before the checkpoint.
 *
 *	root -+- leader (session leader) -+- member (of the leader's group)
 *	      |                           `- grouped (its own group, same session)
 *	      |- exiter (ends with a status)
 *	      `- victim (ends by a signal)
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include "workload.h"

enum { ROOT, LEADER, MEMBER, GROUPED, EXITER, VICTIM, NR };

static const char *const names[] = { "root", "leader", "member", "grouped", "exiter", "victim" };

struct ids {
	pid_t pid, ppid, sid, pgid;
};

static struct node {
	struct ids ids;
	uint64_t rounds;
	int ready;
} *nodes;

static int *stop;

static struct ids read_ids(void)
{
	return (struct ids){ getpid(), getppid(), getsid(0), getpgid(0) };
}

static void check_ids(int who)
{
	struct ids now = read_ids(), was = nodes[who].ids;

	wl_check(now.pid == was.pid, "%s: pid was %d and is %d", names[who], was.pid, now.pid);
	/* Who started the test is another one after a restart. */
	wl_check(who == ROOT || now.ppid == was.ppid, "%s: parent was %d and is %d", names[who],
		 was.ppid, now.ppid);
	/* 0: a session or group from outside, whose number cannot be seen. */
	wl_check(who == ROOT || who >= EXITER || now.sid == was.sid, "%s: session was %d and is %d",
		 names[who], was.sid, now.sid);
	wl_check(who == ROOT || who >= EXITER || now.pgid == was.pgid, "%s: group was %d and is %d",
		 names[who], was.pgid, now.pgid);
}

static void come_up(int who)
{
	nodes[who].ids = read_ids();
	__atomic_store_n(&nodes[who].ready, 1, __ATOMIC_RELEASE);
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

static int wait_for(int who)
{
	int status;

	wl_check(waitpid(nodes[who].ids.pid, &status, 0) == nodes[who].ids.pid,
		 "%s cannot be waited for: %s", names[who], strerror(errno));
	return status;
}

static void wait_ready(int who)
{
	while (!__atomic_load_n(&nodes[who].ready, __ATOMIC_ACQUIRE))
		wl_pause_ms(1);
}

static void leader(void)
{
	wl_must(setsid());
	come_up(LEADER);
	if (wl_must(fork()) == 0) {
		come_up(MEMBER);
		live(MEMBER);
		_exit(21);
	}
	if (wl_must(fork()) == 0) {
		wl_must(setpgid(0, 0));
		come_up(GROUPED);
		live(GROUPED);
		_exit(22);
	}
	wait_ready(MEMBER);
	wait_ready(GROUPED);
	live(LEADER);
	wl_check(wait_for(MEMBER) == 21 << 8, "member has another exit status");
	wl_check(wait_for(GROUPED) == 22 << 8, "grouped has another exit status");
	_exit(20);
}

int main(int argc, char **argv)
{
	uint64_t rounds[NR];
	siginfo_t info;
	int status;

	wl_start(argc, argv);
	nodes = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wl_check(nodes != MAP_FAILED, "mmap: %s", strerror(errno));
	stop = (int *)((char *)nodes + 4096);
	come_up(ROOT);
	if (wl_must(fork()) == 0)
		leader();
	if (wl_must(fork()) == 0) {
		come_up(EXITER);
		live(EXITER);
		_exit(23);
	}
	if (wl_must(fork()) == 0) {
		come_up(VICTIM);
		for (;;)
			pause();
	}
	for (int i = 0; i < NR; i++)
		wait_ready(i);
	wl_ready();
	do {
		for (int i = LEADER; i < NR; i++)
			rounds[i] = nodes[i].rounds;
		check_ids(ROOT);
		wl_pause_ms(50);
		for (int i = LEADER; i < VICTIM; i++) {
			struct wl_patience p = { 0 };

			while (__atomic_load_n(&nodes[i].rounds, __ATOMIC_RELAXED) == rounds[i]) {
				wl_check(wl_patient(&p, 20), "%s stands still", names[i]);
				wl_pause_ms(2);
			}
			wl_check(kill(nodes[i].ids.pid, 0) == 0, "%s is gone", names[i]);
			wl_check(getpgid(nodes[i].ids.pid) == nodes[i].ids.pgid || i >= EXITER,
				 "%s is in another group", names[i]);
		}
		wl_check(waitpid(-1, &status, WNOHANG) == 0, "a child ended");
	} while (!wl_stopping());
	__atomic_store_n(stop, 1, __ATOMIC_RELEASE);
	wl_check(wait_for(LEADER) == 20 << 8, "leader has another exit status");
	wl_must(waitid(P_PID, (id_t)nodes[EXITER].ids.pid, &info, WEXITED | WNOWAIT));
	wl_check(info.si_code == CLD_EXITED && info.si_status == 23, "exiter has another exit status");
	wl_check(wait_for(EXITER) == 23 << 8, "exiter has another exit status");
	wl_must(kill(nodes[VICTIM].ids.pid, SIGTERM));
	wl_must(kill(nodes[VICTIM].ids.pid, SIGKILL));
	status = wait_for(VICTIM);
	wl_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "victim has status %#x", status);
	wl_check(waitpid(-1, &status, 0) == -1 && errno == ECHILD, "there are too many children");
	wl_passed();
	return 0;
}
