// SPDX-License-Identifier: GPL-2.0
/*
 * Save and restore of what system calls can do: a child sets itself up, is
 * read as if it were frozen, ends, and another child is made like it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "out.h"
#include "state/proc.h"
#include "state/state.h"
#include "no_contents.h"
#include "tap.h"

extern const struct state_ops state_fds, state_files, state_pipes, state_eventfd,
	state_timerfd, state_signalfd, state_epoll, state_fs, state_rlimits, state_cred;

/* All but what needs the module. */
static const struct state_ops *const rows[] = {
	&state_fds, &state_files, &state_pipes, &state_eventfd, &state_timerfd,
	&state_signalfd, &state_epoll, &state_fs, &state_rlimits, &state_cred,
};

#define NR_ROWS	(sizeof(rows) / sizeof(rows[0]))
#define BASE	100

/* ---- an image in memory, of one process ---- */

static struct image img;
static struct image_process process;
static struct image_file files[32];
static struct image_pipe pipes[8];
static struct image_fd fds[32];
static struct ckpt_rec_process rec_process = { .comm = "saved" };

static void *copy(const void *data, size_t len)
{
	char *to = calloc(1, len + 1);

	if (!to)
		exit(1);
	if (len)
		memcpy(to, data, len);
	return to;
}

/* Stands in for image/write.c: the records go to where the reader would put them. */
int image_put(struct image_writer *w, uint32_t type, const void *head, size_t head_len,
	      const void *tail, size_t tail_len)
{
	void *rec = copy(head, head_len), *rest = tail ? copy(tail, tail_len) : NULL;

	(void)w;
	switch (type) {
	case CKPT_REC_FILE:
		files[img.nr_files].rec = rec;
		files[img.nr_files++].path = rest;
		break;
	case CKPT_REC_PIPE:
		pipes[img.nr_pipes].rec = rec;
		pipes[img.nr_pipes++].data = rest;
		break;
	case CKPT_REC_FD:
		fds[process.nr_fds++].rec = rec;
		break;
	case CKPT_REC_FS:
		process.fs = rec;
		process.cwd = rest;
		break;
	case CKPT_REC_RLIMITS:
		process.rlimits = rec;
		break;
	case CKPT_REC_CRED:
		process.cred = rec;
		process.groups = rest;
		break;
	}
	return CK_OK;
}

/* Ids become indices, as the reader makes them. */
static void resolve(void)
{
	size_t i, n;

	for (i = 0; i < process.nr_fds; i++)
		for (n = 0; n < img.nr_files; n++)
			if (files[n].rec->id == fds[i].rec->file)
				fds[i].file = n;
	for (i = 0; i < img.nr_files; i++)
		for (n = 0; n < img.nr_pipes; n++)
			if (files[i].rec->kind == CKPT_FILE_PIPE &&
			    pipes[n].rec->id == files[i].rec->object)
				files[i].pipe = n;
	process.rec = &rec_process;
	process.fds = fds;
	img.processes = &process;
	img.nr_processes = 1;
	img.files = files;
	img.pipes = pipes;
	img.path = (char *)".";
}

/* ---- the program ---- */

static char dir[] = "/tmp/ckpt-unit-XXXXXX";

#define DATA	10	/* read and write, at 4 of 8 bytes */
#define SHARED	11	/* a dup of it, close-on-exec */
#define LOG	12	/* append only */
#define IN	13	/* a pipe with 5 bytes in it */
#define OUT	14
#define FULL	15

static void set_up(void)
{
	struct rlimit l = { 40, 90 };
	int p[2], fd;

	fd = open("data", O_RDWR | O_CREAT, 0600);
	if (write(fd, "abcdefgh", 8) != 8 || lseek(fd, 4, SEEK_SET) != 4)
		_exit(1);
	dup2(fd, DATA);
	dup3(fd, SHARED, O_CLOEXEC);
	close(fd);
	fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (write(fd, "one\n", 4) != 4)
		_exit(1);
	dup2(fd, LOG);
	close(fd);
	if (pipe(p) || write(p[1], "bytes", 5) != 5 || fcntl(p[1], F_SETPIPE_SZ, 8192) < 0)
		_exit(1);
	dup2(p[0], IN);
	dup2(p[1], OUT);
	close(p[0]);
	close(p[1]);
	fcntl(IN, F_SETFL, O_NONBLOCK);
	fd = open("/dev/full", O_WRONLY);
	dup2(fd, FULL);
	close(fd);
	umask(0137);
	mkdir("sub", 0700);
	if (chdir("sub") < 0 || setrlimit(RLIMIT_NOFILE, &l) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(1);
}

static pid_t start(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		set_up();
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, WUNTRACED);
	ok(WIFSTOPPED(status), "the program is set up");
	return pid;
}

static void save(pid_t pid)
{
	struct dump d = { .nr_procs = 1 };
	size_t i;

	d.procs = calloc(1, sizeof(*d.procs));
	ok(d.procs && !proc_open(d.procs, pid) && !proc_read_all(&d), "its process is read");
	for (i = 0; i < NR_ROWS; i++)
		ok(!rows[i]->check || !rows[i]->check(&d), "%s: check", rows[i]->name);
	for (i = 0; i < d.nr_obstacles; i++)
		diag("%s", d.obstacles[i]);
	ok(d.nr_obstacles == 0, "nothing stands against it");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* The rest works with what was read. */
	for (i = 0; i < NR_ROWS; i++)
		ok(!rows[i]->dump || !rows[i]->dump(&d), "%s: dump", rows[i]->name);
	dump_free(&d);
	resolve();
}

/* In the restored process: 0, or the number of the first thing that is wrong. */
static int look_around(void)
{
	struct pollfd pfd = { .fd = IN, .events = POLLIN };
	char text[64] = "", path[256];
	struct rlimit l;
	struct stat st;

	if (lseek(DATA, 0, SEEK_CUR) != 4 || read(DATA, text, 2) != 2 || memcmp(text, "ef", 2) != 0)
		return 1;
	if (lseek(SHARED, 0, SEEK_CUR) != 6)
		return 2;
	if (fcntl(SHARED, F_GETFD) != FD_CLOEXEC || fcntl(DATA, F_GETFD) != 0)
		return 3;
	if (fstat(LOG, &st) < 0 || st.st_size != 4 || !(fcntl(LOG, F_GETFL) & O_APPEND))
		return 4;
	if (fcntl(IN, F_GETPIPE_SZ) != 8192 || !(fcntl(IN, F_GETFL) & O_NONBLOCK) ||
	    fcntl(OUT, F_GETFL) & O_NONBLOCK)
		return 5;
	if (write(OUT, "!", 1) != 1 || read(IN, text, sizeof(text)) != 6 ||
	    memcmp(text, "bytes!", 6) != 0)
		return 6;
	/* The parent is about to close its own end. */
	if (close(OUT) < 0 || poll(&pfd, 1, 10000) != 1 || read(IN, text, 1) != 0)
		return 7;	/* somebody else has the end that is written to */
	if (write(FULL, "x", 1) != -1 || errno != ENOSPC)
		return 8;
	if (!getcwd(path, sizeof(path)) || !strstr(path, "/sub") || umask(0) != 0137)
		return 9;
	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur != 40 || l.rlim_max != 90)
		return 10;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 11;
	if (fcntl(9, F_GETFD) >= 0 || fcntl(16, F_GETFD) >= 0)
		return 12;
	return 0;
}

static int prepare(struct restore *r, bool force)
{
	static unsigned char fates[32];
	static int file_fds[32];
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < 32; i++) {
		if (file_fds[i] >= BASE)
			close(file_fds[i]);
		file_fds[i] = -1;
	}
	memset(fates, 0, sizeof(fates));
	*r = (struct restore){
		.image = &img, .fd_base = BASE, .file_fds = file_fds, .file_fate = fates, .force = force,
	};
	for (i = 0; i < 3; i++)
		r->std_fds[i] = fcntl((int)i, F_DUPFD_CLOEXEC, BASE);
	for (i = 0; i < NR_ROWS && !rc; i++)
		rc = rows[i]->prepare ? rows[i]->prepare(r) : CK_OK;
	for (i = 0; i < 3; i++)
		if (rc)
			close(r->std_fds[i]);
	return rc;
}

static void restore(const char *what)
{
	struct restore r;
	int status = -1, ours[2], closed;
	size_t i;
	pid_t pid;
	char c;

	if (!ok(prepare(&r, false) == CK_OK, "%s: prepare", what))
		return;
	for (i = 0; i < NR_ROWS; i++)
		ok(!rows[i]->commit || !rows[i]->commit(&r), "%s: %s: commit", what, rows[i]->name);
	if (pipe(ours) < 0)
		return;
	closed = fcntl(ours[0], F_DUPFD, BASE);
	pid = fork();
	if (pid == 0) {
		close(ours[1]);
		for (i = 0; i < NR_ROWS; i++)
			if (rows[i]->restore && rows[i]->restore(&r, &process))
				_exit(100 + (int)i);
		/* An end of a pipe that we have would be seen by the program. */
		if (read(closed, &c, 1) != 0)
			_exit(99);
		close_range(BASE, ~0U, 0);
		_exit(look_around());
	}
	close_range(BASE, ~0U, 0);
	close(ours[0]);
	close(ours[1]);
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: all is as it was (%#x)", what,
	   status);
}

static void append(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_APPEND);

	ok(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s grows", name);
	close(fd);
}

static bool state_knows(const char *name, const struct stat *st)
{
	for (size_t i = 0; i < img.nr_files; i++)
		if (strstr(files[i].path, name))
			return files[i].rec->mtime_sec == st->st_mtim.tv_sec &&
			       files[i].rec->mtime_nsec == (uint32_t)st->st_mtim.tv_nsec;
	return false;
}

/* The job's output, and what others do with it. */
static void log_changes(const char *sentence)
{
	struct restore r;
	struct stat st;
	int fd;

	ok(truncate("data", 8) == 0 && prepare(&r, false) == CK_REFUSED, "(the data is put back)");
	/* As the checkpoint knew it: the rest is about the log. */
	for (size_t i = 0; i < img.nr_files; i++)
		if (strstr(files[i].path, "/data")) {
			struct ckpt_rec_file *rec = (struct ckpt_rec_file *)files[i].rec;

			stat("data", &st);
			rec->mtime_sec = st.st_mtim.tv_sec;
			rec->mtime_nsec = (uint32_t)st.st_mtim.tv_nsec;
		}
	append("log", "three\n");
	ok(prepare(&r, false) == CK_OK && stat("log", &st) == 0 && st.st_size == 10,
	   "nothing is cut before the end");
	close_range(BASE, ~0U, 0);
	fd = open("log", O_WRONLY | O_APPEND);
	ok(prepare(&r, false) == CK_OK && state_files.commit(&r) == CK_OK && stat("log", &st) == 0 &&
	   st.st_size == 10, "a log that somebody else writes is not cut back");
	close_range(BASE, ~0U, 0);
	close(fd);
	ok(prepare(&r, false) == CK_OK && state_files.commit(&r) == CK_OK && stat("log", &st) == 0 &&
	   st.st_size == 4, "one that nobody else writes is");
	ok(state_knows("/log", &st), "and has its time of then");
	close_range(BASE, ~0U, 0);
	ok(rename("log", "older") == 0 && (fd = open("log", O_WRONLY | O_CREAT, 0600)) >= 0 &&
	   write(fd, "something", 9) == 9 && prepare(&r, false) == CK_REFUSED &&
	   strstr(sentence, "replaced"), "another log in its place: %s", sentence);
}

/* What must be refused, and what --force is for. */
static void changes(void)
{
	char sentence[512];
	struct restore r;
	uint32_t flags;
	size_t i;

	fail_capture(sentence, sizeof(sentence));
	append("data", "ijkl");
	ok(prepare(&r, false) == CK_REFUSED && strstr(sentence, "has changed"),
	   "a file that it wrote in the middle: %s", sentence);
	ok(truncate("data", 3) == 0 && prepare(&r, false) == CK_REFUSED &&
		   strstr(sentence, "shorter"),
	   "a file that is shorter than then: %s", sentence);
	ok(prepare(&r, true) == CK_OK, "with --force it is taken");
	ok(rename("data", "moved") == 0 && prepare(&r, true) == CK_NOTFOUND,
	   "a file that is gone: %s", sentence);
	ok(mkfifo("data", 0600) == 0 && prepare(&r, true) == CK_REFUSED && strstr(sentence, "else"),
	   "a named pipe in its place: %s", sentence);
	unlink("data");
	if (rename("moved", "data") < 0)
		return;
	/* As if the program had only read the file. */
	for (i = 0; i < img.nr_files; i++)
		if (strstr(files[i].path, "/data"))
			break;
	flags = files[i].rec->flags;
	((struct ckpt_rec_file *)files[i].rec)->flags &= ~(uint32_t)O_ACCMODE;
	ok(truncate("data", 8) == 0 && prepare(&r, false) == CK_REFUSED &&
		   strstr(sentence, "changed"),
	   "a file that it only reads has changed: %s", sentence);
	((struct ckpt_rec_file *)files[i].rec)->flags = flags;
	log_changes(sentence);
	close_range(BASE, ~0U, 0);
	fail_capture(NULL, 0);
}

int main(void)
{
	out_quiet = true;
	close_range(3, ~0U, 0);
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 1;
	save(start());
	restore("at once");
	restore("once more");
	append("log", "two\n");
	restore("after its output has grown");
	changes();
	if (chdir("/") == 0 && system("rm -rf /tmp/ckpt-unit-??????") != 0)
		diag("%s is left behind", dir);
	return done();
}
