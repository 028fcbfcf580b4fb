// SPDX-License-Identifier: GPL-2.0
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "clock.h"
#include "out.h"

#define MAX_DEPTH	64	/* of cgroups below a job's, well over what limits allow */

/* ---- where ---- */

/* Where cgroup v2 is mounted; in the hybrid layout that is not the first one. */
static int find_mount(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	int rc;

	if (!mounts)
		return fail_errno(errno, "cannot read /proc/self/mounts");
	while ((m = getmntent(mounts)) && strcmp(m->mnt_type, "cgroup2") != 0)
		;
	if (!m)
		rc = fail(CK_FAILED, "cgroup version 2 is not mounted; boot with "
			  "systemd.unified_cgroup_hierarchy=1 or mount it at /sys/fs/cgroup");
	else if ((size_t)snprintf(path, size, "%s", m->mnt_dir) >= size)
		rc = fail(CK_FAILED, "the path of the cgroup file system is too long");
	else
		rc = CK_OK;
	endmntent(mounts);
	return rc;
}

/* @name below the mount point, as in /proc/PID/cgroup. */
static int below_mount(char *path, size_t size, const char *name)
{
	char mount[PATH_MAX];
	int rc = find_mount(mount, sizeof(mount));

	if (rc)
		return rc;
	while (*name == '/')
		name++;
	if ((size_t)snprintf(path, size, *name ? "%s/%s" : "%s", mount, name) >= size)
		return fail(CK_FAILED, "the path of the cgroup %s is too long", name);
	return CK_OK;
}

int cgroup_own(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t len;
	int rc;

	if (!file)
		return fail_errno(errno, "cannot read /proc/self/cgroup");
	while ((len = getline(&line, &room, file)) > 0 && strncmp(line, "0::", 3) != 0)
		;
	if (len <= 0) {
		rc = fail(CK_FAILED, "this process is in no cgroup of version 2");
	} else {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		rc = strncmp(line + 3, "/..", 3) == 0 ?
		     fail(CK_FAILED, "the cgroup of this process cannot be seen from here") :
		     below_mount(path, size, line + 3);
	}
	free(line);
	fclose(file);
	return rc;
}

static bool is_cgroup(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

int cgroup_resolve(char *path, size_t size, const char *arg)
{
	char *real;
	int rc = CK_OK;

	if (is_cgroup(arg)) {
		real = realpath(arg, NULL);
		if (!real)
			return fail_errno(errno, "cannot find the cgroup %s", arg);
		if ((size_t)snprintf(path, size, "%s", real) >= size)
			rc = fail(CK_FAILED, "the path of the cgroup %s is too long", arg);
		free(real);
		return rc;
	}
	rc = below_mount(path, size, arg);
	if (!rc && !is_cgroup(path) && access(arg, F_OK) == 0)
		rc = fail(CK_USAGE, "%s is not a cgroup of version 2", arg);
	else if (!rc && !is_cgroup(path))
		rc = fail(CK_NOTFOUND, "there is no cgroup %s; give a directory, or a path as "
			  "/proc/PID/cgroup has it", arg);
	return rc;
}

/* ---- making and removing ---- */

int cgroup_open(const char *path, int *fd)
{
	struct statfs fs;

	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0)
		return errno == ENOENT ?
			       fail(CK_NOTFOUND, "the cgroup %s is gone: the job has ended", path) :
			       fail_errno(errno, "cannot open the cgroup %s", path);
	/* The path may lead elsewhere by now. */
	if (fstatfs(*fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return CK_OK;
	close(*fd);
	*fd = -1;
	return fail(CK_USAGE, "%s is not a cgroup of version 2", path);
}

int cgroup_place(const char *id, char *path, size_t size)
{
	char own[PATH_MAX];
	int rc = cgroup_own(own, sizeof(own));

	if (!rc && (size_t)snprintf(path, size, "%s/ckpt-%s", own, id) >= size)
		rc = fail(CK_FAILED, "the name %s is too long", id);
	return rc;
}

int cgroup_make(const char *path, int *fd)
{
	int rc, err;

	*fd = -1;
	err = mkdir(path, 0755) < 0 ? errno : 0;
	if (err == EEXIST) {
		cgroup_remove(path);
		err = mkdir(path, 0755) < 0 ? errno : 0;
	}
	if (err == EEXIST)
		return fail(CK_BUSY, "the cgroup %s is in use: a job of this name is still running",
			    path);
	if (err == EACCES || err == EPERM || err == EROFS)
		return fail(CK_PERM, "you may not make the cgroup %s; start ckctl in one that was "
			    "delegated to you: systemd-run --user --scope ckctl …", path);
	if (err)
		return fail_errno(err, "cannot make the cgroup %s", path);
	rc = cgroup_open(path, fd);
	if (rc)
		cgroup_remove(path);
	return rc;
}

static void remove_below(int fd, int depth)
{
	struct dirent *e;
	DIR *dir;
	int sub, copy = dup(fd);

	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((e = readdir(dir))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub < 0)
			continue;
		if (depth < MAX_DEPTH)
			remove_below(sub, depth + 1);
		close(sub);
		unlinkat(fd, e->d_name, AT_REMOVEDIR);
	}
	closedir(dir);
}

void cgroup_remove(const char *path)
{
	int fd;

	if (rmdir(path) == 0)
		return;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!cgroup_populated(fd)) {
		remove_below(fd, 0);
		rmdir(path);
	}
	close(fd);
}

/* ---- who is in it ---- */

/* A small file of a cgroup: its length, or -1 and errno. */
static ssize_t read_small(int fd, const char *name, char *buf, size_t size)
{
	int file = openat(fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (file < 0)
		return -1;
	n = read(file, buf, size - 1);
	close(file);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

static int write_small(int fd, const char *name, const char *text)
{
	int file = openat(fd, name, O_WRONLY | O_CLOEXEC), err = 0;

	if (file < 0)
		return errno;
	if (write(file, text, strlen(text)) < 0)
		err = errno;
	close(file);
	return err;
}

struct list {
	pid_t *pids;
	size_t nr, size;
};

static int add_procs(int fd, struct list *l)
{
	int file = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *stream = file < 0 ? NULL : fdopen(file, "r");
	pid_t pid, *more;
	int rc = CK_OK;

	if (!stream) {
		rc = fail_errno(errno, "cannot read the processes of the cgroup");
		if (file >= 0)
			close(file);
		return rc;
	}
	while (!rc && fscanf(stream, "%d", &pid) == 1) {
		if (l->nr == l->size) {
			l->size = l->size ? 2 * l->size : 64;
			more = realloc(l->pids, l->size * sizeof(*more));
			if (!more) {
				rc = fail(CK_FAILED, "out of memory");
				break;
			}
			l->pids = more;
		}
		/* 0 stands for one that this pid namespace does not see. */
		if (pid > 0)
			l->pids[l->nr++] = pid;
	}
	fclose(stream);
	return rc;
}

static int add_below(int fd, struct list *l, int depth)
{
	int rc = add_procs(fd, l), sub, copy = dup(fd);
	struct dirent *e;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return rc ? rc : fail_errno(errno, "cannot list a cgroup");
	}
	rewinddir(dir);
	while (!rc && (e = readdir(dir))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.' || depth == MAX_DEPTH)
			continue;
		sub = openat(fd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub < 0)
			continue;	/* removed in between: nobody was in it */
		rc = add_below(sub, l, depth + 1);
		close(sub);
	}
	closedir(dir);
	return rc;
}

static int by_pid(const void *a, const void *b)
{
	return (*(const pid_t *)a > *(const pid_t *)b) - (*(const pid_t *)a < *(const pid_t *)b);
}

int cgroup_pids(int fd, pid_t **pids, size_t *nr)
{
	struct list l = { 0 };
	int rc = add_below(fd, &l, 0);

	*pids = NULL;
	*nr = 0;
	if (rc) {
		free(l.pids);
		return rc;
	}
	if (l.nr > 1)
		qsort(l.pids, l.nr, sizeof(*l.pids), by_pid);
	*pids = l.pids;
	*nr = l.nr;
	return CK_OK;
}

static bool event_is(int fd, const char *line)
{
	char text[256];

	return read_small(fd, "cgroup.events", text, sizeof(text)) > 0 && strstr(text, line);
}

bool cgroup_populated(int fd)
{
	return event_is(fd, "populated 1");
}

#define REMOVED_POLL_MS	20

bool cgroup_wait_empty(int fd, int timeout_ms)
{
	struct pollfd pfd = { .events = POLLPRI };
	int64_t end = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	char text[256];
	bool empty = false;
	int left = timeout_ms;

	pfd.fd = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (pfd.fd < 0)
		return errno == ENOENT || errno == ENODEV;
	for (;;) {
		ssize_t n = pread(pfd.fd, text, sizeof(text) - 1, 0);

		/* ENODEV: the cgroup itself is gone. */
		text[n > 0 ? n : 0] = '\0';
		empty = n < 0 || strstr(text, "populated 0");
		if (empty || left <= 0)
			break;
		/* Whoever removes an empty cgroup at once takes the event with it: look again. */
		poll(&pfd, 1, left < REMOVED_POLL_MS ? left : REMOVED_POLL_MS);
		left = (int)(end - clock_ms(CLOCK_MONOTONIC));
	}
	close(pfd.fd);
	return empty;
}

/* ---- stop and go ---- */

int cgroup_kill(int fd)
{
	pid_t *pids;
	size_t nr, i;
	int rc, turn;

	/* cgroup.kill is of 5.14; who may not write it may still kill one by one. So are
	 * those that it passes over, because their first thread has ended before the others. */
	if (write_small(fd, "cgroup.kill", "1") == 0 && cgroup_wait_empty(fd, 500))
		return CK_OK;
	for (turn = 0; turn < 100; turn++) {
		rc = cgroup_pids(fd, &pids, &nr);
		if (rc)
			return rc;
		for (i = 0; i < nr; i++) {
			if (kill(pids[i], SIGKILL) < 0 && errno != ESRCH) {
				rc = fail_errno(errno, "cannot end pid %d", pids[i]);
				break;
			}
		}
		free(pids);
		if (rc || cgroup_wait_empty(fd, 100))
			return rc;
	}
	return fail(CK_TIMEOUT, "some processes of the job do not end");
}

int cgroup_frozen(int fd, bool *frozen)
{
	char text[16];

	if (read_small(fd, "cgroup.freeze", text, sizeof(text)) < 0)
		return fail_errno(errno, "cannot read whether the job is frozen");
	*frozen = text[0] == '1';
	return CK_OK;
}

int cgroup_thaw(int fd)
{
	int err = write_small(fd, "cgroup.freeze", "0");

	return err ? fail_errno(err, "cannot let the job run on") : CK_OK;
}
