// SPDX-License-Identifier: GPL-2.0
/*
 * memory FILE MEGABYTES: random private memory of which two threads change
 * pages all the time; each reads back what it wrote.
 */
#include "ticker.h"

#define WRITERS 2
#define PAGE_WORDS 512

static uint64_t *words;
static uint64_t nr_pages;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *rewrite(void *arg)
{
	uint64_t n = (uint64_t)(uintptr_t)arg, seed = n + 1, start, page, round = 0;

	for (;;) {
		start = seed;
		round++;
		for (int i = 0; i < 1000; i++) {
			page = next(&seed) % (nr_pages / WRITERS) * WRITERS + n;
			words[page * PAGE_WORDS + (page & 255)] = round ^ page;
		}
		seed = start;
		for (int i = 0; i < 1000; i++) {
			page = next(&seed) % (nr_pages / WRITERS) * WRITERS + n;
			if (words[page * PAGE_WORDS + (page & 255)] != (round ^ page))
				__atomic_add_fetch(&ticker->errors, 1, __ATOMIC_RELAXED);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t mb = argc > 2 ? strtoull(argv[2], NULL, 10) : 256, seed = 88172645463325252ULL;

	ticker_open(argv[1]);
	nr_pages = mb << 8;
	words = mmap(NULL, mb << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (words == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	/* 4K pages, as most programs have most of the time, and nothing to compress. */
	madvise(words, mb << 20, MADV_NOHUGEPAGE);
	for (uint64_t i = 0; i < nr_pages * PAGE_WORDS; i++)
		words[i] = next(&seed);
	for (uintptr_t i = 0; i < WRITERS; i++)
		bench_thread(rewrite, (void *)i);
	ticker->ready = 1;
	ticker_run(NULL);
}
