/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads that each sleep in one system call, which nothing but the program
 * itself may end.
 */
#ifndef SELFTESTS_SLEEPER_H
#define SELFTESTS_SLEEPER_H

#include <pthread.h>
#include "workload.h"

static volatile bool ending;

static inline void sl_expect(const char *what, bool good, long ret, int err)
{
	wl_check(ending, "%s returned %ld (%s) although nothing happened", what, ret,
		 ret < 0 ? strerror(err) : "success");
	wl_check(good, "%s returned %ld (%s) at the end", what, ret, ret < 0 ? strerror(err) : "success");
}

/* The function sleep_NAME: @call once, whose result ret must make @good true. */
#define SLEEPER(name, call, good)				\
	static volatile bool name##_done;			\
								\
	static void *sleep_##name(void *arg)			\
	{							\
		long ret;					\
								\
		errno = 0;					\
		ret = (call);					\
		sl_expect(#name, (good), ret, errno);		\
		name##_done = true;				\
		return arg;					\
	}

struct sleeper {
	const char *name;
	void *(*run)(void *);
	volatile bool *done;
	pthread_t thread;
};

#define S(name) { #name, sleep_##name, &name##_done, 0 }

/* With only SIGUSR1 let in for the time of @call; the mask must come back. */
#define WITH_SIGUSR1(name, call)						\
	({									\
		sigset_t blocked_, open;					\
		long ret_;							\
		int err_;							\
										\
		sigemptyset(&blocked_);						\
		sigaddset(&blocked_, SIGUSR1);					\
		pthread_sigmask(SIG_BLOCK, &blocked_, &open);			\
		ret_ = (call);							\
		err_ = errno;							\
		pthread_sigmask(SIG_SETMASK, NULL, &blocked_);			\
		wl_check(sigismember(&blocked_, SIGUSR1),			\
			 "after " name " another mask is in force");		\
		errno = err_;							\
		ret_;								\
	})

static inline void sl_start(struct sleeper *sleepers, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		wl_check(pthread_create(&sleepers[i].thread, NULL, sleepers[i].run, NULL) == 0,
			 "no thread can be created");
	wl_pause_ms(200);		/* until all sleep; one that does not yet is no error */
}

static inline void sl_join(struct sleeper *sleepers, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		wl_check(pthread_join(sleepers[i].thread, NULL) == 0, "%s cannot be joined",
			 sleepers[i].name);
}

/* Until it has returned: just restarted, it may not be asleep again yet. */
static inline void sl_signal(struct sleeper *s, int sig)
{
	for (int i = 0; i < 10000 && !*s->done; i++) {
		wl_check(pthread_kill(s->thread, sig) == 0, "%s is gone", s->name);
		wl_pause_ms(1);
	}
	wl_check(*s->done, "%s does not wake", s->name);
}

#endif
