// SPDX-License-Identifier: GPL-2.0
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "out.h"
#include "state.h"

static void forget_files(struct proc *p)
{
	p->dir_fd = p->pid_fd = p->mem_fd = p->status_fd = p->limits_fd = p->fd_fd = -1;
}

#ifndef PIDFD_THREAD			/* since 6.9 */
#define PIDFD_THREAD	O_EXCL
#endif

/* The directory of the process, or of one of its threads. */
static int open_files(struct proc *p, const char *path, pid_t tid)
{
	p->tid = tid;
	p->dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->dir_fd < 0)
		return errno;
	/* Errors of these come up again, and are reported, when they are used. */
	p->pid_fd = (int)syscall(SYS_pidfd_open, tid, tid == p->pid ? 0 : PIDFD_THREAD);
	p->mem_fd = openat(p->dir_fd, "mem", O_RDONLY | O_CLOEXEC);
	p->status_fd = openat(p->dir_fd, "status", O_RDONLY | O_CLOEXEC);
	p->limits_fd = openat(p->dir_fd, "limits", O_RDONLY | O_CLOEXEC);
	p->fd_fd = openat(p->dir_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return 0;
}

int proc_open(struct proc *p, pid_t pid)
{
	char path[32];

	memset(p, 0, sizeof(*p));
	p->pid = pid;
	strcpy(p->comm, "?");
	forget_files(p);
	snprintf(path, sizeof(path), "/proc/%d", pid);
	return open_files(p, path, pid);
}

/* What is left of a first thread shows nothing of what the others share. */
static bool has_ended(const char *status)
{
	const char *state = proc_status(status, "State");

	return state && *state == 'Z';
}

int proc_follow(struct proc *p)
{
	char text[4096], path[320];
	struct dirent *e;
	int err = ESRCH;
	DIR *dir;

	if (proc_text(p, p->status_fd, "status", text, sizeof(text)) < 0 && errno != EFBIG)
		return errno;
	if (!has_ended(text))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/task", p->pid);
	dir = opendir(path);
	if (!dir)
		return errno;
	while (err && (e = readdir(dir))) {
		if (atoi(e->d_name) <= 0 || atoi(e->d_name) == p->pid)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s", p->pid, e->d_name);
		proc_close(p);
		err = open_files(p, path, atoi(e->d_name));
	}
	closedir(dir);
	return err;
}

void proc_move(struct proc *to, struct proc *from)
{
	*to = *from;
	/* These belonged to the dump that read them. */
	to->status = NULL;
	to->relaunch = false;
	forget_files(from);
	from->fdinfos = NULL;
	from->nr_fdinfos = 0;
}

void proc_close(struct proc *p)
{
	int *const fds[] = { &p->dir_fd, &p->pid_fd, &p->mem_fd, &p->status_fd, &p->limits_fd,
			     &p->fd_fd };
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	for (i = 0; i < p->nr_fdinfos; i++)
		close(p->fdinfos[i].fd);
	free(p->fdinfos);
	p->fdinfos = NULL;
	p->nr_fdinfos = 0;
}

ssize_t proc_text(const struct proc *p, int fd, const char *name, char *buf, size_t size)
{
	int own = -1, err;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		fd = own = openat(p->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	/* One read gets it all from a seq_file, unless it is larger than a page. */
	do {
		n = pread(fd, buf + len, size - 1 - len, (off_t)len);
		if (n > 0)
			len += (size_t)n;
	} while (n >= 4000 && len < size - 1);
	err = errno;
	if (own >= 0)
		close(own);
	buf[len] = '\0';
	errno = n < 0 ? err : EFBIG;
	return n < 0 || len == size - 1 ? -1 : (ssize_t)len;
}

ssize_t proc_read(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[48];
	ssize_t n;
	int fd, err;

	buf[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	err = errno;
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	errno = err;
	return n;
}

long long proc_stat_field(const char *text, int nr)
{
	/* The name, in parentheses, may hold anything. */
	const char *at = strrchr(text, ')');
	int n;

	for (n = 2; at && n < nr; n++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? strtoll(at, NULL, 10) : 0;
}

long long proc_stat(pid_t pid, int nr)
{
	char text[1024];

	return proc_read(pid, "stat", text, sizeof(text)) > 0 ? proc_stat_field(text, nr) : 0;
}

static int by_number(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

/* The numeric names in one buffer of getdents64(2); @list may be NULL. */
static size_t scan_names(const char *buf, size_t len, int *list)
{
	size_t pos, nr = 0;

	for (pos = 0; pos < len;) {
		const struct dirent64 *e = (const struct dirent64 *)(buf + pos);

		pos += e->d_reclen;
		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		if (list)
			list[nr] = atoi(e->d_name);
		nr++;
	}
	return nr;
}

int proc_numbers(struct dump *d, const struct proc *p, int fd, const char *name,
		 int **list, size_t *nr)
{
	static char buf[32768] __attribute__((aligned(8)));
	int own = -1, rc = CK_OK;
	int *grown;
	size_t more;
	long n;

	*nr = 0;
	*list = NULL;
	if (fd < 0)
		fd = own = openat(p->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		rc = fail_errno(errno, "pid %d: cannot open /proc/%d/%s", p->pid, p->pid, name);
		goto out;
	}
	while ((n = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		more = scan_names(buf, (size_t)n, NULL);
		if (!more)
			continue;
		grown = dump_alloc(d, (*nr + more) * sizeof(int));
		if (!grown) {
			rc = CK_FAILED;
			goto out;
		}
		if (*nr)
			memcpy(grown, *list, *nr * sizeof(int));
		scan_names(buf, (size_t)n, grown + *nr);
		*list = grown;
		*nr += more;
	}
	if (n < 0)
		rc = fail_errno(errno, "pid %d: cannot read /proc/%d/%s", p->pid, p->pid, name);
	else if (*nr > 1)
		qsort(*list, *nr, sizeof(int), by_number);
out:
	if (own >= 0)
		close(own);
	return rc;
}

size_t proc_keep_fdinfo(struct proc *p, const int *numbers, size_t nr, size_t room)
{
	size_t want = nr < room ? nr : room, i;
	char name[32];

	if (!want || p->fdinfos)
		return room;
	p->fdinfos = malloc(want * sizeof(*p->fdinfos));
	for (i = 0; i < want && p->fdinfos; i++) {
		struct proc_fdinfo *f = &p->fdinfos[p->nr_fdinfos];

		snprintf(name, sizeof(name), "fdinfo/%d", numbers[i]);
		f->number = numbers[i];
		f->fd = openat(p->dir_fd, name, O_RDONLY | O_CLOEXEC);
		p->nr_fdinfos += f->fd >= 0;
	}
	return room - p->nr_fdinfos;
}

int proc_fdinfo(const struct proc *p, int number, char *buf, size_t size)
{
	const struct proc_fdinfo *f = p->nr_fdinfos ? bsearch(&number, p->fdinfos, p->nr_fdinfos,
							      sizeof(*f), by_number) : NULL;
	char name[32];

	snprintf(name, sizeof(name), "fdinfo/%d", number);
	if (proc_text(p, f ? f->fd : -1, name, buf, size) >= 0)
		return 0;
	/* What follows the first lines can be long, and is not needed. */
	return errno == EFBIG ? 0 : -1;
}

ssize_t proc_link(const struct proc *p, const char *name, char *buf, size_t size)
{
	ssize_t n = readlinkat(p->dir_fd, name, buf, size - 1);

	if (n < 0)
		return -1;
	buf[n] = '\0';
	return n;
}

size_t proc_name_len(const char *path)
{
	static const char removed[] = " (deleted)";
	size_t len = strlen(path), tail = sizeof(removed) - 1;

	return len > tail && strcmp(path + len - tail, removed) == 0 ? len - tail : len;
}

const char *proc_status(const char *status, const char *key)
{
	size_t len = strlen(key);
	const char *line;

	for (line = status; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	}
	return NULL;
}

/* The name as messages show it: no job writes to its keeper's terminal that way. */
static void read_comm(struct proc *p)
{
	const char *name = proc_status(p->status, "Name");
	size_t len = name ? strcspn(name, "\n") : 0, i;

	if (!len)
		return;
	if (len >= sizeof(p->comm))
		len = sizeof(p->comm) - 1;
	for (i = 0; i < len; i++)
		p->comm[i] = name[i] >= ' ' && name[i] != 0x7f ? name[i] : '?';
	p->comm[len] = '\0';
}

int proc_read_all(struct dump *d)
{
	/* Groups alone can fill many pages: 65536 of at most 11 characters. */
	static char buf[1 << 20];
	size_t i;

	for (i = 0; i < d->nr_procs; i++) {
		struct proc *p = &d->procs[i];
		ssize_t len;

		if (p->status)
			continue;
		len = proc_text(p, p->status_fd, "status", buf, sizeof(buf));
		/* Opened before the freeze, of a process that is no more: look again. */
		if (len < 0 && errno == ESRCH) {
			proc_close(p);
			errno = proc_open(p, p->pid);
			len = errno ? -1 : proc_text(p, p->status_fd, "status", buf, sizeof(buf));
		}
		/* Or of one whose first thread has ended since. */
		if (len >= 0 && has_ended(buf)) {
			errno = proc_follow(p);
			len = errno ? -1 : proc_text(p, p->status_fd, "status", buf, sizeof(buf));
		}
		if (len < 0)
			return fail_errno(errno, "pid %d: cannot read /proc/%d/status", p->pid,
					  p->pid);
		p->status = dump_strdup(d, buf, (size_t)len);
		if (!p->status)
			return CK_FAILED;
		read_comm(p);
	}
	return CK_OK;
}
