// SPDX-License-Identifier: GPL-2.0
/*
 * Signals: actions and masks, pending ones with their data and order, for the
 * process and for one thread, the alternate stack, and delivery afterwards.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include "workload.h"

#define NR_QUEUED 5

static uint8_t alt_stack[64 * 1024] __attribute__((aligned(16)));
static volatile sig_atomic_t usr1_seen, alt_seen, alt_wrong, io_seen;
static volatile int usr1_value;
static pthread_t thread;
static bool thread_ready, thread_stop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void on_usr1(int sig, siginfo_t *info, void *context)
{
	(void)context;
	usr1_value = info->si_value.sival_int;
	usr1_seen += sig == SIGUSR1 && info->si_code == SI_QUEUE && info->si_pid == wl_pid;
}

static void on_alt(int sig)
{
	uint8_t here;

	(void)sig;
	if (&here < alt_stack || &here >= alt_stack + sizeof(alt_stack))
		alt_wrong = 1;
	alt_seen++;
}

static void on_io(int sig)
{
	io_seen += sig;
}

static void set_action(int sig, void *handler, int flags, int masked)
{
	struct sigaction sa = { .sa_flags = flags };

	if (flags & SA_SIGINFO)
		sa.sa_sigaction = handler;
	else
		sa.sa_handler = handler;
	sigemptyset(&sa.sa_mask);
	if (masked)
		sigaddset(&sa.sa_mask, masked);
	wl_must(sigaction(sig, &sa, NULL));
}

/* glibc does not show its own two signals: ask the kernel. */
struct kernel_sigaction {
	void *handler;
	unsigned long flags;
	void *restorer;
	unsigned long mask;
};

static struct kernel_sigaction actions[65];

static void read_actions(struct kernel_sigaction *a)
{
	for (int sig = 1; sig <= 64; sig++)
		wl_must(syscall(SYS_rt_sigaction, sig, NULL, &a[sig], 8));
}

static void queue_pending(void)
{
	for (int i = 0; i < NR_QUEUED; i++)
		wl_must(sigqueue(wl_pid, SIGRTMIN + 1, (union sigval){ .sival_int = 100 + i }));
	wl_must(sigqueue(wl_pid, SIGRTMIN + 2, (union sigval){ .sival_int = 200 }));
	wl_must(kill(wl_pid, SIGUSR2));
	wl_check(pthread_kill(pthread_self(), SIGWINCH) == 0, "pthread_kill failed");
}

static void expect_pending(void)
{
	sigset_t set;

	wl_must(sigpending(&set));
	wl_check(sigismember(&set, SIGRTMIN + 1) && sigismember(&set, SIGRTMIN + 2) &&
		 sigismember(&set, SIGUSR2), "a signal that was pending for the process is lost");
	wl_check(sigismember(&set, SIGWINCH), "a signal that was pending for the thread is lost");
	wl_check(!sigismember(&set, SIGIO), "a signal is pending that nobody sent");
}

static siginfo_t take(int sig)
{
	struct timespec none = { 0 };
	siginfo_t info = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	wl_check(sigtimedwait(&set, &info, &none) == sig, "signal %d is not pending any more", sig);
	return info;
}

static void take_pending(void)
{
	siginfo_t info;
	sigset_t set;

	for (int i = 0; i < NR_QUEUED; i++) {
		info = take(SIGRTMIN + 1);
		wl_check(info.si_value.sival_int == 100 + i, "queued signal %d carries %d, not %d", i,
			 info.si_value.sival_int, 100 + i);
		wl_check(info.si_code == SI_QUEUE && info.si_pid == wl_pid && info.si_uid == getuid(),
			 "queued signal %d lost its sender", i);
	}
	wl_check(take(SIGRTMIN + 2).si_value.sival_int == 200, "a queued signal lost its value");
	wl_check(take(SIGUSR2).si_code == SI_USER, "SIGUSR2 lost its origin");
	/* SI_TKILL, which glibc's sigtimedwait() turns into SI_USER. */
	wl_check(take(SIGWINCH).si_pid == wl_pid, "the thread's signal lost its origin");
	wl_must(sigpending(&set));
	wl_check(!sigismember(&set, SIGRTMIN + 1) && !sigismember(&set, SIGUSR2),
		 "a signal is pending twice");
}

/* Another thread with another mask, and a signal that is pending for it alone. */
static void *other(void *arg)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGIO);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	pthread_mutex_lock(&lock);
	thread_ready = true;
	pthread_cond_signal(&cond);
	while (!thread_stop)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	wl_must(sigpending(&set));
	wl_check(sigismember(&set, SIGHUP), "the other thread's pending signal is lost");
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	wl_check(!sigismember(&set, SIGIO) && sigismember(&set, SIGUSR1) && sigismember(&set, SIGHUP),
		 "the other thread's mask changed");
	take(SIGHUP);
	return arg;
}

static void verify(const sigset_t *mask)
{
	struct kernel_sigaction now[65];
	sigset_t set;
	stack_t ss;

	read_actions(now);
	for (int sig = 1; sig <= 64; sig++)
		wl_check(memcmp(&now[sig], &actions[sig], sizeof(now[sig])) == 0,
			 "the action of signal %d changed", sig);
	wl_must(sigprocmask(SIG_SETMASK, NULL, &set));
	for (int sig = 1; sig <= 64; sig++)
		wl_check(sigismember(&set, sig) == sigismember(mask, sig),
			 "the mask changed: signal %d is %sblocked", sig,
			 sigismember(&set, sig) ? "" : "not ");
	expect_pending();

	usr1_seen = alt_seen = 0;
	wl_must(sigqueue(wl_pid, SIGUSR1, (union sigval){ .sival_int = 77 }));
	wl_check(usr1_seen == 1 && usr1_value == 77, "a signal was not delivered with its data");
	wl_must(sigaltstack(NULL, &ss));
	wl_check(ss.ss_sp == alt_stack && ss.ss_size == sizeof(alt_stack) && ss.ss_flags == 0,
		 "the alternate stack changed: %p, %zu bytes, flags %d", ss.ss_sp, ss.ss_size,
		 ss.ss_flags);
	raise(SIGURG);
	wl_check(alt_seen == 1 && !alt_wrong, "a handler did not run on the alternate stack");
	io_seen = 0;
	wl_check(pthread_kill(thread, SIGIO) == 0, "the other thread is gone");
	for (int i = 0; i < 2000 && !io_seen; i++)
		wl_pause_ms(1);
	wl_check(io_seen, "the other thread did not get a signal");
}

int main(int argc, char **argv)
{
	stack_t ss = { .ss_sp = alt_stack, .ss_size = sizeof(alt_stack) };
	sigset_t mask, old;

	wl_start(argc, argv);
	set_action(SIGUSR1, on_usr1, SA_SIGINFO | SA_RESTART, SIGUSR2);
	set_action(SIGURG, on_alt, SA_ONSTACK, 0);
	set_action(SIGIO, on_io, SA_NODEFER | SA_RESTART, SIGURG);
	set_action(SIGPIPE, SIG_IGN, 0, 0);
	/* Pending signals that are ignored would be dropped. */
	set_action(SIGWINCH, on_io, 0, 0);
	wl_must(sigaltstack(&ss, NULL));
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 1);
	sigaddset(&mask, SIGRTMIN + 2);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGWINCH);
	wl_must(sigprocmask(SIG_SETMASK, &mask, &old));
	wl_check(pthread_create(&thread, NULL, other, NULL) == 0, "no thread can be created");
	queue_pending();
	read_actions(actions);
	sigaddset(&old, SIGHUP);
	wl_must(sigprocmask(SIG_BLOCK, &old, NULL));
	wl_must(sigprocmask(SIG_SETMASK, NULL, &mask));
	/* SIGHUP must not reach the thread before it has blocked it. */
	pthread_mutex_lock(&lock);
	while (!thread_ready)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	wl_check(pthread_kill(thread, SIGHUP) == 0, "no thread");
	wl_ready();
	do {
		verify(&mask);
		wl_pause_ms(1);
	} while (!wl_stopping());
	take_pending();
	pthread_mutex_lock(&lock);
	thread_stop = true;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	wl_check(pthread_join(thread, NULL) == 0, "the other thread cannot be joined");
	wl_passed();
	return 0;
}
