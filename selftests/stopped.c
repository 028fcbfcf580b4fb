// SPDX-License-Identifier: GPL-2.0
/*
 * Job control: children that are stopped when the checkpoint is made, one whose
 * parent has waited for its stop and one whose parent has yet to; with threads,
 * in a system call, and in their own code. SIGCONT lets them go on.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "workload.h"

enum { TOLD, UNTOLD, THREADED, NR };

static const char *const names[NR] = { "told", "untold", "threaded" };
static const int signals[NR] = { SIGSTOP, SIGTSTP, SIGTTIN };
static pid_t pids[NR];
static volatile sig_atomic_t nr_sigchld;

struct shared {
	uint64_t turns[NR][2];
	int stop, continued[NR];
} *shared;

static int me;

static void on_sigchld(int sig)
{
	(void)sig;
	nr_sigchld++;
}

static void on_sigcont(int sig)
{
	(void)sig;
	shared->continued[me]++;
}

static bool stopping(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE);
}

static void *turn(void *arg)
{
	uint64_t *turns = arg;

	while (!stopping()) {
		__atomic_add_fetch(turns, 1, __ATOMIC_RELAXED);
		/* One sleeps in a call with a timeout most of the time. */
		if (turns == &shared->turns[me][0])
			poll(NULL, 0, 3);
	}
	return NULL;
}

static void run(int who)
{
	struct sigaction sa = { .sa_handler = on_sigcont };
	pthread_t t;

	me = who;
	/* Not of an orphaned group, in which only SIGSTOP stops: its parent is of another one. */
	wl_must(setpgid(0, 0));
	wl_must(sigaction(SIGCONT, &sa, NULL));
	if (who == THREADED)
		wl_check(pthread_create(&t, NULL, turn, &shared->turns[who][1]) == 0, "no thread");
	turn(&shared->turns[who][0]);
	if (who == THREADED)
		wl_check(pthread_join(t, NULL) == 0, "the thread cannot be joined");
	_exit(who + 1);
}

static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	if (f)
		fclose(f);
	return state;
}

static void wait_stopped(pid_t pid, int flags, int sig, const char *name)
{
	siginfo_t info = { 0 };

	wl_must(waitid(P_PID, (id_t)pid, &info, WSTOPPED | flags));
	wl_check(info.si_code == CLD_STOPPED && info.si_status == sig, "%s: stop of code %d, status %d",
		 name, info.si_code, info.si_status);
}

static void set_up(void)
{
	struct sigaction sa = { .sa_handler = on_sigchld, .sa_flags = SA_RESTART };

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wl_check(shared != MAP_FAILED, "mmap: %s", strerror(errno));
	wl_must(sigaction(SIGCHLD, &sa, NULL));
	for (int i = 0; i < NR; i++) {
		pids[i] = wl_must(fork());
		if (!pids[i])
			run(i);
		while (!__atomic_load_n(&shared->turns[i][0], __ATOMIC_RELAXED) ||
		       (i == THREADED && !__atomic_load_n(&shared->turns[i][1], __ATOMIC_RELAXED)))
			wl_pause_ms(1);
		wl_must(kill(pids[i], signals[i]));
		wait_stopped(pids[i], i == UNTOLD ? WNOWAIT : 0, signals[i], names[i]);
	}
	wl_pause_ms(10);
}

static void verify(const uint64_t (*turns)[2], int sigchlds)
{
	struct wl_patience p = { 0 };
	siginfo_t info;

	for (int i = 0; i < NR; i++) {
		/* After a restart it may still be on its way, in the kernel. */
		while (wl_unwatched() && state_of(pids[i]) != 'T')
			wl_check(wl_patient(&p, 20), "%s is in state %c", names[i], state_of(pids[i]));
		wl_check(turns[i][0] == shared->turns[i][0] && turns[i][1] == shared->turns[i][1],
			 "%s goes on", names[i]);
		wl_check(!shared->continued[i], "%s got a SIGCONT", names[i]);
		memset(&info, 0, sizeof(info));
		wl_must(waitid(P_PID, (id_t)pids[i], &info, WSTOPPED | WNOHANG | WNOWAIT));
		if (i == UNTOLD)
			wl_check(info.si_pid == pids[i] && info.si_code == CLD_STOPPED &&
				 info.si_status == signals[i], "the stop of untold got lost");
		else
			wl_check(info.si_pid == 0, "the stop of %s is told a second time", names[i]);
	}
	wl_check(nr_sigchld == sigchlds, "%d SIGCHLD came since the children stopped",
		 nr_sigchld - sigchlds);
}

static void go_on(int who)
{
	struct wl_patience p = { 0 };
	uint64_t before[2];
	siginfo_t info = { 0 };

	memcpy(before, shared->turns[who], sizeof(before));
	wl_must(kill(pids[who], SIGCONT));
	wl_must(waitid(P_PID, (id_t)pids[who], &info, WCONTINUED));
	wl_check(info.si_code == CLD_CONTINUED, "%s: code %d instead of a SIGCONT", names[who],
		 info.si_code);
	while (shared->turns[who][0] == before[0] || !shared->continued[who] ||
	       (who == THREADED && shared->turns[who][1] == before[1])) {
		wl_check(wl_patient(&p, 20), "%s does not go on after SIGCONT", names[who]);
		wl_pause_ms(1);
	}
	/* And can be stopped again. */
	wl_must(kill(pids[who], SIGSTOP));
	wait_stopped(pids[who], 0, SIGSTOP, names[who]);
	wl_must(kill(pids[who], SIGCONT));
}

int main(int argc, char **argv)
{
	uint64_t turns[NR][2];
	int sigchlds, status;

	wl_start(argc, argv);
	set_up();
	memcpy(turns, shared->turns, sizeof(turns));
	sigchlds = nr_sigchld;
	wl_ready();
	do {
		verify(turns, sigchlds);
		wl_pause_ms(2);
	} while (!wl_stopping());
	wait_stopped(pids[UNTOLD], 0, signals[UNTOLD], names[UNTOLD]);
	for (int i = 0; i < NR; i++)
		go_on(i);
	wl_check(nr_sigchld > sigchlds, "no SIGCHLD came for what happened after that");
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < NR; i++)
		wl_check(waitpid(pids[i], &status, 0) == pids[i] && status == (i + 1) << 8,
			 "%s ended with status %#x", names[i], status);
	wl_passed();
	return 0;
}
