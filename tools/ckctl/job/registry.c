// SPDX-License-Identifier: GPL-2.0
#include "registry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "image/dir.h"
#include "out.h"

#define MAX_BYTES	65536
#define MAX_AGE_S	(30 * 86400)

/* ---- the directory ---- */

static const char *home(void)
{
	const char *path = getenv("HOME");
	const struct passwd *pw;

	if (path && *path == '/')
		return path;
	pw = getpwuid(geteuid());
	return pw ? pw->pw_dir : NULL;
}

/* $HOME/.ckpt/jobs/<cluster>, made if need be, or that above it; -1 and errno. */
static int open_dir(const char *cluster, bool make)
{
	const char *const names[] = { ".ckpt", "jobs", cluster };
	const char *path = home();
	int fd, next, err;
	size_t i;

	if (!path || (cluster && !dir_name_good(cluster))) {
		errno = ENOENT;
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; fd >= 0 && i < sizeof(names) / sizeof(names[0]) && names[i]; i++) {
		next = dir_open_own(fd, names[i], 0);
		if (next < 0 && errno == ENOENT && make &&
		    (dir_make(fd, names[i]) == 0 || errno == EEXIST))
			next = dir_open_own(fd, names[i], 0);
		err = errno;
		close(fd);
		errno = err;
		fd = next;
	}
	return fd;
}

static bool file_name(char *buf, size_t size, const char *job)
{
	return dir_name_good(job) && (size_t)snprintf(buf, size, "%s.json", job) < size;
}

/* ---- the file ---- */

json_t *registry_load(const char *cluster, const char *name)
{
	char path[300], text[MAX_BYTES];
	int dir = open_dir(cluster, false), fd = -1;
	json_t *root = NULL;
	struct stat st;
	ssize_t n = -1;

	if (dir >= 0 && file_name(path, sizeof(path), name))
		fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    !(st.st_mode & 022))
		n = read(fd, text, sizeof(text));
	if (n > 0 && (size_t)n < sizeof(text))
		root = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	return root;
}

int registry_store(const char *cluster, const char *name, json_t *root)
{
	int dir = open_dir(cluster, true), fd = -1, rc = CK_OK;
	char path[300], temporary[360];
	FILE *file = NULL;
	uint64_t number;

	if (dir < 0) {
		json_decref(root);
		return fail_errno(errno, "cannot make the directory ~/.ckpt/jobs/%s", cluster);
	}
	if (!file_name(path, sizeof(path), name)) {
		json_decref(root);
		close(dir);
		return fail(CK_USAGE, "\"%s\" is no job", name);
	}
	/* Two at once have one each, on whatever nodes: these may share numbers and names.  Who
	 * wrote it tells is_half() what was left behind. */
	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) < 0)
		number = (uint64_t)gethostid() << 32 | (uint64_t)getpid();
	snprintf(temporary, sizeof(temporary), ".%s.%lx.%d.%" PRIx64, path, (unsigned long)gethostid(),
		 getpid(), number);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (fd >= 0 && !root)
		rc = fail(CK_FAILED, "out of memory");
	else if (!file || fchmod(fd, 0600) < 0 || json_dumpf(root, file, JSON_INDENT(1)) < 0 ||
		 fflush(file) == EOF || fsync(fd) < 0 || renameat(dir, temporary, dir, path) < 0)
		rc = fail_errno(errno, "cannot write ~/.ckpt/jobs/%s/%s", cluster, path);
	if (rc)
		unlinkat(dir, temporary, 0);
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	close(dir);
	json_decref(root);
	return rc;
}

/* ---- of a job ---- */

static void get_path(const json_t *root, const char *key, char *path)
{
	const char *value = json_string_value(json_object_get(root, key));

	if (value && *value == '/' && strlen(value) < PATH_MAX)
		strcpy(path, value);
}

int registry_read(const char *cluster, const char *job, struct registry_entry *entry)
{
	json_t *root = registry_load(cluster, job);
	const char *next = json_string_value(json_object_get(root, "goes_on_as"));

	memset(entry, 0, sizeof(*entry));
	get_path(root, "image_dir", entry->image_dir);
	get_path(root, "image", entry->image);
	get_path(root, "restart_from", entry->restart_from);
	if (next && strlen(next) < sizeof(entry->goes_on_as))
		strcpy(entry->goes_on_as, next);
	json_decref(root);
	return CK_OK;
}

/* A path of other bytes than UTF-8 would come back as another one. */
static bool set_text(json_t *root, const char *key, const char *text)
{
	json_t *value;

	if (!*text)
		return true;
	value = json_string(text);
	return value && json_object_set_new(root, key, value) == 0;
}

static int change(const char *cluster, const char *job, const struct registry_entry *entry,
		  bool newer)
{
	json_t *root = registry_load(cluster, job);

	if (!json_is_object(root)) {
		json_decref(root);
		root = json_object();
	}
	if (newer)
		json_object_del(root, "restart_from");
	if (set_text(root, "image_dir", entry->image_dir) && set_text(root, "image", entry->image) &&
	    set_text(root, "restart_from", entry->restart_from) &&
	    set_text(root, "goes_on_as", entry->goes_on_as))
		return registry_store(cluster, job, root);
	json_decref(root);
	return fail(CK_REFUSED, "the image directory must have a name in UTF-8");
}

int registry_write(const char *cluster, const char *job, const struct registry_entry *entry)
{
	return change(cluster, job, entry, false);
}

int registry_made(const char *cluster, const char *job, const char *image)
{
	struct registry_entry entry = { .image_dir = "" };

	snprintf(entry.image, sizeof(entry.image), "%s", image);
	return change(cluster, job, &entry, true);
}

int registry_remove(const char *cluster, const char *job)
{
	int dir = open_dir(cluster, false), rc = CK_OK;
	char name[300];

	if (dir < 0)
		return CK_OK;
	if (file_name(name, sizeof(name), job) && unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		rc = fail_errno(errno, "cannot remove ~/.ckpt/jobs/%s/%s", cluster, name);
	close(dir);
	return rc;
}

/* The job or step that a file is about: "5.0" for "5.0.json" and "5.0.status.json".
 * That it is disabled stays until somebody takes it away. */
static bool job_of(const char *file, char *job, size_t size)
{
	static const char *const suffixes[] = { ".json", ".status", ".restart", ".failed", ".began" };
	size_t i, len;

	if (!dir_name_good(file) || strstr(file, ".disabled.") ||
	    (size_t)snprintf(job, size, "%s", file) >= size)
		return false;
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		len = strlen(job);
		if (len > strlen(suffixes[i]) && strcmp(job + len - strlen(suffixes[i]), suffixes[i]) == 0)
			job[len - strlen(suffixes[i])] = '\0';
		else if (i == 0)
			return false;
	}
	return true;
}

/* What registry_store() had not finished when it was killed. */
static bool is_leftover(const char *file)
{
	return *file == '.' && strstr(file, ".json.");
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* By what @name.json says of the images of @job; false as well when it says nothing. */
static bool names_image(const char *cluster, const char *name, const char *job)
{
	json_t *root = registry_load(cluster, name);
	const char *dir = json_string_value(json_object_get(root, "image_dir"));
	const char *image = json_string_value(json_object_get(root, "image"));
	char path[PATH_MAX + 300];
	bool has;

	snprintf(path, sizeof(path), "%s/%s.ckpt", dir ? dir : "", job);
	has = (dir && is_there(path)) || (image && is_there(image));
	json_decref(root);
	return has;
}

/* A failure, say, does not tell where the images are. */
static bool has_image(const char *cluster, const char *file, const char *job)
{
	char name[300];

	snprintf(name, sizeof(name), "%.*s", (int)strlen(file) - 5, file);
	return names_image(cluster, name, job) || names_image(cluster, job, job);
}

void registry_sweep(const char *cluster)
{
	int dir = open_dir(cluster, false);
	DIR *list = dir < 0 ? NULL : fdopendir(dir);
	time_t old = time(NULL) - MAX_AGE_S;
	struct dirent *entry;
	struct stat st;
	char job[256];

	if (!list) {
		if (dir >= 0)
			close(dir);
		return;
	}
	while ((entry = readdir(list)))
		if (fstatat(dirfd(list), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtime < old &&
		    (is_leftover(entry->d_name) ||
		     (job_of(entry->d_name, job, sizeof(job)) &&
		      !has_image(cluster, entry->d_name, job))))
			unlinkat(dirfd(list), entry->d_name, 0);
	closedir(list);
}

void registry_each(const char *cluster, const char *what, void (*call)(void *arg, const char *job), void *arg)
{
	int dir = open_dir(cluster, false);
	DIR *list = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;
	char job[256], name[300];

	if (!list && dir >= 0)
		close(dir);
	while (list && (entry = readdir(list))) {
		if (!job_of(entry->d_name, job, sizeof(job)))
			continue;
		snprintf(name, sizeof(name), "%s%s%s.json", job, what ? "." : "", what ? what : "");
		if (strcmp(name, entry->d_name) == 0)
			call(arg, job);
	}
	if (list)
		closedir(list);
}

/* See registry_store(): of this machine, and of a process that is no more. */
static bool is_half(const char *file, const char *job)
{
	size_t len = strlen(job);
	const char *end = strstr(file, ".json.");
	unsigned long host;
	int pid;

	return file[0] == '.' && strncmp(file + 1, job, len) == 0 && file[1 + len] == '.' && end &&
	       sscanf(end, ".json.%lx.%d", &host, &pid) == 2 && host == (unsigned long)gethostid() &&
	       pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

void registry_halves(const char *cluster, const char *job)
{
	int dir = open_dir(cluster, false);
	DIR *list = dir < 0 ? NULL : fdopendir(dir);
	struct dirent *entry;

	if (!list && dir >= 0)
		close(dir);
	while (list && (entry = readdir(list)))
		if (is_half(entry->d_name, job))
			unlinkat(dirfd(list), entry->d_name, 0);
	if (list)
		closedir(list);
}

bool registry_find(const char *name, char *cluster, size_t size)
{
	int jobs = open_dir(NULL, false);
	DIR *list = jobs < 0 ? NULL : fdopendir(jobs);
	struct timespec newest = { .tv_sec = -1 };
	char path[600], file[300];
	struct dirent *entry;
	struct stat st;

	if (!list || !file_name(file, sizeof(file), name)) {
		if (list)
			closedir(list);
		else if (jobs >= 0)
			close(jobs);
		return false;
	}
	while ((entry = readdir(list))) {
		snprintf(path, sizeof(path), "%s/%s", entry->d_name, file);
		if (!dir_name_good(entry->d_name) || strlen(entry->d_name) >= size ||
		    fstatat(dirfd(list), path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    st.st_mtim.tv_sec <= newest.tv_sec)
			continue;
		newest = st.st_mtim;
		strcpy(cluster, entry->d_name);
	}
	closedir(list);
	return newest.tv_sec >= 0;
}
