// SPDX-License-Identifier: GPL-2.0
/*
 * A job that is never at rest: children are born, execute this program anew
 * and end, threads come and go, all the time. A freeze meets them in the middle.
 */
#include <pthread.h>
#include <sys/wait.h>
#include "workload.h"

#define NR 3

static void *nothing(void *arg)
{
	return arg;
}

static void *come_and_go(void *arg)
{
	pthread_t thread;
	void *ret;

	for (;;) {
		wl_check(pthread_create(&thread, NULL, nothing, arg) == 0, "no thread can be created");
		wl_check(pthread_join(thread, &ret) == 0 && ret == arg, "a thread cannot be joined");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int status, nr = 0;
	pid_t pid;

	if (argc == 3)
		_exit(40 + atoi(argv[2]));
	wl_start(argc, argv);
	wl_check(pthread_create(&thread, NULL, come_and_go, NULL) == 0, "no thread can be created");
	wl_ready();
	do {
		pid_t pids[NR];

		for (int i = 0; i < NR; i++) {
			char which[2] = { (char)('0' + i), '\0' };

			pids[i] = wl_must(fork());
			if (pids[i] == 0) {
				execl("/proc/self/exe", argv[0], wl_dir, which, NULL);
				_exit(1);
			}
		}
		for (int i = 0; i < NR; i++) {
			pid = waitpid(pids[i], &status, 0);
			wl_check(pid == pids[i] && status == (40 + i) << 8,
				 "child %d of round %d ended with status %#x", i, nr, status);
		}
		nr++;
	} while (!wl_stopping());
	wl_passed();
	return 0;
}
