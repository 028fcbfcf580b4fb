// SPDX-License-Identifier: GPL-2.0
/*
 * Files without a name: removed ones and memfds, open, mapped, or both; their
 * contents with holes, offsets, modes, seals, and who shares what with whom.
 */
#include <sys/mman.h>
#include "workload.h"

#define SIZE (1024 * 1024UL)
#define HOLE (512 * 1024UL)	/* from here to the last page */
#define ODD 12345		/* a size that is no multiple of a page */

static int plain, again, tmpfile_fd, mapped_fd, memfd, sealed;
static char *shared, *private, *lost, *memory;
static uint64_t round_nr;

static char *map(int fd, int flags)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	wl_check(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

/* A page of data, more data, a hole, and a page at the end. */
static void fill(int fd, uint64_t seed)
{
	static char buf[HOLE];

	wl_must(ftruncate(fd, SIZE));
	wl_fill(buf, sizeof(buf), seed);
	wl_check(pwrite(fd, buf, sizeof(buf), 0) == sizeof(buf), "write: %s", strerror(errno));
	wl_fill(buf, 4096, seed + 2);
	wl_check(pwrite(fd, buf, 4096, SIZE - 4096) == 4096, "write: %s", strerror(errno));
}

/* All but the first bytes, which are written to all the time. */
static void expect(int fd, uint64_t seed, const char *what)
{
	static char buf[SIZE], good[HOLE];

	wl_check(pread(fd, buf, sizeof(buf), 0) == sizeof(buf), "%s: another size", what);
	wl_fill(good, sizeof(good), seed);
	wl_check(memcmp(buf + 8, good + 8, HOLE - 8) == 0, "%s: other data", what);
	for (unsigned long i = HOLE; i < SIZE - 4096; i += 512)
		wl_check(buf[i] == 0, "%s: the hole is filled", what);
	wl_verify(buf + SIZE - 4096, 4096, seed + 2, what);
}

static int make(const char *name)
{
	return wl_must(open(wl_path(name), O_RDWR | O_CREAT | O_EXCL, 0640));
}

static void set_up(void)
{
	char buf[ODD];
	int fd;

	plain = make("plain");
	wl_fill(buf, sizeof(buf), 5);
	wl_check(write(plain, buf, ODD) == ODD, "write: %s", strerror(errno));
	wl_must(lseek(plain, 100, SEEK_SET));
	again = wl_must(open(wl_path("plain"), O_RDONLY | O_CLOEXEC));
	wl_must(fchmod(plain, 0400));
	wl_must(unlink(wl_path("plain")));
	tmpfile_fd = open(wl_dir, O_TMPFILE | O_RDWR, 0600);
	if (tmpfile_fd < 0) {
		tmpfile_fd = make("tmpfile");
		wl_must(unlink(wl_path("tmpfile")));
	}
	fill(tmpfile_fd, 11);
	/* Not before: pwrite(2) would append. */
	wl_must(fcntl(tmpfile_fd, F_SETFL, O_APPEND));
	mapped_fd = make("mapped");
	fill(mapped_fd, 21);
	shared = map(mapped_fd, MAP_SHARED);
	private = map(mapped_fd, MAP_PRIVATE);
	private[4096] = 'p';
	wl_must(unlink(wl_path("mapped")));
	fd = make("lost");
	fill(fd, 31);
	lost = map(fd, MAP_SHARED);
	close(fd);
	wl_must(unlink(wl_path("lost")));
	memfd = wl_must(memfd_create("used", MFD_CLOEXEC));
	fill(memfd, 41);
	memory = map(memfd, MAP_SHARED);
	sealed = wl_must(memfd_create("sealed", MFD_ALLOW_SEALING));
	fill(sealed, 51);
	wl_must(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW));
	wl_must(lseek(sealed, 4096, SEEK_SET));
}

static void expect_stat(int fd, mode_t mode, off_t size, unsigned int nlink, const char *what)
{
	struct stat st;

	wl_must(fstat(fd, &st));
	wl_check(S_ISREG(st.st_mode) && (st.st_mode & 07777) == mode && st.st_size == size &&
		 st.st_nlink == nlink, "%s: mode %o, size %jd, %ju links", what, st.st_mode,
		 (intmax_t)st.st_size, (uintmax_t)st.st_nlink);
	wl_check((uint64_t)st.st_blocks * 512 < HOLE + 64 * 1024, "%s: it takes %jd blocks", what,
		 (intmax_t)st.st_blocks);
}

/* Everybody sees what anybody wrote into the first bytes. */
static void write_round(void)
{
	uint64_t value = 0, nr = round_nr;

	wl_check(pread(mapped_fd, &value, 8, 0) == 8 && value == nr && *(uint64_t *)shared == nr &&
		 *(uint64_t *)private == nr, "a mapping and its removed file differ");
	wl_check(private[4096] == 'p' && shared[4096] != 'p', "a private page is shared");
	wl_check(*(uint64_t *)lost == nr, "a removed file that is only mapped has changed");
	wl_check(pread(memfd, &value, 8, 0) == 8 && value == nr && *(uint64_t *)memory == nr,
		 "a memfd and its mapping differ");
	wl_check(pread(again, &value, 8, ODD - 8) == 8 && value == nr, "a removed file has changed");
	round_nr = ++nr;
	*(uint64_t *)shared = nr;
	*(uint64_t *)lost = nr;
	wl_check(pwrite(memfd, &nr, 8, 0) == 8 && pwrite(plain, &nr, 8, ODD - 8) == 8, "write: %s",
		 strerror(errno));
}

static void verify(void)
{
	char buf[ODD];

	write_round();
	expect_stat(plain, 0400, ODD, 0, "a removed file");
	expect_stat(tmpfile_fd, 0600, SIZE, 0, "an O_TMPFILE");
	expect_stat(mapped_fd, 0640, SIZE, 0, "a removed file that is mapped");
	expect_stat(sealed, 0777, SIZE, 0, "a memfd");
	wl_check(lseek(plain, 0, SEEK_CUR) == 100 && lseek(again, 0, SEEK_CUR) == 0 &&
		 lseek(sealed, 0, SEEK_CUR) == 4096, "offsets are mixed up");
	wl_check(fcntl(again, F_GETFD) == FD_CLOEXEC && fcntl(plain, F_GETFD) == 0 &&
		 (fcntl(again, F_GETFL) & O_ACCMODE) == O_RDONLY &&
		 fcntl(tmpfile_fd, F_GETFL) & O_APPEND, "flags are lost");
	wl_check(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) &&
		 fcntl(memfd, F_GET_SEALS) == F_SEAL_SEAL, "seals are lost");
	wl_check(pread(plain, buf, ODD, 0) == ODD, "a removed file has another size");
	wl_verify(buf, ODD - 16, 5, "a removed file");
	expect(tmpfile_fd, 11, "an O_TMPFILE");
	expect(mapped_fd, 21, "a removed file that is mapped");
	wl_verify(lost + SIZE - 4096, 4096, 33, "a removed file that is only mapped");
	wl_check(lost[HOLE] == 0, "a hole is filled");
	expect(memfd, 41, "a memfd");
	expect(sealed, 51, "a sealed memfd");
}

/* Shares the description of one file with its parent. */
static void child(void)
{
	while (lseek(plain, 0, SEEK_CUR) == 100 && access(wl_path("failed"), F_OK) < 0)
		wl_pause_ms(2);
	_exit(lseek(plain, 0, SEEK_CUR) == 200 ? 0 : 1);
}

int main(int argc, char **argv)
{
	pid_t pid;

	wl_start(argc, argv);
	set_up();
	*(uint64_t *)shared = 0;
	*(uint64_t *)lost = 0;
	wl_check(pwrite(memfd, &round_nr, 8, 0) == 8 && pwrite(plain, &round_nr, 8, ODD - 8) == 8,
		 "write: %s", strerror(errno));
	pid = wl_rounds(child, verify);
	wl_must(lseek(plain, 200, SEEK_SET));
	wl_child_ends(pid);
	wl_passed();
	return 0;
}
