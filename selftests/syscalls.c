// SPDX-License-Identifier: GPL-2.0
/*
 * System calls that sleep while the job is saved: nobody but their own event
 * may end them, with their own result, and timeouts go on with what is left.
 *
 * Those that fail with EINTR after any other stop are in fragile.c, timeouts
 * that run out in timeouts.c.
 */
#include <linux/futex.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "sleeper.h"

#define LONG_S 5000

static int empty[2], full[2], for_poll[2];
static uint32_t word, timed_word;
static pid_t child;
static volatile sig_atomic_t usr1_seen, usr2_seen;

static void on_usr1(int sig)
{
	usr1_seen += sig;
}

static void on_usr2(int sig)
{
	usr2_seen += sig;
}

static long futex_wait(uint32_t *addr, const struct timespec *timeout)
{
	return syscall(SYS_futex, addr, FUTEX_WAIT, 0, timeout, NULL, 0);
}

static char byte;
static const struct timespec far = { .tv_sec = LONG_S };
static struct timespec left, until;
static struct pollfd polled = { .events = POLLIN }, polled_long = { .events = POLLIN };

static bool left_ok(void)
{
	return left.tv_sec > LONG_S - 2000 && left.tv_sec < LONG_S;
}

static long do_sigsuspend(void)
{
	return WITH_SIGUSR1("sigsuspend", sigsuspend(&open));
}

static long do_ppoll(void)
{
	return WITH_SIGUSR1("ppoll", ppoll(NULL, 0, &far, &open));
}

static long do_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(for_poll[0], &set);
	return select(for_poll[0] + 1, &set, NULL, NULL, NULL);
}

SLEEPER(read, read(empty[0], &byte, 1), ret == 1 && byte == 'r')
SLEEPER(write, write(full[1], "w", 1), ret == 1)
SLEEPER(futex, futex_wait(&word, NULL), ret == 0)
SLEEPER(futex_timeout, futex_wait(&timed_word, &far), ret == 0)
SLEEPER(nanosleep, nanosleep(&far, &left), ret == -1 && errno == EINTR && left_ok())
SLEEPER(clock_nanosleep, clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), ret == EINTR)
SLEEPER(pause, pause(), ret == -1 && errno == EINTR)
SLEEPER(sigsuspend, do_sigsuspend(), ret == -1 && errno == EINTR)
SLEEPER(poll, poll(&polled, 1, -1), ret == 1 && polled.revents == POLLIN)
SLEEPER(poll_timeout, poll(&polled_long, 1, LONG_S * 1000), ret == 1 && polled_long.revents == POLLIN)
SLEEPER(ppoll, do_ppoll(), ret == -1 && errno == EINTR)
SLEEPER(select, do_select(), ret == 1)
SLEEPER(waitpid, waitpid(child, NULL, 0), ret == child)

/* Short timeouts, over and over: never too early, never with an error. */
static void *sleep_short(void *arg)
{
	struct timespec ms30 = { .tv_nsec = 30000000 };
	uint32_t never = 0;
	uint64_t start;
	long ret;

	while (!ending) {
		start = wl_now_ns();
		ret = nanosleep(&ms30, NULL);
		wl_check(ret == 0, "a short nanosleep: %s", strerror(errno));
		wl_check(wl_now_ns() - start >= 30000000, "nanosleep came back too early");
		start = wl_now_ns();
		ret = poll(NULL, 0, 30);
		wl_check(ret == 0, "a short poll: %s", strerror(errno));
		wl_check(wl_now_ns() - start >= 30000000, "poll came back too early");
		start = wl_now_ns();
		ret = futex_wait(&never, &ms30);
		wl_check(ret == -1 && errno == ETIMEDOUT, "a short futex wait: %ld, %s", ret,
			 strerror(errno));
		wl_check(wl_now_ns() - start >= 30000000, "futex came back too early");
	}
	return arg;
}

static volatile bool short_done;

static struct sleeper sleepers[] = {
	S(read), S(write), S(futex), S(futex_timeout), S(nanosleep), S(clock_nanosleep), S(pause),
	S(sigsuspend), S(poll), S(poll_timeout), S(ppoll), S(select), S(waitpid), S(short),
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
	static char junk[4096];

	wl_must(pipe(empty));
	wl_must(pipe(full));
	wl_must(pipe(for_poll));
	polled.fd = polled_long.fd = for_poll[0];
	wl_must(fcntl(full[1], F_SETFL, O_NONBLOCK));
	while (write(full[1], junk, sizeof(junk)) > 0)
		;
	wl_must(fcntl(full[1], F_SETFL, 0));
	child = wl_must(fork());
	if (child == 0) {
		signal(SIGTERM, SIG_DFL);
		for (;;)
			pause();
	}
	wl_must(clock_gettime(CLOCK_MONOTONIC, &until));
	until.tv_sec += LONG_S;
	sl_start(sleepers, NR);
}

/* Just restarted, it may not be asleep again yet. */
static void wake_futex(const char *name, uint32_t *futex)
{
	struct sleeper *s = sleeper(name);

	for (int i = 0; i < 10000 && !*s->done; i++) {
		syscall(SYS_futex, futex, FUTEX_WAKE, 1, NULL, NULL, 0);
		wl_pause_ms(1);
	}
	wl_check(*s->done, "%s does not wake", name);
}

static void wake_all(void)
{
	char junk[4096];

	ending = true;
	wl_check(write(empty[1], "r", 1) == 1, "write: %s", strerror(errno));
	wl_check(read(full[0], junk, sizeof(junk)) == sizeof(junk), "read: %s", strerror(errno));
	wake_futex("futex", &word);
	wake_futex("futex_timeout", &timed_word);
	sl_signal(sleeper("nanosleep"), SIGUSR1);
	sl_signal(sleeper("clock_nanosleep"), SIGUSR1);
	sl_signal(sleeper("pause"), SIGUSR1);
	sl_signal(sleeper("sigsuspend"), SIGUSR1);
	sl_signal(sleeper("ppoll"), SIGUSR1);
	wl_check(write(for_poll[1], "p", 1) == 1, "write: %s", strerror(errno));
	wl_must(kill(child, SIGKILL));
}

int main(int argc, char **argv)
{
	struct sigaction interrupts = { .sa_handler = on_usr1 };
	struct sigaction restarts = { .sa_handler = on_usr2, .sa_flags = SA_RESTART };

	wl_start(argc, argv);
	wl_must(sigaction(SIGUSR1, &interrupts, NULL));
	wl_must(sigaction(SIGUSR2, &restarts, NULL));
	set_up();
	wl_ready();
	do {
		/* A handler with SA_RESTART does not end a read. */
		usr2_seen = 0;
		wl_check(pthread_kill(sleeper("read")->thread, SIGUSR2) == 0, "the reading thread is gone");
		for (int i = 0; i < 20000 && !usr2_seen; i++)
			wl_pause_ms(1);
		wl_check(usr2_seen, "the reading thread got no signal");
		wl_pause_ms(10);
	} while (!wl_stopping());
	wake_all();
	sl_join(sleepers, NR);
	wl_passed();
	return 0;
}
