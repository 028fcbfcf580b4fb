// SPDX-License-Identifier: GPL-2.0
/*
 * System calls that fail with EINTR after any other stop (signal(7)): they go
 * on sleeping across a checkpoint, and fail with EINTR when a handler runs, once
 * for each time it does.
 *
 * The semaphores and the message queue stay when the program has ended: the
 * image is restarted more than once.
 */
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include "sleeper.h"

#define FAR_S 5000

static const struct timespec far = { .tv_sec = FAR_S };
/* Where the kernel cannot write the time left to: in read-only memory. */
static const struct timeval far_tv = { .tv_sec = FAR_S };
static int sem, queue;
static volatile sig_atomic_t usr1_seen;
static volatile unsigned int handled, interrupted;

static void on_usr1(int sig)
{
	usr1_seen += sig;
}

static void on_usr2(int sig)
{
	handled += sig == SIGUSR2;
}

static const sigset_t *only(int sig, sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, sig);
	return set;
}

static long do_semop(unsigned short num, const struct timespec *timeout)
{
	struct sembuf op = { .sem_num = num, .sem_op = -1 };

	return timeout ? semtimedop(sem, &op, 1, timeout) : semop(sem, &op, 1);
}

static long do_msgrcv(void)
{
	struct { long type; char text[8]; } msg;
	long ret = msgrcv(queue, &msg, sizeof(msg.text), 1, 0);

	return ret == 5 && memcmp(msg.text, "hello", 5) == 0 ? 0 : -1;
}

static long do_epoll(int timeout_ms)
{
	struct epoll_event event;

	return epoll_wait(wl_must(epoll_create1(0)), &event, 1, timeout_ms);
}

/* Not by libc, which hands the kernel a copy that can be written to. */
static long raw_select(void)
{
	return syscall(SYS_select, 0, NULL, NULL, NULL, &far_tv);
}

static long raw_ppoll(void)
{
	return syscall(SYS_ppoll, NULL, 0, &far, NULL, 0);
}

#define EINTR_AT_LAST (ret == -1 && errno == EINTR)

SLEEPER(sigwaitinfo, sigwaitinfo(only(SIGRTMIN, &(sigset_t){}), NULL), ret == SIGRTMIN)
SLEEPER(sigtimedwait, sigtimedwait(only(SIGRTMIN + 1, &(sigset_t){}), NULL, &far), ret == SIGRTMIN + 1)
SLEEPER(sigtimedwait_eintr, sigtimedwait(only(SIGRTMIN + 2, &(sigset_t){}), NULL, &far), EINTR_AT_LAST)
SLEEPER(semop, do_semop(0, NULL), ret == 0)
SLEEPER(semtimedop, do_semop(1, &far), ret == 0)
SLEEPER(semop_eintr, do_semop(2, NULL), EINTR_AT_LAST)
SLEEPER(msgrcv, do_msgrcv(), ret == 0)
SLEEPER(epoll, do_epoll(-1), EINTR_AT_LAST)
SLEEPER(epoll_timeout, do_epoll(FAR_S * 1000), EINTR_AT_LAST)
SLEEPER(select_const, raw_select(), EINTR_AT_LAST)
SLEEPER(ppoll_const, raw_ppoll(), EINTR_AT_LAST)

/* Blocked but in the call: each time the handler runs the call must end with EINTR. */
static volatile bool counted_done;

static void *sleep_counted(void *arg)
{
	sigset_t blocked, open;

	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	open = blocked;
	sigdelset(&open, SIGUSR2);
	while (!ending) {
		unsigned int before = handled;
		long ret = ppoll(NULL, 0, &far, &open);

		wl_check(ret == -1 && errno == EINTR, "ppoll returned %ld (%s)", ret, strerror(errno));
		wl_check(handled == before + 1, "ppoll was ended with EINTR, but a handler ran %u times",
			 handled - before);
		interrupted++;
	}
	counted_done = true;
	return arg;
}

static struct sleeper sleepers[] = {
	S(sigwaitinfo), S(sigtimedwait), S(sigtimedwait_eintr), S(semop), S(semtimedop), S(semop_eintr),
	S(msgrcv), S(epoll), S(epoll_timeout), S(select_const), S(ppoll_const), S(counted),
};
#define NR (sizeof(sleepers) / sizeof(sleepers[0]))

static struct sleeper *sleeper(const char *name)
{
	for (size_t i = 0; i < NR; i++)
		if (strcmp(sleepers[i].name, name) == 0)
			return &sleepers[i];
	wl_fail("there is no sleeper %s", name);
}

static void set_up(void)
{
	struct sigaction interrupts = { .sa_handler = on_usr1 };
	struct sigaction counts = { .sa_handler = on_usr2 };
	sigset_t waited_for;

	wl_must(sigaction(SIGUSR1, &interrupts, NULL));
	wl_must(sigaction(SIGUSR2, &counts, NULL));
	sem = wl_must(semget(IPC_PRIVATE, 3, 0600));
	queue = wl_must(msgget(IPC_PRIVATE, 0600));
	sigemptyset(&waited_for);
	for (int i = 0; i < 3; i++)
		sigaddset(&waited_for, SIGRTMIN + i);
	sigaddset(&waited_for, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &waited_for, NULL);
	sl_start(sleepers, NR);
}

/* One signal, one handler, one EINTR. */
static void count_one(void)
{
	unsigned int before = interrupted;

	wl_check(pthread_kill(sleeper("counted")->thread, SIGUSR2) == 0, "the counting thread is gone");
	for (int i = 0; i < 20000 && interrupted == before; i++)
		wl_pause_ms(1);
	wl_check(interrupted == before + 1, "a signal was handled %u times, ppoll ended %u times",
		 handled, interrupted - before);
}

static void wake_all(void)
{
	struct { long type; char text[5]; } msg = { 1, "hello" };
	struct sembuf op[] = { { .sem_num = 0, .sem_op = 1 }, { .sem_num = 1, .sem_op = 1 } };

	ending = true;
	wl_check(pthread_kill(sleeper("sigwaitinfo")->thread, SIGRTMIN) == 0, "sigwaitinfo is gone");
	wl_check(pthread_kill(sleeper("sigtimedwait")->thread, SIGRTMIN + 1) == 0,
		 "sigtimedwait is gone");
	sl_signal(sleeper("sigtimedwait_eintr"), SIGUSR1);
	wl_must(semop(sem, op, 2));
	sl_signal(sleeper("semop_eintr"), SIGUSR1);
	wl_must(msgsnd(queue, &msg, sizeof(msg.text), 0));
	sl_signal(sleeper("epoll"), SIGUSR1);
	sl_signal(sleeper("epoll_timeout"), SIGUSR1);
	sl_signal(sleeper("select_const"), SIGUSR1);
	sl_signal(sleeper("ppoll_const"), SIGUSR1);
	count_one();
}

int main(int argc, char **argv)
{
	wl_start(argc, argv);
	set_up();
	wl_ready();
	do {
		for (int i = 0; i < 5; i++)
			count_one();
		wl_pause_ms(10);
	} while (!wl_stopping());
	wake_all();
	sl_join(sleepers, NR);
	wl_passed();
	return 0;
}
