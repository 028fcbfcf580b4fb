// SPDX-License-Identifier: GPL-2.0
/*
 * Root directories of their own: two children in the same one, whose working
 * directory is inside of it and outside. An ordinary user's have that of everybody.
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include "workload.h"

enum { INSIDE, OUTSIDE, NR };

static struct shared {
	int stop, rounds[NR];
} *shared;

static pid_t pids[NR];
static struct stat root, cwd[NR];

static void look(int who)
{
	struct stat now;

	wl_must(stat("/", &now));
	wl_check(now.st_ino == root.st_ino && now.st_dev == root.st_dev, "child %d has another root directory", who);
	wl_must(stat(".", &now));
	wl_check(now.st_ino == cwd[who].st_ino && now.st_dev == cwd[who].st_dev,
		 "child %d has another working directory", who);
}

/* It speaks by its status alone: the paths of the test are not there for it. */
static void run(int who)
{
	while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
		look(who);
		__atomic_add_fetch(&shared->rounds[who], 1, __ATOMIC_RELAXED);
		wl_pause_ms(5);
	}
	_exit(0);
}

static void begin(int who, const char *top)
{
	pids[who] = wl_must(fork());
	if (pids[who])
		return;
	wl_must(chdir(wl_path(who == INSIDE ? "top/inside" : "outside")));
	if (geteuid() == 0)
		wl_must(chroot(top));
	wl_must(stat("/", &root));
	wl_must(stat(".", &cwd[who]));
	run(who);
}

/* Has each of them looked around since? */
static void rounds(void)
{
	int before[NR], i, status;

	for (i = 0; i < NR; i++)
		before[i] = __atomic_load_n(&shared->rounds[i], __ATOMIC_RELAXED);
	for (i = 0; i < NR; i++)
		while (__atomic_load_n(&shared->rounds[i], __ATOMIC_RELAXED) == before[i]) {
			wl_check(wl_must(waitpid(pids[i], &status, WNOHANG)) == 0,
				 "child %d has another root or working directory", i);
			wl_pause_ms(1);
		}
}

int main(int argc, char **argv)
{
	char top[PATH_MAX];
	int i, status;

	wl_start(argc, argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wl_check(shared != MAP_FAILED, "mmap: %s", strerror(errno));
	snprintf(top, sizeof(top), "%s", wl_path("top"));
	wl_must(mkdir(top, 0755));
	wl_must(mkdir(wl_path("top/inside"), 0755));
	wl_must(mkdir(wl_path("outside"), 0755));
	for (i = 0; i < NR; i++)
		begin(i, top);
	rounds();
	wl_ready();
	do {
		rounds();
		wl_pause_ms(5);
	} while (!wl_stopping());
	rounds();
	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
	for (i = 0; i < NR; i++) {
		wl_must(waitpid(pids[i], &status, 0));
		wl_check(status == 0, "child %d ended with status %#x", i, status);
	}
	wl_passed();
	return 0;
}
