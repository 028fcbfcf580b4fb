// SPDX-License-Identifier: GPL-2.0
#include "drain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "deadline.h"
#include "out.h"
#include "state/proc.h"

#define PAUSE_MS	5

/* A growing list of numbers: inodes. */
struct set {
	uint64_t *items;
	size_t nr;
	bool failed;
};

static bool has(const struct set *set, uint64_t item)
{
	size_t i;

	for (i = 0; i < set->nr; i++)
		if (set->items[i] == item)
			return true;
	return false;
}

static void add(struct set *set, uint64_t item)
{
	uint64_t *more;

	if (has(set, item))
		return;
	more = realloc(set->items, (set->nr + 1) * sizeof(*more));
	if (!more) {
		set->failed = true;
		return;
	}
	set->items = more;
	more[set->nr++] = item;
}

/* ---- processes ---- */

/* Call @fn for each process of a cgroup; one that is gone has none. */
static void for_each_process(const char *cgroup, void (*fn)(pid_t pid, void *arg), void *arg)
{
	struct capture outer;
	pid_t *pids = NULL;
	size_t nr = 0, i;
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	outer = fail_mute();
	if (cgroup_pids(fd, &pids, &nr))
		nr = 0;
	fail_restore(outer);
	close(fd);
	for (i = 0; i < nr; i++)
		fn(pids[i], arg);
	free(pids);
}

/* Call @fn with what each descriptor of a process leads to, and its rights. */
static void for_each_fd(pid_t pid, void (*fn)(pid_t pid, int fd, const char *target, mode_t mode,
					      void *arg), void *arg)
{
	char path[32], target[64];
	struct dirent *e;
	struct stat st;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
		if (n <= 0 || fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		target[n] = '\0';
		fn(pid, atoi(e->d_name), target, st.st_mode, arg);
	}
	if (dir)
		closedir(dir);
}

static bool is_srun(pid_t pid)
{
	char path[32], exe[PATH_MAX], *base;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	base = strrchr(exe, '/');
	return strcmp(base ? base + 1 : exe, "srun") == 0;
}

/* Beside it, our own may be there.  What cannot be seen (hidepid) may be it. */
static bool is_stepd(pid_t pid, bool *hidden)
{
	char name[32];
	ssize_t n = proc_read(pid, "comm", name, sizeof(name));

	*hidden |= n <= 0;
	return n > 0 && strncmp(name, "slurmstepd", 10) == 0;
}

/* ---- threads ---- */

/* What is seen of threads: if two of these are equal, none of them ran in between. */
struct threads {
	uint64_t nr, tids, switches;
	bool awake;
};

static void look_at_thread(int dir, const char *tid, struct threads *t)
{
	char path[64], text[4096];
	const char *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.20s/status", tid);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;		/* it has ended: the number tells */
	text[n] = '\0';
	t->nr++;
	t->tids += strtoul(tid, NULL, 10);
	at = strstr(text, "\nState:\t");
	t->awake |= !at || at[8] != 'S';
	at = strstr(text, "\nvoluntary_ctxt_switches:");
	t->switches += at ? strtoull(at + 25, NULL, 10) : 0;
	at = strstr(text, "\nnonvoluntary_ctxt_switches:");
	t->switches += at ? strtoull(at + 28, NULL, 10) : 0;
}

static void look_at_process(pid_t pid, struct threads *t)
{
	struct dirent *e;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			look_at_thread(dirfd(dir), e->d_name, t);
	if (dir)
		closedir(dir);
}

static void look_at_stepd(pid_t pid, void *arg)
{
	struct threads *t = arg;

	if (is_stepd(pid, &t->awake))
		look_at_process(pid, t);
}

static void look_at_srun(pid_t pid, void *arg)
{
	if (is_srun(pid))
		look_at_process(pid, arg);
}

/* ---- pipes ---- */

struct pipes {
	struct set inner;		/* with a reader in the job: its contents are saved */
	bool full;
};

static void note_reader(pid_t pid, int fd, const char *target, mode_t mode, void *arg)
{
	struct pipes *p = arg;

	(void)pid;
	(void)fd;
	if (strncmp(target, "pipe:[", 6) == 0 && mode & S_IRUSR)
		add(&p->inner, strtoull(target + 6, NULL, 10));
}

static void note_readers(pid_t pid, void *arg)
{
	for_each_fd(pid, note_reader, arg);
}

static void look_at_pipe(pid_t pid, int fd, const char *target, mode_t mode, void *arg)
{
	struct pipes *p = arg;
	char path[48];
	int pipe, bytes;

	(void)mode;
	if ((fd != 1 && fd != 2) || strncmp(target, "pipe:[", 6) != 0 ||
	    has(&p->inner, strtoull(target + 6, NULL, 10)))
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	pipe = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (pipe < 0)
		return;		/* nobody reads it any more */
	p->full |= ioctl(pipe, FIONREAD, &bytes) == 0 && bytes;
	close(pipe);
}

static void look_at_pipes(pid_t pid, void *arg)
{
	for_each_fd(pid, look_at_pipe, arg);
}

/* ---- sockets ---- */

bool drain_address(const char *text, char *to, size_t size)
{
	size_t digits = strspn(text, "0123456789ABCDEF"), skip = 0;

	if ((digits != 8 && digits != 32) || text[digits] != ':' ||
	    strspn(text + digits + 1, "0123456789ABCDEF") != 4)
		return false;
	if (digits == 32 && strncmp(text, "0000000000000000FFFF0000", 24) == 0)
		skip = 24;
	return (size_t)snprintf(to, size, "%.*s", (int)(digits + 5 - skip), text + skip) < size;
}

struct connection {
	char local[48], remote[48];
	unsigned int state;
	bool full;
	uint64_t inode;
};

#define ESTABLISHED 1

static void for_each_connection(void (*fn)(const struct connection *c, void *arg), void *arg)
{
	static const char *const paths[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	char line[512], local[64], remote[64];
	unsigned int tx, rx;
	struct connection c;
	size_t i;

	for (i = 0; i < 2; i++) {
		FILE *file = fopen(paths[i], "re");

		while (file && fgets(line, sizeof(line), file)) {
			if (sscanf(line, " %*d: %63s %63s %x %x:%x %*x:%*x %*x %*u %*u %" SCNu64,
				   local, remote, &c.state, &tx, &rx, &c.inode) != 6 ||
			    !drain_address(local, c.local, sizeof(c.local)) ||
			    !drain_address(remote, c.remote, sizeof(c.remote)))
				continue;
			c.full = tx || rx;
			fn(&c, arg);
		}
		if (file)
			fclose(file);
	}
}

/* The sockets of srun's. */
static void note_socket(pid_t pid, int fd, const char *target, mode_t mode, void *arg)
{
	(void)pid;
	(void)fd;
	(void)mode;
	if (strncmp(target, "socket:[", 8) == 0)
		add(arg, strtoull(target + 8, NULL, 10));
}

static void note_sockets(pid_t pid, void *arg)
{
	if (is_srun(pid))
		for_each_fd(pid, note_socket, arg);
}

struct listing {
	const struct set *sockets;
	json_t *list;
};

static void list_connection(const struct connection *c, void *arg)
{
	struct listing *l = arg;

	/* As the other end sees it. */
	if (c->state == ESTABLISHED && has(l->sockets, c->inode))
		json_array_append_new(l->list, json_sprintf("%s %s", c->remote, c->local));
}

json_t *drain_connections(const struct step *batch)
{
	struct set sockets = { 0 };
	struct listing l = { .sockets = &sockets, .list = json_array() };

	for_each_process(batch->user, note_sockets, &sockets);
	for_each_connection(list_connection, &l);
	free(sockets.items);
	return l.list;
}

struct queues {
	const json_t *connections;	/* these, by address */
	const struct set *sockets;	/* or these, by inode */
	bool full;
};

static void look_at_queue(const struct connection *c, void *arg)
{
	struct queues *q = arg;
	const json_t *item;
	char text[100];
	size_t i;

	if (!c->full)
		return;
	if (q->sockets)
		q->full |= has(q->sockets, c->inode);
	snprintf(text, sizeof(text), "%s %s", c->local, c->remote);
	json_array_foreach(q->connections, i, item)
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0)
			q->full = true;
}

/* ---- until nothing is left ---- */

struct road {
	const struct step *steps;
	size_t nr;
	const json_t *connections;	/* NULL: the way from srun on */
};

static void look_at_threads(const struct road *r, struct threads *t)
{
	size_t i;

	memset(t, 0, sizeof(*t));
	for (i = 0; i < r->nr; i++)
		if (r->connections)
			for_each_process(r->steps[i].slurm, look_at_stepd, t);
		else
			for_each_process(r->steps[i].user, look_at_srun, t);
}

static bool is_empty(const struct road *r)
{
	struct pipes pipes = { .full = false };
	struct set sockets = { 0 };
	struct queues queues = { .connections = r->connections };
	size_t i;
	bool empty;

	for (i = 0; i < r->nr; i++) {
		if (r->connections) {
			for_each_process(r->steps[i].user, note_readers, &pipes);
			for_each_process(r->steps[i].user, look_at_pipes, &pipes);
		} else {
			for_each_process(r->steps[i].user, note_sockets, &sockets);
			queues.sockets = &sockets;
		}
	}
	for_each_connection(look_at_queue, &queues);
	empty = !pipes.full && !queues.full && !pipes.inner.failed && !sockets.failed;
	free(pipes.inner.items);
	free(sockets.items);
	return empty;
}

static bool look(const struct road *r)
{
	struct threads before, after;

	look_at_threads(r, &before);
	if (before.awake || !is_empty(r))
		return false;
	look_at_threads(r, &after);
	return !after.awake && before.nr == after.nr && before.tids == after.tids &&
	       before.switches == after.switches;
}

static bool wait_for(const struct road *r, int wait_ms, int stop_fd)
{
	struct pollfd pfd = { .fd = stop_fd, .events = POLLIN };
	int64_t deadline = deadline_now_ms() + wait_ms;

	while (!look(r))
		if (deadline_now_ms() >= deadline || poll(&pfd, 1, PAUSE_MS) > 0)
			return false;
	return true;
}

bool drain_tasks(const struct step *steps, size_t nr, const json_t *connections, int wait_ms,
		 int stop_fd)
{
	struct road r = { .steps = steps, .nr = nr, .connections = connections };

	return wait_for(&r, wait_ms, stop_fd);
}

bool drain_srun(const struct step *batch, int wait_ms, int stop_fd)
{
	struct road r = { .steps = batch, .nr = 1 };

	return wait_for(&r, wait_ms, stop_fd);
}
