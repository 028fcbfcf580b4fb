// SPDX-License-Identifier: GPL-2.0
/*
 * A removed file, larger than what is copied of such, written anew block by block, from
 * its beginning to its end and over again; each block is read before: it has to be that
 * of the round before.
 */
#include "workload.h"

#define BLOCK	65536UL
#define NR	(264 * 1048576 / BLOCK)

static uint64_t buf[BLOCK / sizeof(uint64_t)];
static int fd;

/* One word of each page tells, so that it costs nothing where machines are slow. */
static uint64_t word(unsigned long block, unsigned long i, uint64_t round_nr)
{
	return round_nr << 32 | block << 16 | i;
}

static void expect(unsigned long block, uint64_t round_nr)
{
	wl_check(pread(fd, buf, BLOCK, (off_t)(block * BLOCK)) == BLOCK, "read: %s", strerror(errno));
	for (unsigned long i = 0; i < sizeof(buf) / sizeof(*buf); i += 512)
		wl_check(buf[i] == word(block, i, round_nr), "block %lu is not that of round %ju",
			 block, (uintmax_t)round_nr);
}

static void put(unsigned long block, uint64_t round_nr)
{
	for (unsigned long i = 0; i < sizeof(buf) / sizeof(*buf); i += 512)
		buf[i] = word(block, i, round_nr);
	wl_check(pwrite(fd, buf, BLOCK, (off_t)(block * BLOCK)) == BLOCK, "write: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	unsigned long block = 0;
	uint64_t round_nr = 1;

	wl_start(argc, argv);
	fd = wl_must(open(wl_path("file"), O_RDWR | O_CREAT | O_EXCL, 0600));
	wl_must(unlink(wl_path("file")));
	for (unsigned long i = 0; i < NR; i++)
		put(i, round_nr);
	wl_ready();
	do {
		expect(block, round_nr);
		put(block, round_nr + 1);
		if (++block == NR) {
			block = 0;
			round_nr++;
		}
		wl_pause_ms(1);
	} while (!wl_stopping());
	for (unsigned long i = 0; i < NR; i++)
		expect(i, i < block ? round_nr + 1 : round_nr);
	wl_passed();
	return 0;
}
