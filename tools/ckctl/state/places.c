// SPDX-License-Identifier: GPL-2.0
#include "places.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "out.h"
#include "proc.h"

/* @path is @dir or below it. */
static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static void add_dir(struct places *places, const char *path)
{
	char *real = *path == '/' ? realpath(path, NULL) : NULL, **more;
	size_t i;

	for (i = 0; real && i < places->nr_dirs; i++)
		if (strcmp(places->dirs[i], real) == 0)
			break;
	/* Who calls everything temporary means nothing by it. */
	if (!real || i < places->nr_dirs || strcmp(real, "/") == 0) {
		free(real);
		return;
	}
	more = realloc(places->dirs, (places->nr_dirs + 1) * sizeof(*more));
	if (!more) {
		free(real);
		return;
	}
	places->dirs = more;
	places->dirs[places->nr_dirs++] = real;
}

/* What does not outlive a reboot, unless the whole system is in it. */
static void add_devs(struct places *places)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	unsigned int dev_major, dev_minor;
	struct stat root = { 0 };
	size_t size = 0;
	uint64_t *more;
	char *line = NULL, *type;

	/* Parts of it may be mounted in other places, too. */
	stat("/", &root);
	while (file && getline(&line, &size, file) > 0) {
		if (sscanf(line, "%*d %*d %u:%u", &dev_major, &dev_minor) != 2 ||
		    makedev(dev_major, dev_minor) == root.st_dev)
			continue;
		type = strstr(line, " - ");
		if (!type || (strncmp(type + 3, "tmpfs ", 6) != 0 && strncmp(type + 3, "ramfs ", 6) != 0))
			continue;
		more = realloc(places->devs, (places->nr_devs + 1) * sizeof(*more));
		if (!more)
			break;
		places->devs = more;
		places->devs[places->nr_devs++] = makedev(dev_major, dev_minor);
	}
	free(line);
	if (file)
		fclose(file);
}

/* The outermost directory of an image on the way to <dir>/<id>.ckpt: an image may
 * be a part of that of a whole job. */
static char *image_of(const char *dir, const char *id)
{
	static const char suffix[] = ".ckpt";
	char *real = realpath(dir, NULL), *path = NULL, *end;

	if (real && asprintf(&path, "%s/%s%s", real, id, suffix) < 0)
		path = NULL;
	free(real);
	for (end = path; end && (end = strstr(end, suffix)); end += sizeof(suffix) - 1)
		if (end[sizeof(suffix) - 1] == '/') {
			end[sizeof(suffix) - 1] = '\0';
			break;
		}
	return path;
}

struct places *places_open(const char *dir, const char *id)
{
	struct places *places = calloc(1, sizeof(*places));

	if (places)
		places->image = image_of(dir, id);
	if (!places || !places->image) {
		fail_errno(errno, "cannot tell where the image will be");
		places_close(places);
		return NULL;
	}
	places->began = INT64_MAX;
	add_dir(places, "/tmp");
	add_dir(places, "/var/tmp");
	add_dir(places, "/dev/shm");
	add_devs(places);
	return places;
}

void places_close(struct places *places)
{
	size_t i;

	if (!places)
		return;
	for (i = 0; i < places->nr_dirs; i++)
		free(places->dirs[i]);
	free(places->dirs);
	free(places->devs);
	free(places->tmpdir);
	free(places->image);
	free(places);
}

/* A restart makes files shortly before it makes processes. */
#define BEFORE_THE_FIRST	10

static void learn_began(struct places *places, const struct proc *p)
{
	struct timespec now, boot;
	char text[1024];
	int64_t began, ticks;

	if (proc_text(p, -1, "stat", text, sizeof(text)) < 0)
		return;
	ticks = proc_stat_field(text, 22);
	if (!ticks)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	began = ticks / sysconf(_SC_CLK_TCK) + now.tv_sec -
		boot.tv_sec - BEFORE_THE_FIRST;
	if (began < places->began)
		places->began = began;
}

/* Most processes have inherited the same, which is looked up once. */
static void learn_tmpdir(struct places *places, const char *path)
{
	if (places->tmpdir && strcmp(places->tmpdir, path) == 0)
		return;
	free(places->tmpdir);
	places->tmpdir = strdup(path);
	add_dir(places, path);
}

void places_learn(struct places *places, struct proc *p)
{
	static const char key[] = "TMPDIR=";
	static char text[1 << 18];
	ssize_t len;
	const char *at;

	if (p->environ_seen)
		return;
	p->environ_seen = true;
	learn_began(places, p);
	/* What cannot be read names no place; nor does the end of a very long one. */
	len = proc_text(p, -1, "environ", text, sizeof(text));
	if (len < 0 && errno == EFBIG)
		len = sizeof(text) - 1;
	for (at = text; len > 0 && at < text + len; at += strlen(at) + 1)
		if (strncmp(at, key, sizeof(key) - 1) == 0)
			learn_tmpdir(places, at + sizeof(key) - 1);
}

bool places_have(const struct places *places, const char *path, uint64_t dev)
{
	size_t i;

	if (is_below(path, places->image))
		return false;
	for (i = 0; i < places->nr_devs; i++)
		if (places->devs[i] == dev)
			return true;
	for (i = 0; i < places->nr_dirs; i++)
		if (is_below(path, places->dirs[i]))
			return true;
	return false;
}
