// SPDX-License-Identifier: GPL-2.0
/*
 * Temporary files that are open and have their names: in a directory of $TMPDIR, in
 * /tmp and in /dev/shm; written to all the time, mapped, locked, read-only; with the
 * working directory among them.  At its end the program removes them all, so that the
 * next restart from the same image finds none.
 */
#include <sys/file.h>
#include <sys/mman.h>
#include "workload.h"

#define SIZE (256 * 1024UL)
#define HOLE (64 * 1024UL)	/* from here to the last page */

static char tmpdir[PATH_MAX - 32], sub[PATH_MAX - 16];
static int log_fd, again, appended, mapped_fd, locked, dir, in_tmp, in_shm, rest;
static char *shared, *private;
static uint64_t round_nr;
static char names[8][PATH_MAX];
static unsigned int nr_names;

static int make(const char *where, const char *name, int flags)
{
	char *path = names[nr_names++];

	snprintf(path, PATH_MAX, "%s/%s", where, name);
	return wl_must(open(path, flags | O_CREAT | O_EXCL, 0640));
}

/* A page of numbers, data, a hole, and a page at the end. */
static void fill(int fd, uint64_t seed)
{
	static char buf[HOLE];

	wl_must(ftruncate(fd, SIZE));
	wl_fill(buf, sizeof(buf), seed);
	memset(buf, 0, 4096);
	wl_check(pwrite(fd, buf, sizeof(buf), 0) == sizeof(buf), "write: %s", strerror(errno));
	wl_fill(buf, 4096, seed + 2);
	wl_check(pwrite(fd, buf, 4096, SIZE - 4096) == 4096, "write: %s", strerror(errno));
}

static void expect(int fd, uint64_t seed, const char *what)
{
	static char buf[SIZE + 1], good[HOLE];

	wl_check(pread(fd, buf, sizeof(buf), 0) == SIZE, "%s: another size", what);
	wl_fill(good, sizeof(good), seed);
	wl_check(memcmp(buf + 4096, good + 4096, HOLE - 4096) == 0, "%s: other data", what);
	for (unsigned long i = HOLE; i < SIZE - 4096; i += 512)
		wl_check(buf[i] == 0, "%s: the hole is filled", what);
	wl_verify(buf + SIZE - 4096, 4096, seed + 2, what);
}

static void set_up(void)
{
	char place[64];

	snprintf(tmpdir, sizeof(tmpdir), "%s", getenv("TMPDIR"));
	snprintf(sub, sizeof(sub), "%s/sub", tmpdir);
	wl_must(mkdir(tmpdir, 0700));
	wl_must(mkdir(sub, 0700));
	log_fd = make(tmpdir, "log", O_RDWR);
	fill(log_fd, 11);
	wl_must(lseek(log_fd, 100, SEEK_SET));
	again = wl_must(open(names[0], O_RDONLY | O_CLOEXEC));
	appended = make(sub, "appended", O_WRONLY | O_APPEND);
	mapped_fd = make(sub, "mapped", O_RDWR);
	fill(mapped_fd, 21);
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mapped_fd, 0);
	private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, mapped_fd, 0);
	wl_check(shared != MAP_FAILED && private != MAP_FAILED, "mmap: %s", strerror(errno));
	private[8192] = 'p';
	locked = make(tmpdir, "locked", O_RDWR);
	wl_must(flock(locked, LOCK_EX));
	wl_must(fchmod(locked, 0604));
	dir = wl_must(open(sub, O_RDONLY | O_DIRECTORY));
	wl_must(chdir(sub));
	snprintf(place, sizeof(place), "tempfiles-%d", getpid());
	in_tmp = make("/tmp", place, O_RDWR);
	fill(in_tmp, 31);
	in_shm = make("/dev/shm", place, O_RDWR);
	fill(in_shm, 41);
	/* It is closed, and only read from here on. */
	rest = make(tmpdir, "rest", O_RDWR);
	fill(rest, 51);
	close(rest);
	rest = wl_must(open(names[nr_names - 1], O_RDONLY));
}

static void is_at(int fd, const char *path, mode_t mode, const char *what)
{
	struct stat st, there;

	wl_must(fstat(fd, &st));
	wl_check(stat(path, &there) == 0 && st.st_ino == there.st_ino && st.st_dev == there.st_dev,
		 "%s is not what is at its path, %s", what, path);
	wl_check((st.st_mode & 07777) == mode && st.st_nlink == 1, "%s: mode %o, %ju links", what,
		 st.st_mode, (uintmax_t)st.st_nlink);
}

static void number(int fd, const char *what)
{
	uint64_t value = ~0ULL;

	wl_check(pread(fd, &value, 8, 0) == 8 && value == round_nr, "%s is that of round %ju, not of %ju",
		 what, (uintmax_t)value, (uintmax_t)round_nr);
}

/* All of them say in which round the program is. */
static void write_round(void)
{
	struct stat st;
	uint64_t nr;

	number(log_fd, "the file in TMPDIR");
	number(again, "the file in TMPDIR, opened once more,");
	number(in_tmp, "the file in /tmp");
	number(in_shm, "the file in /dev/shm");
	number(mapped_fd, "the mapped file");
	wl_check(*(uint64_t *)shared == round_nr, "the shared mapping is that of another round");
	wl_check(private[8192] == 'p' && shared[8192] != 'p', "a private page is shared");
	wl_must(fstat(appended, &st));
	wl_check((uint64_t)st.st_size == round_nr % 1000, "what is appended to has %ju bytes in round %ju",
		 (uintmax_t)st.st_size, (uintmax_t)round_nr);
	nr = round_nr + 1;
	wl_check(pwrite(log_fd, &nr, 8, 0) == 8 && pwrite(in_tmp, &nr, 8, 0) == 8 &&
		 pwrite(in_shm, &nr, 8, 0) == 8, "write: %s", strerror(errno));
	*(uint64_t *)shared = nr;
	if (nr % 1000 == 0)
		wl_must(ftruncate(appended, 0));
	else
		wl_check(write(appended, "a", 1) == 1, "write: %s", strerror(errno));
	round_nr = nr;
}

static void verify(void)
{
	char path[PATH_MAX];
	struct stat a, b;
	int fd;

	write_round();
	is_at(log_fd, names[0], 0640, "the file in TMPDIR");
	is_at(again, names[0], 0640, "the file in TMPDIR, opened once more,");
	is_at(appended, names[1], 0640, "what is appended to");
	is_at(mapped_fd, names[2], 0640, "the mapped file");
	is_at(locked, names[3], 0604, "the locked file");
	is_at(in_tmp, names[4], 0640, "the file in /tmp");
	is_at(in_shm, names[5], 0640, "the file in /dev/shm");
	is_at(rest, names[6], 0640, "the file that is read");
	expect(log_fd, 11, "the file in TMPDIR");
	expect(mapped_fd, 21, "the mapped file");
	expect(in_tmp, 31, "the file in /tmp");
	expect(in_shm, 41, "the file in /dev/shm");
	expect(rest, 51, "the file that is read");
	wl_verify(shared + SIZE - 4096, 4096, 23, "the shared mapping");
	wl_check(lseek(log_fd, 0, SEEK_CUR) == 100 && lseek(again, 0, SEEK_CUR) == 0,
		 "offsets are mixed up");
	wl_check(fcntl(again, F_GETFD) == FD_CLOEXEC && fcntl(log_fd, F_GETFD) == 0 &&
		 (fcntl(again, F_GETFL) & O_ACCMODE) == O_RDONLY &&
		 (fcntl(appended, F_GETFL) & (O_ACCMODE | O_APPEND)) == (O_WRONLY | O_APPEND),
		 "flags are lost");
	fd = wl_must(open(names[3], O_RDONLY));
	wl_check(flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK, "flock(2) is lost");
	close(fd);
	wl_must(fstat(dir, &a));
	wl_must(stat(".", &b));
	wl_check(a.st_ino == b.st_ino && (a.st_mode & 0777) == 0700, "the directory is another one");
	wl_check(getcwd(path, sizeof(path)) && strcmp(path, sub) == 0, "cwd is %s", path);
}

/* Shares the description of one file with its parent. */
static void child(void)
{
	while (lseek(log_fd, 0, SEEK_CUR) == 100 && access(wl_path("failed"), F_OK) < 0)
		wl_pause_ms(2);
	_exit(lseek(log_fd, 0, SEEK_CUR) == 200 ? 0 : 1);
}

int main(int argc, char **argv)
{
	unsigned int i;
	pid_t pid;

	wl_start(argc, argv);
	/* What counts is the environment that the program was started with. */
	if (!getenv("TMPDIR") || strcmp(getenv("TMPDIR"), wl_path("tmp")) != 0) {
		wl_must(setenv("TMPDIR", wl_path("tmp"), 1));
		wl_must(execv("/proc/self/exe", argv));
	}
	set_up();
	pid = wl_rounds(child, verify);
	wl_must(lseek(log_fd, 200, SEEK_SET));
	wl_child_ends(pid);
	for (i = 0; i < nr_names; i++)
		wl_must(unlink(names[i]));
	wl_must(chdir("/"));
	wl_must(rmdir(sub));
	wl_must(rmdir(tmpdir));
	wl_passed();
	return 0;
}
