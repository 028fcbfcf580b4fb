// SPDX-License-Identifier: GPL-2.0
#include "leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "control.h"
#include "image/jobimage.h"
#include "image/store.h"
#include "policy.h"
#include "registry.h"

#define PATIENCE_MS	3000

/* ---- cgroups ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && strcmp(text + len - tail, end) == 0;
}

/* Where several slurmds are on one machine, each has its own, by its node's name. */
static bool is_scope(const char *name, const char *node)
{
	static const char scope[] = "slurmstepd.scope";
	size_t len = strlen(node);

	return strcmp(name, scope) == 0 ||
	       (len && strncmp(name, node, len) == 0 && name[len] == '_' && strcmp(name + len + 1, scope) == 0);
}

/* slurmstepd itself may be about to end. */
static void remove_one(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	cgroup_wait_empty(fd, PATIENCE_MS);
	close(fd);
	cgroup_remove(path);
}

static void remove_in(const char *slice, const char *node, const char *job)
{
	DIR *dir = opendir(slice);
	char path[PATH_MAX + 600];
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (!is_scope(e->d_name, node))
			continue;
		snprintf(path, sizeof(path), "%s/%s/job_%.31s", slice, e->d_name, job);
		remove_one(path);
	}
	if (dir)
		closedir(dir);
}

void leftovers_cgroups(const char *node, const char *job)
{
	char mount[PATH_MAX], slice[PATH_MAX + 300];
	struct dirent *e;
	DIR *dir;

	if (cgroup_resolve(mount, sizeof(mount), "/"))
		return;
	dir = opendir(mount);
	/* system.slice, unless cgroup.conf has another one. */
	while (dir && (e = readdir(dir))) {
		if (!ends_with(e->d_name, ".slice"))
			continue;
		snprintf(slice, sizeof(slice), "%s/%s", mount, e->d_name);
		remove_in(slice, node, job);
	}
	if (dir)
		closedir(dir);
}

/* ---- images ---- */

/* "5" of 5, and "5.0". */
static bool is_of(const char *name, const char *job)
{
	size_t len = strlen(job);

	return strncmp(name, job, len) == 0 &&
	       (!name[len] || (name[len] == '.' && job_step_good(name + len + 1)));
}

static void sweep_one(const char *cluster, const char *name, const char *dir)
{
	int64_t since;

	/* Somebody on another node, whose lock may not be seen here. */
	if (control_under_way(cluster, name, &since))
		return;
	store_sweep(IMAGE_JOB, dir, name);
	control_sweep(cluster, name);
}

static void sweep_dir(const char *cluster, const char *job, const char *path)
{
	DIR *dir = *path == '/' ? opendir(path) : NULL;
	char name[NAME_MAX + 1];
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		if (!ends_with(e->d_name, ".ckpt"))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)strlen(e->d_name) - 5, e->d_name);
		if (is_of(name, job))
			sweep_one(cluster, name, path);
	}
	if (dir)
		closedir(dir);
}

struct sweep {
	const char *cluster, *job;
};

/* Where the images of a job or step were told to go, and where the last one went. */
static void sweep_entry(void *arg, const char *name)
{
	const struct sweep *s = arg;
	struct registry_entry entry;
	char *slash;

	if (!is_of(name, s->job) || registry_read(s->cluster, name, &entry))
		return;
	sweep_dir(s->cluster, s->job, entry.image_dir);
	slash = strrchr(entry.image, '/');
	if (!slash)
		return;
	*slash = '\0';
	if (strcmp(entry.image, entry.image_dir) != 0)
		sweep_dir(s->cluster, s->job, entry.image);
}

/* ---- sockets ---- */

/* Of an srun_cr that was killed. */
static void sweep_sockets(const char *job)
{
	DIR *dir = opendir("/tmp");
	char begin[64];
	struct dirent *e;
	struct stat st;

	snprintf(begin, sizeof(begin), "srun_cr.%.31s.", job);
	while (dir && (e = readdir(dir)))
		if (strncmp(e->d_name, begin, strlen(begin)) == 0 &&
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISSOCK(st.st_mode) && st.st_uid == geteuid())
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
}

/* ---- all that is the user's ---- */

void leftovers_files(const char *cluster, const char *job, const char *dir)
{
	const struct sweep s = { .cluster = cluster, .job = job };
	char site[PATH_MAX];

	registry_each(cluster, NULL, sweep_entry, (void *)&s);
	registry_halves(cluster, job);
	sweep_sockets(job);
	if (policy_default_dir(site, sizeof(site), geteuid(), job) == 0)
		sweep_dir(cluster, job, site);
	if (dir)
		sweep_dir(cluster, job, dir);
}
