// SPDX-License-Identifier: GPL-2.0
/*
 * Much memory, so that saving takes a while: BIG_MB megabytes (64) of random
 * words, of which two threads change some all the time and read them back.
 */
#include <pthread.h>
#include <sys/mman.h>
#include "workload.h"

#define NR 2

static uint64_t *words;
static size_t nr_words;
static bool stop;
static uint64_t rounds[NR];

/* Thread n owns every second page; each word is what its place and round say. */
static void *rewrite(void *arg)
{
	unsigned int n = (unsigned int)(uintptr_t)arg;
	uint64_t seed = n + 1, round = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint64_t start = seed;

		round++;
		for (int i = 0; i < 2000; i++) {
			size_t page = wl_random(&seed) % (nr_words / 1024) * 2 + n;

			words[page * 512 + 1] = round;
			words[page * 512 + 2] = page ^ round << 32;
		}
		seed = start;
		for (int i = 0; i < 2000; i++) {
			size_t page = wl_random(&seed) % (nr_words / 1024) * 2 + n;

			wl_check(words[page * 512 + 1] == round &&
				 words[page * 512 + 2] == (page ^ round << 32),
				 "page %zu is not as written in round %ju", page, round);
		}
		__atomic_store_n(&rounds[n], round, __ATOMIC_RELAXED);
		wl_pause_ms(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *mb = getenv("BIG_MB");
	pthread_t threads[NR];
	uint64_t seed = 42;

	wl_start(argc, argv);
	nr_words = (size_t)(mb ? atoi(mb) : 64) << 17;
	words = mmap(NULL, nr_words * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	wl_check(words != MAP_FAILED, "mmap: %s", strerror(errno));
	for (size_t i = 0; i < nr_words; i += 8)
		words[i] = wl_random(&seed);
	for (uintptr_t i = 0; i < NR; i++)
		wl_check(pthread_create(&threads[i], NULL, rewrite, (void *)i) == 0, "no threads");
	wl_ready();
	do {
		struct wl_patience p = { 0 };
		uint64_t before[NR];

		memcpy(before, rounds, sizeof(before));
		for (int i = 0; i < NR; i++)
			while (__atomic_load_n(&rounds[i], __ATOMIC_RELAXED) == before[i]) {
				wl_check(wl_patient(&p, 20), "thread %d stands still", i);
				wl_pause_ms(1);
			}
	} while (!wl_stopping());
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < NR; i++)
		pthread_join(threads[i], NULL);
	/* What nobody wrote to is still as it was made. */
	seed = 42;
	for (size_t i = 0; i < nr_words; i += 8)
		wl_check(words[i] == wl_random(&seed), "word %zu changed by itself", i);
	wl_passed();
	return 0;
}
