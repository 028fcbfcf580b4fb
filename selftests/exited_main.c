// SPDX-License-Identifier: GPL-2.0
/*
 * A process whose first thread has ended while others live (pthread_exit() in
 * main): its id, files, memory and signals are theirs, and its exit status is that
 * of whoever ends last.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "workload.h"

#define NR 2

static uint64_t *turns;			/* of parent's child, shared with it */
static int *stop;
static pid_t tids[NR];
static int fd;
static volatile sig_atomic_t seen;
static pthread_t threads[NR];
static pthread_barrier_t barrier;

static void on_usr1(int sig)
{
	seen = sig;
}

static void *run(void *arg)
{
	int who = (int)(intptr_t)arg;
	char byte;

	tids[who] = (pid_t)syscall(SYS_gettid);
	pthread_barrier_wait(&barrier);
	while (!__atomic_load_n(stop, __ATOMIC_ACQUIRE)) {
		wl_check((pid_t)syscall(SYS_gettid) == tids[who] && tids[who] != getpid(),
			 "thread %d has another id", who);
		wl_check(pread(fd, &byte, 1, 2) == 1 && byte == 'c', "the file is not open any more");
		__atomic_add_fetch(&turns[who], 1, __ATOMIC_RELAXED);
		wl_pause_ms(2);
	}
	if (who == 0)
		return NULL;
	wl_check(pthread_join(threads[0], NULL) == 0, "a thread cannot be joined");
	seen = 0;
	wl_check(raise(SIGUSR1) == 0 && seen == SIGUSR1, "no signal is delivered");
	/* Not exit_group(2): the last one of them decides. */
	syscall(SYS_exit, 99);
	return NULL;
}

static void child(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };

	fd = wl_must(open(wl_path("file"), O_RDWR | O_CREAT, 0600));
	wl_check(write(fd, "abc", 3) == 3, "write: %s", strerror(errno));
	wl_must(sigaction(SIGUSR1, &sa, NULL));
	pthread_barrier_init(&barrier, NULL, NR + 1);
	for (int i = 0; i < NR; i++)
		wl_check(pthread_create(&threads[i], NULL, run, (void *)(intptr_t)i) == 0,
			 "no thread can be created");
	pthread_barrier_wait(&barrier);
	syscall(SYS_exit, 42);
}

int main(int argc, char **argv)
{
	struct wl_patience p;
	uint64_t before[NR];
	siginfo_t info;
	pid_t pid;
	int status;

	wl_start(argc, argv);
	turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wl_check(turns != MAP_FAILED, "mmap: %s", strerror(errno));
	stop = (int *)&turns[NR];
	pid = wl_must(fork());
	if (!pid)
		child();
	while (!__atomic_load_n(&turns[0], __ATOMIC_RELAXED))
		wl_pause_ms(1);
	wl_ready();
	do {
		memcpy(before, turns, sizeof(before));
		p = (struct wl_patience){ 0 };
		for (int i = 0; i < NR; i++)
			while (__atomic_load_n(&turns[i], __ATOMIC_RELAXED) == before[i]) {
				wl_check(wl_patient(&p, 60), "thread %d stands still", i);
				wl_pause_ms(2);
			}
		wl_must(kill(pid, 0));
		memset(&info, 0, sizeof(info));
		wl_must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT));
		wl_check(info.si_pid == 0, "the child has ended");
	} while (!wl_stopping());
	__atomic_store_n(stop, 1, __ATOMIC_RELEASE);
	wl_check(waitpid(pid, &status, 0) == pid && status == 99 << 8, "the child ended with status %#x",
		 status);
	wl_passed();
	return 0;
}
