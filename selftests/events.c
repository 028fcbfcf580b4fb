// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptors that events come from: eventfd, timerfd, signalfd, and epoll on
 * them: nested, by numbers that are closed, edge-triggered, one-shot.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include "workload.h"

#define CLOSED 77		/* a number that only an epoll knows */

static int counter, semaphore, stored, ping, pong;
static int every, later, expired, at_hour;
static int signals;
static int outer, inner, hidden, edge, fired, armed, quiet[2];
static int64_t hour;		/* when at_hour expires, ns */

static uint64_t get(int fd)
{
	uint64_t value;

	wl_check(read(fd, &value, sizeof(value)) == sizeof(value), "descriptor %d: read: %s", fd,
		 strerror(errno));
	return value;
}

static void put(int fd, uint64_t value)
{
	wl_check(write(fd, &value, sizeof(value)) == sizeof(value), "descriptor %d: write: %s", fd,
		 strerror(errno));
}

static bool is_empty(int fd)
{
	uint64_t value;

	return read(fd, &value, sizeof(value)) < 0 && errno == EAGAIN;
}

static int make_timer(clockid_t clock, int flags, struct timespec value, long interval_ns)
{
	struct itimerspec its = { .it_value = value, .it_interval.tv_nsec = interval_ns };
	int fd = wl_must(timerfd_create(clock, TFD_NONBLOCK));

	wl_must(timerfd_settime(fd, flags, &its, NULL));
	return fd;
}

static void watch(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	wl_must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static void set_up_epoll(void)
{
	struct epoll_event event;
	int fd;

	outer = wl_must(epoll_create1(EPOLL_CLOEXEC));
	inner = wl_must(epoll_create1(0));
	hidden = wl_must(eventfd(0, EFD_NONBLOCK));
	wl_must(dup2(hidden, CLOSED));
	watch(inner, CLOSED, EPOLLIN, 0xfedcba9876543210ULL);
	close(CLOSED);
	/* The same number twice, for two files. */
	fd = wl_must(eventfd(0, EFD_NONBLOCK));
	wl_must(dup2(fd, CLOSED));
	close(fd);
	watch(inner, CLOSED, EPOLLIN, 2);
	edge = wl_must(dup(CLOSED));
	close(CLOSED);
	watch(outer, inner, EPOLLIN, 3);
	watch(outer, counter, EPOLLIN, 4);
	watch(outer, signals, EPOLLIN, 5);
	fired = wl_must(eventfd(1, EFD_NONBLOCK));
	watch(outer, fired, EPOLLIN | EPOLLONESHOT, 6);
	wl_check(epoll_wait(outer, &event, 1, 0) == 1 && event.data.u64 == 6, "epoll_wait");
	armed = wl_must(eventfd(0, EFD_NONBLOCK));
	watch(outer, armed, EPOLLIN | EPOLLONESHOT, 7);
	wl_must(pipe2(quiet, O_NONBLOCK));
	watch(outer, quiet[1], EPOLLIN | EPOLLET, 8);
}

static void set_up(void)
{
	struct timespec now;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGRTMIN + 3);
	wl_must(sigprocmask(SIG_BLOCK, &mask, NULL));
	counter = wl_must(eventfd(0, EFD_NONBLOCK));
	semaphore = wl_must(eventfd(3, EFD_NONBLOCK | EFD_SEMAPHORE));
	stored = wl_must(eventfd(0, EFD_CLOEXEC));
	put(stored, 0xfffffffffffffffdULL);
	ping = wl_must(eventfd(0, 0));
	pong = wl_must(eventfd(0, EFD_SEMAPHORE));
	every = make_timer(CLOCK_MONOTONIC, 0, (struct timespec){ .tv_nsec = 1 }, 5000000);
	later = make_timer(CLOCK_BOOTTIME, 0, (struct timespec){ .tv_sec = 5000 }, 0);
	expired = make_timer(CLOCK_MONOTONIC, 0, (struct timespec){ .tv_nsec = 1 }, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += 3600;
	at_hour = make_timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME, now, 0);
	hour = now.tv_sec * 1000000000LL + now.tv_nsec;
	signals = wl_must(signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC));
	set_up_epoll();
}

/* One event of @data is ready, and nothing else. */
static void expect(uint64_t data, const char *what)
{
	struct epoll_event events[8];
	int n = wl_must(epoll_wait(outer, events, 8, 0));

	wl_check(n == 1 && events[0].data.u64 == data, "%s: %d events, the first with %#jx instead "
		 "of %#jx", what, n, n ? (uintmax_t)events[0].data.u64 : 0, (uintmax_t)data);
}

static void verify_epoll(void)
{
	struct epoll_event events[8];
	struct signalfd_siginfo info;
	int n;

	/* Made again, an edge may be seen once more. */
	n = wl_must(epoll_wait(outer, events, 8, 0));
	wl_check(n == 0, "%d events without a reason, the first with %#jx", n,
		 (uintmax_t)events[0].data.u64);
	put(hidden, 1);
	expect(3, "a nested epoll");
	n = wl_must(epoll_wait(inner, events, 8, 0));
	wl_check(n == 1 && events[0].data.u64 == 0xfedcba9876543210ULL,
		 "a watch by a closed number: %d events, the first with %#jx", n,
		 n ? (uintmax_t)events[0].data.u64 : 0);
	wl_check(get(hidden) == 1, "an eventfd has another value");
	put(edge, 1);
	n = wl_must(epoll_wait(inner, events, 8, 0));
	wl_check(n == 1 && events[0].data.u64 == 2, "a second watch by a closed number");
	wl_check(get(edge) == 1, "an eventfd has another value");
	put(counter, 3);
	expect(4, "an eventfd");
	wl_check(get(counter) == 3, "an eventfd has another value");
	raise(SIGUSR1);
	expect(5, "a signalfd");
	wl_check(read(signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1,
		 "the signalfd has another signal");
}

static void verify_timers(void)
{
	struct itimerspec its;
	struct timespec now;
	int64_t left;

	wl_must(timerfd_gettime(later, &its));
	wl_check(its.it_value.tv_sec > 4000 && its.it_value.tv_sec < 5000 && is_empty(later),
		 "a timer of 5000 s has %jd s left", (intmax_t)its.it_value.tv_sec);
	wl_must(timerfd_gettime(at_hour, &its));
	clock_gettime(CLOCK_REALTIME, &now);
	left = its.it_value.tv_sec * 1000000000LL + its.it_value.tv_nsec;
	left += now.tv_sec * 1000000000LL + now.tv_nsec - hour;
	/* It was asked before the clock. */
	wl_check(left > -1000000 && left < 2000000000, "a timer at a time of day is off by %jd ns",
		 (intmax_t)left);
	wl_must(timerfd_gettime(every, &its));
	wl_check(its.it_interval.tv_nsec == 5000000 && !its.it_value.tv_sec &&
		 its.it_value.tv_nsec <= 5000000, "the periodic timer has another period");
}

static void verify(void)
{
	struct wl_patience p = { 0 };

	verify_timers();
	verify_epoll();
	/* A round trip through the other process. */
	put(ping, 2);
	wl_check(get(pong) == 1 && get(pong) == 1, "the child answered otherwise");
	/* The next expiration comes, however long the job stood still before. */
	while (is_empty(every)) {
		wl_check(wl_patient(&p, 20), "the periodic timer stands still");
		wl_pause_ms(1);
	}
}

static void child(void)
{
	uint64_t value;

	for (;;) {
		value = get(ping);
		if (value > 2)
			_exit(0);
		put(pong, value);
	}
}

static void verify_end(void)
{
	struct epoll_event event;

	wl_check(get(semaphore) == 1 && get(semaphore) == 1 && get(semaphore) == 1 &&
		 is_empty(semaphore), "the semaphore is not at 3");
	wl_check(get(stored) == 0xfffffffffffffffdULL, "a large counter has another value");
	wl_check(fcntl(stored, F_GETFD) == FD_CLOEXEC && !(fcntl(stored, F_GETFL) & O_NONBLOCK) &&
		 fcntl(semaphore, F_GETFL) & O_NONBLOCK && fcntl(outer, F_GETFD) == FD_CLOEXEC,
		 "flags are lost");
	wl_check(get(expired) == 1 && is_empty(expired), "an expiration that was not read is lost");
	/* Fired: silent until it is armed again, by the number that it was added by. */
	put(armed, 1);
	expect(7, "a one-shot");
	put(armed, 1);
	event = (struct epoll_event){ .events = EPOLLIN, .data.u64 = 9 };
	wl_must(epoll_ctl(outer, EPOLL_CTL_MOD, fired, &event));
	expect(9, "a one-shot armed again");
	wl_check(get(fired) == 1, "an eventfd has another value");
	wl_must(epoll_ctl(outer, EPOLL_CTL_DEL, quiet[1], NULL));
	wl_must(dup2(hidden, CLOSED));
	wl_must(epoll_ctl(inner, EPOLL_CTL_DEL, CLOSED, NULL));
}

int main(int argc, char **argv)
{
	pid_t pid;

	wl_start(argc, argv);
	set_up();
	pid = wl_rounds(child, verify);
	verify_end();
	put(ping, 3);
	wl_child_ends(pid);
	wl_passed();
	return 0;
}
