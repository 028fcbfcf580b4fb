// SPDX-License-Identifier: GPL-2.0
/*
 * Threads: ids, names, thread-local storage, mutexes and condition variables
 * between them, a robust mutex whose owner ends after the restart, joining
 * threads (clear_child_tid) that were created before it, and rseq.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include "workload.h"

#define NR 4

struct worker {
	pthread_t thread;
	pid_t tid;
	uint64_t turns;
};

static struct worker workers[NR];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static unsigned int turn, nr_started;
static bool stop;
static pthread_mutex_t robust;
static _Thread_local uint64_t mine[512];

/* The kernel keeps the number of the processor there, as long as it knows of it. */
static void check_rseq(unsigned int n)
{
	const volatile struct rseq *r = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	cpu_set_t all, one;

	if (!__rseq_size)
		return;
	wl_must(sched_getaffinity(0, sizeof(all), &all));
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		wl_must(sched_setaffinity(0, sizeof(one), &one));
		wl_check(r->cpu_id == cpu, "thread %u is on processor %u, rseq says %u", n, cpu, r->cpu_id);
	}
	wl_must(sched_setaffinity(0, sizeof(all), &all));
}

static void check_self(const struct worker *w, unsigned int n)
{
	char name[16], expect[16];

	wl_check(syscall(SYS_gettid) == w->tid, "thread %u has another id: %ld instead of %d", n,
		 syscall(SYS_gettid), w->tid);
	wl_check(pthread_self() == w->thread, "thread %u: pthread_self() changed", n);
	snprintf(expect, sizeof(expect), "worker %u", n);
	wl_must(prctl(PR_GET_NAME, name));
	wl_check(strcmp(name, expect) == 0, "thread %u has the name \"%s\"", n, name);
	wl_verify(mine, sizeof(mine), 100 + n, "thread-local storage");
	check_rseq(n);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int n = (unsigned int)(w - workers);
	char name[16];

	snprintf(name, sizeof(name), "worker %u", n);
	wl_must(prctl(PR_SET_NAME, name));
	wl_fill(mine, sizeof(mine), 100 + n);
	pthread_mutex_lock(&lock);
	w->tid = (pid_t)syscall(SYS_gettid);
	w->thread = pthread_self();
	if (n == NR - 1)
		pthread_mutex_lock(&robust);
	nr_started++;
	pthread_cond_broadcast(&turned);
	while (!stop) {
		while (!stop && turn % NR != n)
			pthread_cond_wait(&turned, &lock);
		check_self(w, n);
		w->turns++;
		turn++;
		pthread_cond_broadcast(&turned);
	}
	pthread_mutex_unlock(&lock);
	check_self(w, n);
	/* The last one ends as the owner of the robust mutex. */
	return (void *)(uintptr_t)(n + 1);
}

static void *nothing(void *arg)
{
	return arg;
}

static void new_thread(void)
{
	pthread_t t;
	void *ret;

	wl_check(pthread_create(&t, NULL, nothing, workers) == 0, "no new thread can be created");
	wl_check(pthread_join(t, &ret) == 0 && ret == workers, "a new thread cannot be joined");
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attr;
	void *ret;

	wl_start(argc, argv);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attr);
	for (int i = 0; i < NR; i++)
		wl_check(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
			 "no thread can be created");
	pthread_mutex_lock(&lock);
	while (nr_started < NR)
		pthread_cond_wait(&turned, &lock);
	pthread_mutex_unlock(&lock);
	wl_ready();
	do {
		struct wl_patience p = { 0 };
		unsigned int before;

		pthread_mutex_lock(&lock);
		before = turn;
		while (turn - before < 2 * NR)
			wl_check(wl_wait(&turned, &lock, &p, 60), "the threads stand still: turn %u", turn);
		pthread_mutex_unlock(&lock);
		wl_check(pthread_mutex_trylock(&robust) == EBUSY, "the robust mutex lost its owner");
		new_thread();
		wl_pause_ms(1);
	} while (!wl_stopping());
	pthread_mutex_lock(&lock);
	stop = true;
	pthread_cond_broadcast(&turned);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < NR; i++) {
		wl_check(pthread_join(workers[i].thread, &ret) == 0, "thread %d cannot be joined", i);
		wl_check((uintptr_t)ret == (uintptr_t)i + 1, "thread %d returned another value", i);
	}
	wl_check(pthread_mutex_lock(&robust) == EOWNERDEAD,
		 "the robust mutex does not know that its owner ended (robust list lost)");
	wl_passed();
	return 0;
}
