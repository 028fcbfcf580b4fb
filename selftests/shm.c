// SPDX-License-Identifier: GPL-2.0
/*
 * Memory shared between processes: anonymous, and of a memfd, mapped at
 * different addresses and offsets.  Processes take turns by a shared mutex
 * and must all see what the others write, in every mapping of an object.
 */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "workload.h"

#define NR 3
#define DATA (1024 * 1024UL)

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t turned;
	uint64_t turn;
	bool stop;
};

static struct shared *shared;
static uint64_t *data, *view, *tail;	/* data and view are one object, tail is its last page */

static void *map(size_t len, int fd, off_t offset)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0),
		       fd, offset);

	wl_check(p != MAP_FAILED, "mmap of shared memory: %s", strerror(errno));
	return p;
}

static void set_up(void)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;
	int fd;

	shared = map(sizeof(*shared), -1, 0);
	pthread_mutexattr_init(&mutex);
	pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&shared->lock, &mutex);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&shared->turned, &cond);

	fd = wl_must(memfd_create("selftest", MFD_CLOEXEC));
	wl_must(ftruncate(fd, DATA));
	data = map(DATA, fd, 0);
	tail = map(4096, fd, DATA - 4096);
	view = map(DATA, fd, 0);
	close(fd);
	/* The second half stays as it is, holes included; the first changes. */
	wl_fill(data + DATA / 16, DATA / 4, 1);
}

/* One slot a page, so that every process touches many pages. */
static uint64_t *slot(uint64_t *base, uint64_t n)
{
	return base + n % 64 * 512 + 7;
}

static void take_turn(uint64_t n)
{
	uint64_t turn = shared->turn, i;

	for (i = turn < 64 ? 0 : turn - 64; i < turn; i++) {
		wl_check(*slot(data, i) == i, "process %ju does not see what another one wrote", n);
		wl_check(*slot(view, i) == i, "two mappings of one object differ");
	}
	*slot(turn % 2 ? data : view, turn) = turn;
	wl_check(turn == 0 || *tail == turn - 1, "the last page is not shared");
	wl_check(turn == 0 || data[DATA / 8 - 512] == turn - 1, "the last page is not shared");
	*tail = turn;
	shared->turn = turn + 1;
}

static void work(uint64_t n)
{
	pthread_mutex_lock(&shared->lock);
	while (!shared->stop) {
		if (shared->turn % NR == n)
			take_turn(n);
		pthread_cond_broadcast(&shared->turned);
		if (!shared->stop)
			pthread_cond_wait(&shared->turned, &shared->lock);
	}
	pthread_cond_broadcast(&shared->turned);
	pthread_mutex_unlock(&shared->lock);
	wl_verify(view + DATA / 16, DATA / 4, 1, "shared memory");
}

int main(int argc, char **argv)
{
	pid_t pids[NR];
	int status;

	wl_start(argc, argv);
	set_up();
	for (uint64_t i = 0; i < NR; i++) {
		pids[i] = wl_must(fork());
		if (pids[i] == 0) {
			work(i);
			_exit(0);
		}
	}
	wl_ready();
	do {
		struct wl_patience p = { 0 };
		uint64_t before;

		pthread_mutex_lock(&shared->lock);
		before = shared->turn;
		while (shared->turn - before < 3 * NR)
			wl_check(wl_wait(&shared->turned, &shared->lock, &p, 60),
				 "the processes stand still at turn %ju", shared->turn);
		pthread_mutex_unlock(&shared->lock);
		wl_verify(view + DATA / 16, DATA / 4, 1, "shared memory");
		wl_check(waitpid(-1, &status, WNOHANG) == 0, "a process ended");
		wl_pause_ms(1);
	} while (!wl_stopping());
	pthread_mutex_lock(&shared->lock);
	shared->stop = true;
	pthread_cond_broadcast(&shared->turned);
	pthread_mutex_unlock(&shared->lock);
	for (int i = 0; i < NR; i++)
		wl_check(waitpid(pids[i], &status, 0) == pids[i] && status == 0,
			 "process %d did not end well", i);
	wl_passed();
	return 0;
}
