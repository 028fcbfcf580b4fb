// SPDX-License-Identifier: GPL-2.0
/*
 * Open files: offsets and flags, descriptions shared by dup and by fork,
 * close-on-exec, appending, directories and devices, cwd, umask, limits.
 */
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "workload.h"

#define LINES 400
#define LINE 16

static int in, in_dup, out, out_child, appended, dir, null, zero, high, alone;
static int link_path, dir_path, uptime;
static unsigned int nr_read, nr_opened;
static struct timespec out_time;

static void expect_line(const char *buf, unsigned int n)
{
	char line[LINE + 1];

	snprintf(line, sizeof(line), "line %010u", n);
	wl_check(memcmp(buf, line, LINE - 1) == 0, "the offset is wrong: read \"%.*s\", not \"%s\"",
		 LINE - 1, buf, line);
}

static void set_up(void)
{
	char line[LINE + 1];
	struct stat st;
	int fd;

	wl_must(mkdir(wl_path("cwd"), 0755));
	wl_must(chdir(wl_path("cwd")));
	fd = wl_must(open("lines", O_WRONLY | O_CREAT | O_EXCL, 0644));
	for (unsigned int i = 0; i < LINES; i++) {
		snprintf(line, sizeof(line), "line %010u\n", i);
		wl_check(write(fd, line, LINE) == LINE, "write: %s", strerror(errno));
	}
	close(fd);
	in = wl_must(open("lines", O_RDONLY | O_CLOEXEC));
	in_dup = wl_must(dup(in));
	alone = wl_must(open("lines", O_RDONLY));
	wl_must(lseek(alone, 7 * LINE, SEEK_SET));
	out = wl_must(open("out", O_RDWR | O_CREAT | O_TRUNC, 0600));
	wl_check(write(out, "0123456789", 10) == 10, "write: %s", strerror(errno));
	wl_must(lseek(out, 4, SEEK_SET));
	wl_must(fstat(out, &st));
	out_time = st.st_mtim;
	out_child = wl_must(dup(out));
	appended = wl_must(open("appended", O_WRONLY | O_CREAT | O_APPEND, 0600));
	wl_check(write(appended, "begin\n", 6) == 6, "write: %s", strerror(errno));
	wl_must(flock(alone, LOCK_EX));
	wl_must(fcntl(appended, F_OFD_SETLK,
		      &(struct flock){ .l_type = F_WRLCK, .l_start = 4, .l_len = 7 }));
	wl_must(fcntl(out, F_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_start = 2, .l_len = 3 }));
	wl_must(fcntl(out, F_SETLK, &(struct flock){ .l_type = F_RDLCK, .l_start = 9 }));
	dir = wl_must(open(".", O_RDONLY | O_DIRECTORY));
	wl_must(symlink("nowhere", "link"));
	link_path = wl_must(open("link", O_PATH | O_NOFOLLOW | O_CLOEXEC));
	dir_path = wl_must(open(".", O_PATH | O_DIRECTORY));
	uptime = wl_must(open("/proc/uptime", O_RDONLY));
	null = wl_must(open("/dev/null", O_RDWR));
	zero = wl_must(open("/dev/zero", O_RDONLY | O_NONBLOCK));
	high = wl_must(fcntl(null, F_DUPFD_CLOEXEC, 700));
	umask(027);
	wl_must(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 901, 902 }));
	wl_must(setrlimit(RLIMIT_STACK, &(struct rlimit){ 4 << 20, RLIM_INFINITY }));
	wl_must(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }));
}

static void expect_flags(int fd, int cloexec, int flags)
{
	int fl = fcntl(fd, F_GETFL);

	wl_check(fl >= 0, "descriptor %d is gone", fd);
	wl_check(fcntl(fd, F_GETFD) == cloexec, "descriptor %d: close-on-exec changed", fd);
	wl_check((fl & (O_ACCMODE | O_APPEND | O_NONBLOCK)) == flags,
		 "descriptor %d: flags are %#o instead of %#o", fd, fl, flags);
}

/* As somebody else sees them. */
static void expect_locks(void)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 100 };
	int fd = wl_must(open("lines", O_RDONLY));

	wl_check(flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK, "flock(2) is lost");
	close(fd);
	fd = wl_must(open("appended", O_RDWR));
	wl_must(fcntl(fd, F_OFD_GETLK, &l));
	wl_check(l.l_type == F_WRLCK && l.l_start == 4 && l.l_len == 7, "a range of a file is locked "
		 "as %d, %jd, %jd", l.l_type, (intmax_t)l.l_start, (intmax_t)l.l_len);
	close(fd);
}

/* A description's locks conflict with those of its process. */
static void expect_own_lock(off_t at, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	wl_must(fcntl(out_child, F_OFD_GETLK, &l));
	wl_check(l.l_type == type && l.l_start == start && l.l_len == len && l.l_pid == getpid(),
		 "the process's own lock at byte %jd is %d, %jd, %jd, of process %d", (intmax_t)at,
		 l.l_type, (intmax_t)l.l_start, (intmax_t)l.l_len, l.l_pid);
}

/* Not by /proc/self/fd, which could not be saved while it is open. */
static unsigned int count_open(void)
{
	unsigned int nr = 0;

	for (int fd = 0; fd < 1024; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static void verify(void)
{
	struct rlimit lim;
	char buf[4096], path[PATH_MAX];
	mode_t mask;
	struct stat a, b;

	if (nr_read == LINES) {
		wl_must(lseek(in, 0, SEEK_SET));
		nr_read = 0;
	}
	/* in and in_dup share one offset. */
	wl_check(read(nr_read % 2 ? in : in_dup, buf, LINE) == LINE, "read: %s", strerror(errno));
	expect_line(buf, nr_read++);
	wl_check(lseek(in, 0, SEEK_CUR) == lseek(in_dup, 0, SEEK_CUR), "dup'ed offsets differ");
	wl_check(lseek(alone, 0, SEEK_CUR) == 7 * LINE, "offsets are shared that were not");
	wl_check(lseek(out, 0, SEEK_CUR) == 4, "the output's offset moved");
	wl_check(pread(out, buf, 20, 0) == 10 && memcmp(buf, "0123456789", 10) == 0,
		 "the output's content changed");

	expect_flags(in, FD_CLOEXEC, O_RDONLY);
	expect_flags(in_dup, 0, O_RDONLY);
	expect_flags(out, 0, O_RDWR);
	expect_flags(appended, 0, O_WRONLY | O_APPEND);
	expect_flags(zero, 0, O_RDONLY | O_NONBLOCK);
	expect_flags(high, FD_CLOEXEC, O_RDWR);
	wl_check(high == 700, "a descriptor moved");
	wl_check(write(null, buf, 100) == 100 && read(null, buf, 100) == 0, "/dev/null is another device");
	wl_check(read(zero, buf, sizeof(buf)) == sizeof(buf) && buf[0] == 0 && buf[4095] == 0,
		 "/dev/zero is another device");
	wl_must(fstat(dir, &a));
	wl_must(stat(wl_path("cwd"), &b));
	wl_check(a.st_ino == b.st_ino && a.st_dev == b.st_dev, "the directory's descriptor is another one");
	wl_must(fstat(link_path, &a));
	wl_check(S_ISLNK(a.st_mode) && fcntl(link_path, F_GETFL) & O_PATH &&
		 fcntl(link_path, F_GETFD) == FD_CLOEXEC, "the path of a link is lost");
	wl_check(readlinkat(link_path, "", path, sizeof(path)) == 7 &&
		 faccessat(dir_path, "lines", F_OK, 0) == 0, "a path leads elsewhere");
	wl_check(pread(uptime, path, sizeof(path), 0) > 3, "/proc/uptime is lost");
	wl_check(getcwd(path, sizeof(path)) && strcmp(path, wl_path("cwd")) == 0, "cwd is %s", path);
	mask = umask(027);
	wl_check(mask == 027, "umask is %03o", mask);
	wl_must(getrlimit(RLIMIT_NOFILE, &lim));
	wl_check(lim.rlim_cur == 901 && lim.rlim_max == 902, "RLIMIT_NOFILE is %ju, %ju",
		 (uintmax_t)lim.rlim_cur, (uintmax_t)lim.rlim_max);
	wl_must(getrlimit(RLIMIT_STACK, &lim));
	wl_check(lim.rlim_cur == 4 << 20, "RLIMIT_STACK is %ju", (uintmax_t)lim.rlim_cur);

	expect_locks();
	expect_own_lock(3, F_WRLCK, 2, 3);
	expect_own_lock(20, F_RDLCK, 9, 0);

	/* Nothing of the tool may stay open in the job. */
	wl_check(count_open() == nr_opened, "%u descriptors are open instead of %u", count_open(),
		 nr_opened);
}

/* The child reads from the description that it shares with its parent. */
static void child(void)
{
	close(out_child);
	while (access(wl_path("stop"), F_OK) < 0 && !wl_sigterm) {
		wl_check(lseek(out, 0, SEEK_CUR) == 4, "the child's offset moved");
		wl_pause_ms(2);
	}
	/* The parent waits for this to see that its own offset moves. */
	while (lseek(out, 0, SEEK_CUR) == 4) {
		if (access(wl_path("failed"), F_OK) == 0)
			_exit(1);
		wl_pause_ms(2);
	}
	wl_check(lseek(out, 0, SEEK_CUR) == 5, "parent and child do not share their offset");
	wl_check(write(out, "child", 5) == 5, "write: %s", strerror(errno));
	_exit(0);
}

int main(int argc, char **argv)
{
	struct stat st;
	int fd;
	char buf[64];
	pid_t pid;

	wl_start(argc, argv);
	set_up();
	nr_opened = count_open();
	pid = wl_rounds(child, verify);
	if (wl_sigterm)
		kill(pid, SIGTERM);
	wl_check(write(out_child, "x", 1) == 1, "write: %s", strerror(errno));
	wl_child_ends(pid);
	wl_check(lseek(out, 0, SEEK_CUR) == 10, "parent and child do not share their offset");
	wl_check(pread(out, buf, 20, 0) == 10 && memcmp(buf, "0123xchild", 10) == 0,
		 "the output is \"%.20s\"", buf);
	wl_must(lseek(appended, 0, SEEK_SET));
	wl_check(write(appended, "end\n", 4) == 4, "write: %s", strerror(errno));
	wl_must(fstat(appended, &st));
	wl_check(st.st_size == 10, "appending made a file of %ju bytes instead of 10",
		 (uintmax_t)st.st_size);
	fd = wl_must(open("masked", O_WRONLY | O_CREAT | O_TRUNC, 0666));
	wl_must(fstat(fd, &st));
	wl_check((st.st_mode & 0777) == 0640, "a new file has the mode %03o", st.st_mode & 0777);
	wl_must(unlink("masked"));
	/* A second restart from the same image meets this file as it was then. */
	wl_check(pwrite(out, "0123456789", 10, 0) == 10, "write: %s", strerror(errno));
	wl_must(futimens(out, (struct timespec[]){ out_time, out_time }));
	wl_passed();
	return 0;
}
