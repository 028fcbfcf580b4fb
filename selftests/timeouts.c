// SPDX-License-Identifier: GPL-2.0
/*
 * Every system call with a timeout that a process may be saved in: see timed.h.
 * The deadlines are on clocks that begin with each boot.
 */
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include "timed.h"

static struct timespec *from_now(clockid_t clock, struct timespec *ts)
{
	clock_gettime(clock, ts);
	ts->tv_sec += timeout->ts.tv_sec;
	return ts;
}

static long futex_wait(int op, const struct timespec *ts)
{
	uint32_t word = 0;

	return syscall(SYS_futex, &word, op, 0, ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

static long futex_waitv(void)
{
	uint32_t word = 0;
	struct futex_waitv waiter = { .uaddr = (uintptr_t)&word, .flags = FUTEX_32 };
	struct timespec ts;

	return syscall(SYS_futex_waitv, &waiter, 1, 0, from_now(CLOCK_MONOTONIC, &ts), CLOCK_MONOTONIC);
}

static long cond_wait(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_condattr_t attr;
	struct timespec ts;
	pthread_cond_t cond;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&cond, &attr);
	pthread_mutex_lock(&mutex);
	return pthread_cond_timedwait(&cond, &mutex, from_now(CLOCK_MONOTONIC, &ts));
}

static long signal_wait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &timeout->ts);
}

static long semaphore_wait(void)
{
	int id = wl_must(semget(IPC_PRIVATE, 1, 0600));
	struct sembuf op = { .sem_op = -1 };

	return semtimedop(id, &op, 1, &timeout->ts);
}

static int epoll(void)
{
	struct epoll_event event;

	return epoll_wait(wl_must(epoll_create1(0)), &event, 1, t_ms);
}

static int epoll_timespec(void)
{
	struct epoll_event event;

	return epoll_pwait2(wl_must(epoll_create1(0)), &event, 1, &timeout->ts, NULL);
}

#define EXPIRED(error) (ret == -1 && errno == (error))

TIMED(nanosleep, nanosleep(&timeout->ts, NULL), ret == 0)
TIMED(sleep_relative, clock_nanosleep(CLOCK_MONOTONIC, 0, &timeout->ts, NULL), ret == 0)
TIMED(sleep_realtime, clock_nanosleep(CLOCK_REALTIME, 0, &timeout->ts, NULL), ret == 0)
TIMED(sleep_until, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
				   from_now(CLOCK_MONOTONIC, &(struct timespec){}), NULL), ret == 0)
TIMED(sleep_until_boottime, clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME,
					    from_now(CLOCK_BOOTTIME, &(struct timespec){}), NULL),
      ret == 0)
TIMED(poll, poll(NULL, 0, t_ms), ret == 0)
TIMED(ppoll, ppoll(NULL, 0, &timeout->ts, NULL), ret == 0)
TIMED(ppoll_const, syscall(SYS_ppoll, NULL, 0, &timeout->ts, NULL, 0), ret == 0)
TIMED(select, select(0, NULL, NULL, NULL, &(struct timeval){ .tv_sec = t_ms / 1000 }), ret == 0)
TIMED(select_const, syscall(SYS_select, 0, NULL, NULL, NULL, &timeout->tv), ret == 0)
TIMED(pselect, pselect(0, NULL, NULL, NULL, &timeout->ts, NULL), ret == 0)
TIMED(pselect_const, syscall(SYS_pselect6, 0, NULL, NULL, NULL, &timeout->ts, NULL), ret == 0)
TIMED(futex, futex_wait(FUTEX_WAIT, &timeout->ts), EXPIRED(ETIMEDOUT))
TIMED(futex_until, futex_wait(FUTEX_WAIT_BITSET, from_now(CLOCK_MONOTONIC, &(struct timespec){})),
      EXPIRED(ETIMEDOUT))
TIMED(futex_waitv, futex_waitv(), EXPIRED(ETIMEDOUT))
TIMED(cond_timedwait, cond_wait(), ret == ETIMEDOUT)
TIMED(epoll_wait, epoll(), ret == 0)
TIMED(epoll_pwait2, epoll_timespec(), ret == 0)
TIMED(sigtimedwait, signal_wait(), EXPIRED(EAGAIN))
TIMED(semtimedop, semaphore_wait(), EXPIRED(EAGAIN))

static struct timed timed[] = {
	T(nanosleep), T(sleep_relative), T(sleep_realtime), T(sleep_until), T(sleep_until_boottime),
	T(poll), T(ppoll), T(ppoll_const), T(select), T(select_const), T(pselect), T(pselect_const),
	T(futex), T(futex_until), T(futex_waitv), T(cond_timedwait), T(epoll_wait),
	T(epoll_pwait2), T(sigtimedwait), T(semtimedop),
};

int main(int argc, char **argv)
{
	return timed_main(argc, argv, timed, sizeof(timed) / sizeof(timed[0]));
}
