// SPDX-License-Identifier: GPL-2.0
/*
 * Files that are mapped shared and not open: one in $TMPDIR that two processes write
 * to, each in a part of its own, while their memory says what must be in there; and
 * one that is only read.  At its end the program removes the first one, so that the
 * next restart from the same image finds none.
 *
 * With TMPDIR in the environment that is elsewhere, the first one is no temporary file.
 */
#include <sys/mman.h>
#include "workload.h"

#define SIZE (256 * 1024UL)
#define PART 512UL		/* words */

static uint64_t *written, *again;
static const uint64_t *only_read;

/* All of it, but for the parts of the two processes. */
static void *map(const char *path, int prot, uint64_t seed)
{
	static uint64_t buf[SIZE / sizeof(uint64_t)];
	int fd = wl_must(open(path, O_RDWR | O_CREAT | O_EXCL, 0640));
	void *p;

	wl_fill(buf, SIZE, seed);
	memset(buf, 0, 2 * PART * sizeof(*buf));
	wl_check(write(fd, buf, SIZE) == SIZE, "write: %s", strerror(errno));
	close(fd);
	fd = wl_must(open(path, prot & PROT_WRITE ? O_RDWR : O_RDONLY));
	p = mmap(NULL, SIZE, prot, MAP_SHARED, fd, 0);
	wl_check(p != MAP_FAILED, "mmap: %s", strerror(errno));
	close(fd);
	return p;
}

static void expect(const uint64_t *words, uint64_t seed, const char *what)
{
	static uint64_t good[SIZE / sizeof(uint64_t)];

	wl_fill(good, SIZE, seed);
	wl_check(memcmp(words + 2 * PART, good + 2 * PART, SIZE - 2 * PART * sizeof(*good)) == 0,
		 "%s has other contents", what);
}

/* Part @nr says in which round its process is. */
static void write_round(unsigned int nr)
{
	static uint64_t round_nr;
	uint64_t *part = written + nr * PART;

	for (unsigned long i = 0; i < PART; i++)
		wl_check(part[i] == round_nr, "the mapping is that of round %ju, not of %ju",
			 (uintmax_t)part[i], (uintmax_t)round_nr);
	wl_check(again[nr * PART] == round_nr, "the two mappings of a file differ");
	round_nr++;
	for (unsigned long i = 0; i < PART; i++)
		part[i] = round_nr;
}

static void verify(void)
{
	uint64_t word;
	int fd;

	write_round(0);
	expect(written, 11, "the file that is written to");
	expect(only_read, 21, "the file that is read");
	/* What is mapped is what is there. */
	fd = wl_must(open(wl_path("tmp/written"), O_RDONLY));
	wl_check(pread(fd, &word, sizeof(word), 0) == sizeof(word) && word == written[0],
		 "the mapped file is not what is at its path");
	close(fd);
}

/* Until the parent has ended its part. */
static void child(void)
{
	while (written[0] != UINT64_MAX && access(wl_path("failed"), F_OK) < 0) {
		write_round(1);
		wl_pause_ms(1);
	}
	_exit(written[0] == UINT64_MAX ? 0 : 1);
}

int main(int argc, char **argv)
{
	pid_t pid;

	wl_start(argc, argv);
	/* What counts is the environment that the program was started with. */
	if (!getenv("TMPDIR")) {
		wl_must(setenv("TMPDIR", wl_path("tmp"), 1));
		wl_must(execv("/proc/self/exe", argv));
	}
	wl_must(mkdir(wl_path("tmp"), 0700));
	written = map(wl_path("tmp/written"), PROT_READ | PROT_WRITE, 11);
	only_read = map(wl_path("read"), PROT_READ, 21);
	again = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, wl_must(open(wl_path("tmp/written"), O_RDONLY)), 0);
	wl_check(again != MAP_FAILED, "mmap: %s", strerror(errno));
	close_range(3, ~0U, 0);
	pid = wl_rounds(child, verify);
	written[0] = UINT64_MAX;
	wl_child_ends(pid);
	wl_must(unlink(wl_path("tmp/written")));
	wl_must(rmdir(wl_path("tmp")));
	wl_passed();
	return 0;
}
