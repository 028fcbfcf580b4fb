// SPDX-License-Identifier: GPL-2.0
/*
 * bandwidth DIR: what memory and this file system give, in MB/s, as JSON, to
 * compare the other figures with.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BYTES (256UL << 20)
#define CHUNK (1UL << 20)

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static char *map(void)
{
	char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static double write_file(const char *path, const char *data, int flags)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | flags, 0600);
	double start = now();

	for (size_t at = 0; at < BYTES; at += CHUNK)
		if (write(fd, data + at, CHUNK) != CHUNK) {
			perror(path);
			exit(1);
		}
	if (fsync(fd) < 0)
		perror("fsync");
	close(fd);
	return BYTES / 1e6 / (now() - start);
}

int main(int argc, char **argv)
{
	char path[4096], *a = map(), *b = map();
	double start, copy, buffered, direct, cached;
	int fd;

	snprintf(path, sizeof(path), "%s/bandwidth.tmp", argc > 1 ? argv[1] : ".");
	for (size_t i = 0; i < BYTES; i += 8)
		*(uint64_t *)(a + i) = i * 0x9E3779B97F4A7C15ULL;
	start = now();
	memcpy(b, a, BYTES);
	copy = BYTES / 1e6 / (now() - start);
	buffered = write_file(path, a, 0);
	fd = open(path, O_RDONLY);
	start = now();
	for (size_t at = 0; at < BYTES; at += CHUNK)
		if (read(fd, b + at, CHUNK) != CHUNK)
			return 1;
	cached = BYTES / 1e6 / (now() - start);
	close(fd);
	direct = write_file(path, a, O_DIRECT);
	unlink(path);
	printf("{\"memcpy\": %.0f, \"write_fsync\": %.0f, \"write_direct\": %.0f, \"read_cached\": %.0f}\n",
	       copy, buffered, direct, cached);
	return 0;
}
