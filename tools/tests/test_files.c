// SPDX-License-Identifier: GPL-2.0
/*
 * What is found of a process's open files: a child that waits stands in for a
 * frozen job.  Each obstacle by name, and nothing else; pipes are not consumed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "out.h"
#include "state/epoll.h"
#include "state/files.h"
#include "state/locks.h"
#include "state/proc.h"
#include "tap.h"

extern const struct state_ops state_fds, state_pipes, state_eventfd, state_timerfd, state_signalfd,
	state_epoll, state_objects, state_locks;

static char dir[] = "/tmp/ckpt-unit-XXXXXX";
static int outside[2];			/* a pipe whose other end the test keeps */

/* The child: stops itself when all is set up. */
static pid_t start(void (*set_up)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(0, 2, 0);
		if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup(0) != 2)
			_exit(1);
		set_up();
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, WUNTRACED);
	return pid;
}

/* All that @set_up's process has: the state of files and pipes in @d. */
static pid_t look(struct dump *d, void (*set_up)(void))
{
	pid_t pid = start(set_up);

	memset(d, 0, sizeof(*d));
	d->procs = calloc(1, sizeof(*d->procs));
	d->nr_procs = 1;
	if (!d->procs || proc_open(d->procs, pid) || proc_read_all(d) || state_fds.check(d) ||
	    state_objects.check(d) || state_locks.check(d) ||
	    state_pipes.check(d) || state_eventfd.check(d) || state_timerfd.check(d) ||
	    state_signalfd.check(d) || state_epoll.check(d)) {
		ok(false, "the state of a child is read");
		exit(done());
	}
	return pid;
}

static void end(struct dump *d, pid_t pid)
{
	dump_free(d);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void refused(const char *what, void (*set_up)(void), const char *word)
{
	struct dump d;
	pid_t pid = look(&d, set_up);
	size_t i;

	if (!ok(d.nr_obstacles == 1 && strstr(d.obstacles[0], word), "%s: refused as \"%s\"", what,
		word))
		for (i = 0; i < d.nr_obstacles; i++)
			diag("%s", d.obstacles[i]);
	end(&d, pid);
}

static void has_socket(void) { socket(AF_UNIX, SOCK_STREAM, 0); }
static void has_inotify(void) { inotify_init(); }
static void has_removed_dir(void) { mkdir("gone", 0700); open("gone", O_RDONLY); rmdir("gone"); }
static void has_pidfd(void) { syscall(SYS_pidfd_open, getpid(), 0); }
static void has_proc(void) { open("/proc/self/status", O_RDONLY); }
static void has_device(void) { open("/dev/kmsg", O_RDONLY | O_NONBLOCK); }
static void has_packets(void) { int p[2]; if (pipe2(p, O_DIRECT)) _exit(1); }
static void has_outer_pipe(void) { close(outside[1]); }
static void has_flock(void)
{
	int fd = open("locked", O_RDWR | O_CREAT, 0600);

	flock(fd, LOCK_EX);
	dup2(fd, 20);
}

static void has_async(void)
{
	int p[2];

	if (pipe(p) || fcntl(p[0], F_SETFL, O_ASYNC) < 0)
		_exit(1);
}

static void has_lease(void)
{
	fcntl(open("leased", O_RDWR | O_CREAT, 0600), F_SETLEASE, F_WRLCK);
}

/* Its file lives on as the test's own. */
static void has_lost_watch(void)
{
	struct epoll_event event = { .events = EPOLLIN };

	epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, outside[0], &event);
	close(outside[0]);
	close(outside[1]);
}

static void has_other_name(void)
{
	open("one", O_RDWR | O_CREAT, 0600);
	link("one", "two");
	unlink("one");
}

static void has_objects(void)
{
	int fd = memfd_create("x", MFD_ALLOW_SEALING);

	fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
	dup2(fd, 30);
	fd = open("removed", O_RDWR | O_CREAT, 0600);
	dup2(fd, 31);
	dup2(open("removed", O_RDONLY), 32);
	unlink("removed");
}

static void has_own_socketpair(void)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0) {
		dup2(s[0], 0);
		close(s[0]);
		close(s[1]);
	}
}

/* ---- what is taken ---- */

static const struct dump_fd *find(const struct dump *d, int fd)
{
	size_t i;

	for (i = 0; i < d->files->nr_fds; i++)
		if (d->files->fds[i].fd == fd)
			return &d->files->fds[i];
	return NULL;
}

static void has_files(void)
{
	int fd = open("data", O_RDWR | O_CREAT | O_APPEND, 0600);

	if (write(fd, "0123456789", 10) != 10)
		_exit(1);
	dup2(fd, 10);			/* the same description */
	fcntl(10, F_SETFD, FD_CLOEXEC);
	dup2(fd, 15);
	dup2(open("data", O_RDWR | O_APPEND), 11);
	lseek(11, 10, SEEK_SET);	/* alike, but another one */
	dup2(open(".", O_RDONLY | O_DIRECTORY), 12);
	dup2(open("really (deleted)", O_WRONLY | O_CREAT, 0600), 13);
	dup2(open("/dev/zero", O_RDONLY), 14);
}

static void files(void)
{
	struct dump d;
	pid_t pid = look(&d, has_files);
	const struct dump_fd *a = find(&d, 10), *b = find(&d, 11), *c = find(&d, 15);

	ok(d.nr_obstacles == 0, "ordinary files are no obstacle%s%s", d.nr_obstacles ? ": " : "",
	   d.nr_obstacles ? d.obstacles[0] : "");
	ok(a && c && a->file == c->file && a->cloexec && !c->cloexec,
	   "dup'ed descriptors share a description, not close-on-exec");
	if (syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 0, 0) < 0)
		skip("no kcmp(2) here");
	else
		ok(a && b && a->file != b->file, "a file opened twice has two descriptions");
	ok(a && a->raw.pos == 10 && a->raw.size == 10 && a->raw.flags & O_APPEND &&
	   a->file->rec.kind == CKPT_FILE_REG, "offset, size and flags");
	ok(find(&d, 12)->file->rec.kind == CKPT_FILE_DIR, "a directory");
	ok(find(&d, 13)->file->rec.kind == CKPT_FILE_REG,
	   "a name that only looks like a removed file's");
	ok(find(&d, 14)->file->rec.kind == CKPT_FILE_CHR, "/dev/zero");
	end(&d, pid);
}

static void has_streams(void)
{
	dup2(outside[0], 0);
	dup2(outside[1], 1);
	dup2(1, 2);
	dup2(2, 9);
	dup2(0, 8);
}

static void streams(void)
{
	struct dump d;
	pid_t pid;

	/* The test's copy of the other ends is what makes them lead out of the job; a
	 * pipe of which a job has both ends would be its own. */
	pid = look(&d, has_streams);
	ok(d.nr_obstacles == 0 && find(&d, 0)->file->rec.kind == CKPT_FILE_PIPE,
	   "a pipe of which the job has both ends is its own, at 0 and 1, too");
	end(&d, pid);
}

static void has_input(void) { dup2(outside[0], 0); dup2(0, 8); close(outside[1]); }
static void has_output(void) { dup2(outside[1], 1); dup2(1, 2); dup2(2, 9); close(outside[0]); }

static void objects(void)
{
	struct dump d;
	pid_t pid = look(&d, has_objects);
	const struct dump_file *memfd = find(&d, 30)->file, *a = find(&d, 31)->file;
	const struct dump_file *b = find(&d, 32)->file;

	ok(d.nr_obstacles == 0 && d.files->contents.nr == 2, "a memfd and a removed file");
	ok(memfd->rec.kind == CKPT_FILE_OBJECT && memfd->rec.seals == F_SEAL_GROW, "its seals");
	ok(a != b && a->object->content == b->object->content, "two descriptions of one file");
	end(&d, pid);
}

static void has_fifo_input(void) { mkfifo("fifo", 0600); dup2(open("fifo", O_RDONLY | O_NONBLOCK), 0); }
static void has_fifo_end(void) { dup2(open("fifo", O_RDONLY | O_NONBLOCK), 20); }
static void has_fifo(void) { dup2(open("fifo", O_RDWR), 1); }

static void fifos(void)
{
	struct dump d;
	pid_t pid;
	int fd;

	pid = look(&d, has_fifo_input);
	ok(d.nr_obstacles == 0 && find(&d, 0)->file->rec.kind == CKPT_FILE_STDIO,
	   "a named pipe as standard input");
	end(&d, pid);
	pid = look(&d, has_fifo_end);
	fd = open("fifo", O_WRONLY | O_NONBLOCK);
	ok(fd >= 0 && d.nr_obstacles == 0 && find(&d, 20)->file->rec.kind == CKPT_FILE_FIFO,
	   "one end of a named pipe");
	end(&d, pid);
	close(fd);
	pid = look(&d, has_fifo);
	ok(d.nr_obstacles == 0 && find(&d, 1)->file->rec.kind == CKPT_FILE_FIFO,
	   "both ends of a named pipe, as standard output");
	end(&d, pid);
}

static void roles(void)
{
	struct dump d;
	pid_t pid = look(&d, has_input);

	ok(d.nr_obstacles == 0 && find(&d, 0)->file->rec.kind == CKPT_FILE_STDIO &&
	   stdio_role(find(&d, 0)) == 0 && stdio_role(find(&d, 8)) == 0,
	   "standard input from outside, and a copy of it");
	end(&d, pid);
	pid = look(&d, has_output);
	ok(d.nr_obstacles == 0 && find(&d, 2)->file->rec.kind == CKPT_FILE_STDIO &&
	   stdio_role(find(&d, 1)) == 1 && stdio_role(find(&d, 2)) == 2 &&
	   stdio_role(find(&d, 9)) == 1, "output and error to one pipe are two streams");
	end(&d, pid);
}

static void has_widow(void)
{
	int p[2];

	if (pipe(p) || write(p[1], "last", 4) != 4)
		_exit(1);
	dup2(p[0], 0);
	close(p[0]);
	close(p[1]);
}

static int fill[2];

static void has_pipe(void)
{
	dup2(fill[0], 7);
	dup2(fill[1], 8);
}

static void pipes(void)
{
	struct dump d;
	static char text[200000], back[sizeof(text)];
	pid_t pid;
	size_t i, got;
	ssize_t n;

	pid = look(&d, has_widow);
	ok(d.nr_obstacles == 0 && find(&d, 0)->file->rec.kind == CKPT_FILE_PIPE,
	   "standard input that nobody writes to any more is the job's own");
	end(&d, pid);

	for (i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7);
	if (pipe(fill) || fcntl(fill[1], F_SETPIPE_SZ, 1 << 18) < 0 ||
	    write(fill[1], text, 1) != 1 ||
	    write(fill[1], text + 1, sizeof(text) - 1) != sizeof(text) - 1) {
		ok(false, "a pipe is filled");
		return;
	}
	pid = look(&d, has_pipe);
	ok(d.nr_obstacles == 0 && find(&d, 7)->file->pipe == find(&d, 8)->file->pipe,
	   "both ends of a pipe");
	end(&d, pid);
	for (got = 0; got < sizeof(back); got += (size_t)n) {
		n = read(fill[0], back + got, sizeof(back) - got);
		if (n <= 0)
			break;
	}
	ok(got == sizeof(text) && memcmp(text, back, got) == 0, "what was in it is still in it");
	close(fill[0]);
	close(fill[1]);
}

/* ---- what a file needs a record of its own for ---- */

static int semaphore, counter, timer, signals, watcher, other;

static void has_events(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = 0x123456789abcdefULL };
	struct itimerspec its = { { 50, 0 }, { 1000, 5 } };
	sigset_t mask;

	semaphore = eventfd(1, EFD_SEMAPHORE | EFD_NONBLOCK);
	counter = eventfd(3, 0);
	timer = timerfd_create(CLOCK_BOOTTIME, 0);
	timerfd_settime(timer, 0, &its, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, 64);
	signals = signalfd(-1, &mask, 0);
	other = dup(signals);
	watcher = epoll_create1(0);
	epoll_ctl(watcher, EPOLL_CTL_ADD, counter, &event);
	event.events = EPOLLOUT | EPOLLONESHOT;
	epoll_ctl(watcher, EPOLL_CTL_ADD, signals, &event);
	close(signals);
}

static const void *state_of(const struct dump *d, int fd)
{
	static const char nothing[128];
	const struct dump_fd *f = find(d, fd);

	return f && f->file->state ? f->file->state : nothing;
}

static void events(void)
{
	const struct ckpt_rec_eventfd *event;
	const struct ckpt_rec_timerfd *time;
	const struct ckpt_rec_signalfd *signal;
	const struct ckpt_rec_epoll *epoll;
	const struct ckpt_epoll_watch *w;
	const struct dump_file *f;
	struct dump d;
	pid_t pid;

	/* The numbers are those that the child will get. */
	semaphore = dup(0);
	close(semaphore);
	counter = semaphore + 1, timer = semaphore + 2, signals = semaphore + 3;
	other = semaphore + 4, watcher = semaphore + 5;
	pid = look(&d, has_events);
	if (syscall(SYS_kcmp, pid, pid, KCMP_FILE, 0, 0) < 0) {
		skip("no kcmp(2) here");
		end(&d, pid);
		return;
	}
	ok(d.nr_obstacles == 0, "files that events come from are no obstacle%s%s",
	   d.nr_obstacles ? ": " : "", d.nr_obstacles ? d.obstacles[0] : "");
	event = state_of(&d, semaphore);
	ok(event->count == 1 && event->semaphore, "a semaphore of 1");
	event = state_of(&d, counter);
	ok(event->count == 3 && !event->semaphore, "a counter of 3");
	time = state_of(&d, timer);
	ok(time->clock == CLOCK_BOOTTIME && time->interval_ns == 50000000000ULL && !time->ticks &&
	   time->value_ns > 900000000000ULL && time->value_ns <= 1000000000005ULL,
	   "a timer with its period and the time left");
	signal = state_of(&d, other);
	ok(signal->mask == (1ULL << (SIGUSR1 - 1) | 1ULL << 63), "a mask of signals");
	epoll = state_of(&d, watcher);
	f = find(&d, watcher)->file;
	w = (const struct ckpt_epoll_watch *)(epoll + 1);
	if (!ok(epoll->nr_watches == 2, "two watches"))
		return;
	if (w->fd != counter)
		w++;
	ok(w->fd == counter && w->events == (EPOLLIN | EPOLLET | EPOLLERR | EPOLLHUP) &&
	   w->data == 0x123456789abcdefULL, "events and data of a watch");
	ok(f->watched[0]->file != f->watched[1]->file &&
	   (f->watched[0]->fd == other || f->watched[1]->fd == other),
	   "one that lives on under another number");
	end(&d, pid);
}

static const struct dump_fd *locked(const struct dump *d, int fd)
{
	const struct dump_fd *f = find(d, fd);

	return f && f->locks ? f : NULL;
}

static void locks(void)
{
	static const struct {
		const char *text;
		uint32_t kind, exclusive;
		int64_t start, end;
	} lines[] = {
		{ "pos: 0\nlock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF\n", CKPT_LOCK_FLOCK, 1,
		  0, INT64_MAX },
		{ "lock:\t1: OFDLCK ADVISORY  READ  -1 08:01:1234 10 19", CKPT_LOCK_OFD, 0, 10, 19 },
		{ "lock:\t1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 EOF\n", CKPT_LOCK_POSIX, 1,
		  0, INT64_MAX },
		{ "lock:\t1: POSIX  MANDATORY WRITE 4711 08:01:1234 0 EOF\n", 0, 0, 0, 0 },
		{ "lock:\t1: LEASE  ACTIVE    READ 4711 08:01:1234 0 EOF\n", 0, 0, 0, 0 },
		{ "lock:\t1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 9 8\n", 0, 0, 0, 0 },
		{ "lock:\t1: FLOCK", 0, 0, 0, 0 },
		{ "lock:", 0, 0, 0, 0 },
	};
	struct ckpt_rec_lock lock;
	struct dump d;
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *at = lines[i].text;

		ok(lock_next(&at, &lock) && lock.kind == lines[i].kind &&
		   lock.exclusive == lines[i].exclusive && lock.start == lines[i].start &&
		   lock.end == lines[i].end && !lock_next(&at, &lock), "lock line %zu", i);
	}
	pid = look(&d, has_flock);
	ok(d.nr_obstacles == 0 && locked(&d, 20) && !locked(&d, 0), "flock");
	end(&d, pid);
}

static void watch_lines(void)
{
	static const char *const bad[] = {
		"", "\n\n", "pos:\t0\nflags:\t02\n", "tfd:", "tfd: -1 events: 1 data: 2 pos:0 ino:3 sdev:4\n",
		"tfd: 5 events: zz data: 2 pos:0 ino:3\n", "tfd: 5 events: 1 data: 2 pos:0",
		"xtfd: 5 events: 1 data: 2 pos:0 ino:3\n",
	};
	struct ckpt_epoll_watch w;
	char longest[2000];
	uint64_t ino;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!epoll_next(bad[i], &w, &ino), "no watch in text %zu", i);
	memset(longest, ' ', sizeof(longest) - 1);
	memcpy(longest, "tfd:", 4);
	longest[sizeof(longest) - 1] = '\0';
	ok(!epoll_next(longest, &w, &ino), "a line without an end");
	ok(epoll_next("pos: 0\ntfd:        5 events: 40000019 data: ffffffffffffffff  pos:0 ino:1f sdev:e\n",
		      &w, &ino) && w.fd == 5 && w.events == 0x40000019 && w.data == ~0ULL && ino == 31,
	   "a watch as the kernel writes it");
}

int main(void)
{
	close_range(3, ~0U, 0);
	if (!mkdtemp(dir) || chdir(dir) < 0 || pipe2(outside, O_CLOEXEC) < 0)
		return 1;
	refused("a socket", has_socket, "a socket");
	refused("an inotify instance", has_inotify, "an inotify instance");
	refused("an epoll that watches what is gone", has_lost_watch, "epoll instance");
	refused("a pidfd", has_pidfd, "pidfd");
	refused("a file of /proc", has_proc, "belongs to a process");
	if (geteuid() == 0)
		refused("a device", has_device, "a device");
	refused("signal-driven I/O", has_async, "O_ASYNC");
	refused("a pipe in packet mode", has_packets, "packet mode");
	refused("a pipe to somebody else", has_outer_pipe, "outside of the job");
	refused("a lease", has_lease, "signal-driven");
	refused("a removed directory", has_removed_dir, "was removed there");
	refused("a file with another name left", has_other_name, "not altogether");
	refused("a socket of its own at 0", has_own_socketpair, "a socket");
	files();
	streams();
	roles();
	objects();
	fifos();
	pipes();
	events();
	watch_lines();
	locks();
	if (chdir("/") == 0 && system("rm -rf /tmp/ckpt-unit-??????") != 0)
		diag("%s is left behind", dir);
	return done();
}
