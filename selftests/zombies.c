// SPDX-License-Identifier: GPL-2.0
/*
 * Children that are dead when the checkpoint is made, and that nobody has waited
 * for: how they ended, whose children and in which groups they are, and which
 * signals their parent has got for them and which not.
 *
 *	parent -+- exited (status 7)             -+ SIGCHLD was taken for them,
 *	        +- killed (SIGTERM)               | none is pending
 *	        +- core (SIGSEGV)                -+
 *	        +- leader (dead) - of the group of
 *	        +- member (alive)
 *	        +- silent (ends without a signal)
 *	        `- middle - its own zombie, and SIGCHLD pending for it
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "workload.h"

static pid_t exited, killed, core, leader, member, silent, middle;
static volatile sig_atomic_t nr_sigchld;

struct shared {
	int ready, stop, passed;
} *shared;

static void on_sigchld(int sig)
{
	(void)sig;
	nr_sigchld++;
}

static void wait_dead(pid_t pid)
{
	siginfo_t info;

	wl_must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | __WALL));
}

static pid_t child(int status, int sig)
{
	const struct rlimit none = { 0, 0 };
	pid_t pid = wl_must(fork());

	if (pid) {
		wait_dead(pid);
		return pid;
	}
	if (sig) {
		setrlimit(RLIMIT_CORE, &none);
		signal(sig, SIG_DFL);
		kill(getpid(), sig);
	}
	_exit(status);
}

static void come_up(void)
{
	__atomic_add_fetch(&shared->ready, 1, __ATOMIC_RELEASE);
}

static bool stopping(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE);
}

static bool sigchld_pending(void)
{
	sigset_t set;

	wl_must(sigpending(&set));
	return sigismember(&set, SIGCHLD);
}

/* A zombie of its own, and its SIGCHLD blocked and pending. */
static void run_middle(void)
{
	sigset_t set;
	siginfo_t info;
	pid_t pid;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	wl_must(sigprocmask(SIG_BLOCK, &set, NULL));
	pid = child(9, 0);
	come_up();
	while (!stopping()) {
		wl_check(sigchld_pending(), "the pending SIGCHLD of a dead child is gone");
		wl_pause_ms(2);
	}
	wl_check(sigwaitinfo(&set, &info) == SIGCHLD && info.si_pid == pid && info.si_status == 9,
		 "the pending SIGCHLD says something else: pid %d, status %d", info.si_pid,
		 info.si_status);
	wl_check(!sigchld_pending(), "there is a second SIGCHLD");
	wl_check(waitpid(-1, &status, 0) == pid && status == 9 << 8, "the grandchild ended as %#x", status);
	__atomic_add_fetch(&shared->passed, 1, __ATOMIC_RELEASE);
	_exit(11);
}

static void set_up(void)
{
	struct sigaction sa = { .sa_handler = on_sigchld, .sa_flags = SA_RESTART };

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wl_check(shared != MAP_FAILED, "mmap: %s", strerror(errno));
	wl_must(sigaction(SIGCHLD, &sa, NULL));
	exited = child(7, 0);
	killed = child(0, SIGTERM);
	core = child(0, SIGSEGV);
	leader = wl_must(fork());
	if (!leader) {
		wl_must(setpgid(0, 0));
		while (!stopping() && shared->ready < 1)
			wl_pause_ms(1);
		_exit(5);
	}
	while (getpgid(leader) != leader)
		wl_pause_ms(1);
	member = wl_must(fork());
	if (!member) {
		wl_must(setpgid(0, leader));
		come_up();
		while (!stopping())
			wl_pause_ms(2);
		_exit(6);
	}
	wait_dead(leader);
	silent = (pid_t)wl_must(syscall(SYS_clone, 0, NULL, NULL, NULL, 0));
	if (!silent)
		_exit(8);
	wait_dead(silent);
	middle = wl_must(fork());
	if (!middle)
		run_middle();
	while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < 2)
		wl_pause_ms(1);
	/* Those that come are all there. */
	wl_pause_ms(10);
}

static void check_dead(pid_t pid, int code, int status, const char *name)
{
	siginfo_t info = { 0 };

	wl_check(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0,
		 "%s: %s", name, strerror(errno));
	wl_check(info.si_pid == pid, "%s is not dead", name);
	wl_check(info.si_code == code && info.si_status == status && info.si_uid == getuid(),
		 "%s ended with code %d, status %d, user %d", name, info.si_code, info.si_status,
		 info.si_uid);
}

static void verify(int sigchlds)
{
	char path[64], state = 0, comm[64];
	FILE *f;

	check_dead(exited, CLD_EXITED, 7, "exited");
	check_dead(killed, CLD_KILLED, SIGTERM, "killed");
	check_dead(core, CLD_KILLED, SIGSEGV, "core");
	check_dead(leader, CLD_EXITED, 5, "leader");
	check_dead(silent, CLD_EXITED, 8, "silent");
	wl_check(getpgid(leader) == leader, "leader is in group %d", getpgid(leader));
	wl_check(getpgid(member) == leader, "member is in group %d", getpgid(member));
	wl_check(getpgid(exited) == getpgid(0), "exited is in group %d", getpgid(exited));
	wl_check(kill(-leader, 0) == 0, "the group of the dead leader is gone");
	wl_check(nr_sigchld == sigchlds, "%d SIGCHLD came since the children died",
		 nr_sigchld - sigchlds);
	wl_check(!sigchld_pending(), "SIGCHLD is pending");
	if (!wl_unwatched())
		return;
	snprintf(path, sizeof(path), "/proc/%d/stat", exited);
	f = fopen(path, "r");
	wl_check(f && fscanf(f, "%*d (%60[^)]) %c", comm, &state) == 2 && state == 'Z' &&
		 strcmp(comm, "zombies") == 0, "%s says state %c, name %s", path, state, comm);
	fclose(f);
}

static void reap(pid_t pid, int expected, const char *name)
{
	int status;

	wl_check(waitpid(pid, &status, __WALL) == pid, "%s cannot be waited for: %s", name,
		 strerror(errno));
	wl_check(status == expected, "%s ended with status %#x", name, status);
}

int main(int argc, char **argv)
{
	int status, sigchlds;

	wl_start(argc, argv);
	set_up();
	sigchlds = nr_sigchld;
	wl_ready();
	do {
		verify(sigchlds);
		wl_pause_ms(2);
	} while (!wl_stopping());
	reap(exited, 7 << 8, "exited");
	reap(killed, SIGTERM, "killed");
	reap(core, SIGSEGV, "core");
	reap(leader, 5 << 8, "leader");
	reap(silent, 8 << 8, "silent");
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
	reap(member, 6 << 8, "member");
	reap(middle, 11 << 8, "middle");
	wl_check(shared->passed == 1, "middle failed");
	wl_check(nr_sigchld > sigchlds, "no SIGCHLD came for children that died after that");
	wl_check(waitpid(-1, &status, __WALL) == -1 && errno == ECHILD, "there are too many children");
	wl_passed();
	return 0;
}
