// SPDX-License-Identifier: GPL-2.0
/*
 * A bit of everything, for runs that take long: a ring of processes hands a
 * number round by pipes; each writes it to memory that all share and, now and
 * then, to a file of its own; a second thread of each looks after private memory.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "workload.h"

#define NR		4
#define PRIVATE		(512 << 10)
#define FILE_EVERY	32	/* laps */
#define LAST		UINT64_MAX

struct shared {
	uint64_t seen[NR];
	uint64_t changes[NR];	/* of private memory */
};

static struct shared *shared;
static int ring[NR][2];		/* ring[i]: what process i reads from, and its writers' end */
static uint64_t private[PRIVATE / 8];

static void *look_after_memory(void *arg)
{
	size_t n = (size_t)(uintptr_t)arg;

	for (uint64_t change = 0; ; change++) {
		wl_fill(private, sizeof(private), 100 * n + change);
		wl_pause_ms(5);
		wl_verify(private, sizeof(private), 100 * n + change, "private memory");
		__atomic_store_n(&shared->changes[n], change + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void start_thread(size_t n)
{
	pthread_t thread;

	wl_check(pthread_create(&thread, NULL, look_after_memory, (void *)(uintptr_t)n) == 0,
		 "no thread can be created");
}

static int open_file(size_t n)
{
	char name[32];

	snprintf(name, sizeof(name), "file.%zu", n);
	return wl_must(open(wl_path(name), O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644));
}

/* Every FILE_EVERY-th number is in the file, and nothing else. */
static void check_file(int fd, size_t n, uint64_t nr)
{
	struct stat st;
	uint64_t value;

	wl_must(fstat(fd, &st));
	wl_check(st.st_size == (off_t)(nr * 8), "file %zu has %jd bytes instead of %ju", n,
		 (intmax_t)st.st_size, (uintmax_t)(nr * 8));
	if (!nr)
		return;
	wl_check(pread(fd, &value, 8, (off_t)(nr - 1) * 8) == 8, "file %zu: %s", n, strerror(errno));
	wl_check(value == (nr - 1) * FILE_EVERY * NR + n, "file %zu holds %ju as number %ju", n,
		 (uintmax_t)value, (uintmax_t)nr);
}

static uint64_t take(size_t n)
{
	uint64_t value = 0;
	ssize_t len = read(ring[n][0], &value, sizeof(value));

	wl_check(len == sizeof(value), "process %zu reads %zd bytes: %s", n, len, strerror(errno));
	return value;
}

static void give(size_t n, uint64_t value)
{
	wl_check(write(ring[(n + 1) % NR][1], &value, sizeof(value)) == sizeof(value),
		 "process %zu cannot write: %s", n, strerror(errno));
}

/* One number: what it must be, and where it goes. */
static void note_number(int fd, size_t n, uint64_t value, uint64_t lap)
{
	uint64_t before = __atomic_load_n(&shared->seen[(n + NR - 1) % NR], __ATOMIC_ACQUIRE);

	wl_check(value == lap * NR + n, "process %zu got %ju in lap %ju", n, (uintmax_t)value,
		 (uintmax_t)lap);
	wl_check(before + 1 == value, "process %zu: shared memory says %ju before %ju", n,
		 (uintmax_t)before, (uintmax_t)value);
	if (lap % FILE_EVERY == 0) {
		wl_check(write(fd, &value, 8) == 8, "file %zu: %s", n, strerror(errno));
		check_file(fd, n, lap / FILE_EVERY + 1);
	}
	__atomic_store_n(&shared->seen[n], value, __ATOMIC_RELEASE);
}

static void member(size_t n)
{
	int fd = open_file(n);

	start_thread(n);
	for (uint64_t lap = 0; ; lap++) {
		uint64_t value = take(n);

		if (value == LAST) {
			give(n, LAST);
			_exit((int)n);
		}
		note_number(fd, n, value, lap);
		give(n, value + 1);
	}
}

int main(int argc, char **argv)
{
	pid_t pids[NR] = { 0 };
	uint64_t lap = 0, before;
	int fd, status;

	wl_start(argc, argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wl_check(shared != MAP_FAILED, "mmap: %s", strerror(errno));
	shared->seen[NR - 1] = UINT64_MAX;
	for (size_t i = 0; i < NR; i++)
		wl_must(pipe(ring[i]));
	for (size_t i = 1; i < NR; i++) {
		pids[i] = wl_must(fork());
		if (pids[i] == 0) {
			wl_must(prctl(PR_SET_PDEATHSIG, SIGKILL));
			member(i);
		}
	}
	fd = open_file(0);
	start_thread(0);
	note_number(fd, 0, 0, 0);
	wl_ready();
	do {
		before = __atomic_load_n(&shared->changes[0], __ATOMIC_RELAXED);
		do {
			give(0, lap * NR + 1);
			lap++;
			note_number(fd, 0, take(0), lap);
			wl_pause_ms(1);
		} while (before == __atomic_load_n(&shared->changes[0], __ATOMIC_RELAXED));
		wl_check(waitpid(-1, &status, WNOHANG) == 0, "a process ended with status %#x", status);
	} while (!wl_stopping());
	give(0, LAST);
	wl_check(take(0) == LAST, "the last number is another one");
	for (size_t i = 1; i < NR; i++)
		wl_check(waitpid(pids[i], &status, 0) == pids[i] && status == (int)i << 8,
			 "process %zu ended with status %#x", i, status);
	check_file(fd, 0, lap / FILE_EVERY + 1);
	wl_passed();
	return 0;
}
