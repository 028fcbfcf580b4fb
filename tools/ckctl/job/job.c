// SPDX-License-Identifier: GPL-2.0
#include "job.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "image/dir.h"
#include "json.h"
#include "out.h"
#include "state/proc.h"

int job_check_id(const char *id)
{
	const char *c;

	if (!*id || *id == '.' || *id == '-')
		return fail(CK_USAGE, "\"%s\" cannot be the name of a job: it begins with a dot or "
			    "dash, or is empty", id);
	if (strcmp(id, "self") == 0)
		return fail(CK_USAGE, "\"self\" cannot be the name of a job: it stands for that of the caller");
	if (strlen(id) > JOB_ID_MAX)
		return fail(CK_USAGE, "the name of a job has at most %d characters", JOB_ID_MAX);
	for (c = id; *c; c++)
		if (*c == '/' || (unsigned char)*c < ' ' || *c == 0x7f)
			return fail(CK_USAGE,
				    "\"%s\" cannot be the name of a job: it has a slash or a "
				    "control character",
				    id);
	return CK_OK;
}

int job_parse_keep(unsigned int *keep, const char *text)
{
	unsigned long value;
	char *end;

	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || !value || value > JOB_KEEP_MAX)
		return fail(CK_USAGE, "--keep takes a number from 1 to %d, not \"%s\"",
			    JOB_KEEP_MAX, text);
	*keep = (unsigned int)value;
	return CK_OK;
}

/* ---- the directory ---- */

/*
 * Candidate @n for the directory of this user's job files, the preferred one
 * first: it depends on the environment, which is not the same in every login.
 */
static bool runtime_dir(int n, char *path, size_t size)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	uid_t uid = geteuid();

	if (uid == 0) {
		snprintf(path, size, "/run/ckpt");
		return n == 0;
	}
	switch (n) {
	case 0:
		return xdg && *xdg == '/' && (size_t)snprintf(path, size, "%s/ckpt", xdg) < size;
	case 1:
		snprintf(path, size, "/run/user/%u/ckpt", uid);
		return true;
	case 2:
		snprintf(path, size, JOB_TMP_DIR "%u", uid);
		return true;
	}
	return false;
}

#define NR_RUNTIME_DIRS	3

/* In /tmp anybody could have put it there. */
static int open_private(const char *path)
{
	return dir_open_own(AT_FDCWD, path, O_NOFOLLOW);
}

static int open_runtime_dir(int *fd, char *path, size_t size)
{
	int n, err = ENOENT;

	for (n = 0; n < NR_RUNTIME_DIRS; n++) {
		if (!runtime_dir(n, path, size))
			continue;
		if (mkdir(path, 0700) < 0 && errno != EEXIST) {
			err = errno;
			continue;
		}
		*fd = open_private(path);
		if (*fd >= 0)
			return CK_OK;
		err = errno;
	}
	return fail_errno(
		err, "cannot make a private directory %s for what is known of running jobs", path);
}

static void file_name(char *buf, size_t size, const char *id)
{
	snprintf(buf, size, "%s.json", id);
}

/* ---- the file ---- */

/* When a process was started, in clock ticks since boot; 0 when there is none. */
static uint64_t start_time(pid_t pid)
{
	return (uint64_t)proc_stat(pid, 22);
}

static json_t *streams_to_json(const struct job_streams *streams)
{
	json_t *array = json_array();
	int i;

	for (i = 0; i < 3; i++)
		json_array_append_new(array, json_pack("[I, I]", (json_int_t)streams->at[i].dev,
						       (json_int_t)streams->at[i].ino));
	return array;
}

static bool streams_from_json(json_t *array, struct job_streams *streams)
{
	json_int_t dev, ino;
	size_t i;

	for (i = 0; i < 3; i++) {
		if (json_unpack(json_array_get(array, i), "[I, I]", &dev, &ino) < 0)
			return false;
		streams->at[i] = (struct job_stream){ .dev = (uint64_t)dev, .ino = (uint64_t)ino };
	}
	return true;
}

/* Silent: a file that cannot be read or is not one of ours is no job. */
static bool read_file(int dir, const char *id, struct job *job)
{
	char name[JOB_ID_MAX + 8];
	const char *cgroup, *image_dir;
	struct job_streams streams;
	json_int_t keep, owner, start;
	json_t *root, *array;
	FILE *file;
	bool ok;
	int fd;

	file_name(name, sizeof(name), id);
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* jansson itself reads and writes a descriptor byte by byte. */
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return false;
	}
	root = json_loadf(file, 0, NULL);
	fclose(file);
	ok = root && json_unpack(root, "{s:s, s:s, s:I, s:I, s:I, s:o}", "cgroup", &cgroup,
				 "image_dir", &image_dir, "keep", &keep, "owner", &owner,
				 "owner_start", &start, "streams", &array) == 0 &&
	     streams_from_json(array, &streams) &&
	     strlen(cgroup) < sizeof(job->cgroup) && strlen(image_dir) < sizeof(job->image_dir);
	if (ok) {
		memset(job, 0, sizeof(*job));
		snprintf(job->id, sizeof(job->id), "%s", id);
		strcpy(job->cgroup, cgroup);
		strcpy(job->image_dir, image_dir);
		job->keep = (unsigned int)keep;
		job->owner = (pid_t)owner;
		job->owner_start = (uint64_t)start;
		job->streams = streams;
	}
	json_decref(root);
	return ok;
}

static int write_file(int dir, const char *dir_path, const struct job *job)
{
	char name[JOB_ID_MAX + 8], temporary[JOB_ID_MAX + 16];
	FILE *file = NULL;
	json_t *root;
	int fd, rc = CK_OK;

	file_name(name, sizeof(name), job->id);
	snprintf(temporary, sizeof(temporary), ".%s.new", job->id);
	root = json_pack("{s:o, s:o, s:I, s:I, s:I, s:o}", "cgroup", json_text(job->cgroup),
			 "image_dir", json_text(job->image_dir), "keep", (json_int_t)job->keep,
			 "owner", (json_int_t)job->owner, "owner_start",
			 (json_int_t)job->owner_start, "streams", streams_to_json(&job->streams));
	if (!root)
		return fail(CK_FAILED, "out of memory");
	unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		file = fdopen(fd, "w");
	if (!file || json_dumpf(root, file, JSON_INDENT(2)) < 0 || fflush(file) == EOF ||
	    renameat(dir, temporary, dir, name) < 0)
		rc = fail_errno(errno, "cannot write %s/%s", dir_path, name);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	json_decref(root);
	return rc;
}

static bool is_alive(const struct job *job)
{
	bool populated;
	int fd;

	if (job->owner > 0 && start_time(job->owner) == job->owner_start)
		return true;
	fd = open(job->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	populated = cgroup_populated(fd);
	close(fd);
	return populated;
}

static void note_streams(struct job *job)
{
	struct stat st;
	int i;

	for (i = 0; i < 3; i++)
		if (fstat(i, &st) == 0)
			job->streams.at[i] = (struct job_stream){ .dev = st.st_dev, .ino = st.st_ino };
}

/* What keepers left that were killed: their jobs have ended since.  @except has
 * its cgroup already. */
static void sweep(int dir, const char *except)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	char id[JOB_ID_MAX + 1];
	struct dirent *e;
	struct job job;

	if (!list) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((e = readdir(list))) {
		size_t len = strlen(e->d_name);

		if (e->d_name[0] == '.' || len <= 5 || len - 5 > JOB_ID_MAX ||
		    strcmp(e->d_name + len - 5, ".json") != 0)
			continue;
		memcpy(id, e->d_name, len - 5);
		id[len - 5] = '\0';
		if (strcmp(id, except) == 0 || !read_file(dir, id, &job) || is_alive(&job))
			continue;
		cgroup_remove(job.cgroup);
		unlinkat(dir, e->d_name, 0);
	}
	closedir(list);
}

void job_own(struct job *job)
{
	job->owner = getpid();
	job->owner_start = start_time(job->owner);
}

int job_register(struct job *job)
{
	char path[PATH_MAX];
	int dir = -1, rc;

	rc = open_runtime_dir(&dir, path, sizeof(path));
	if (rc)
		return rc;
	job_own(job);
	note_streams(job);
	/* Looking and writing must be one step among all who register. */
	if (flock(dir, LOCK_EX) < 0) {
		rc = fail_errno(errno, "cannot lock %s", path);
	} else {
		struct job other;

		sweep(dir, job->id);
		if (read_file(dir, job->id, &other) && is_alive(&other))
			rc = fail(CK_BUSY,
				  "a job of the name %s is running (in %s); choose another "
				  "name with --name",
				  job->id, other.cgroup);
		else
			rc = write_file(dir, path, job);
	}
	close(dir);
	return rc;
}

void job_unregister(const struct job *job)
{
	char path[PATH_MAX], name[JOB_ID_MAX + 8];
	int n, dir;

	file_name(name, sizeof(name), job->id);
	for (n = 0; n < NR_RUNTIME_DIRS; n++) {
		struct job now;

		if (!runtime_dir(n, path, sizeof(path)))
			continue;
		dir = open_private(path);
		if (dir < 0)
			continue;
		if (flock(dir, LOCK_EX) == 0 && read_file(dir, job->id, &now) &&
		    now.owner == job->owner && now.owner_start == job->owner_start)
			unlinkat(dir, name, 0);
		close(dir);
	}
}

int job_find(const char *id, struct job *job)
{
	char path[PATH_MAX];
	int n, dir, rc;
	bool found;

	rc = job_check_id(id);
	if (rc)
		return rc;
	for (n = 0; n < NR_RUNTIME_DIRS; n++) {
		if (!runtime_dir(n, path, sizeof(path)))
			continue;
		dir = open_private(path);
		if (dir < 0)
			continue;
		found = read_file(dir, id, job);
		close(dir);
		if (found && is_alive(job))
			return CK_OK;
	}
	return fail(CK_NOTFOUND, "no job of the name %s is running; name one that \"ckctl run\" "
		    "started, or give --cgroup=PATH", id);
}
