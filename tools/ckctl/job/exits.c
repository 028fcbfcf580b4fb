// SPDX-License-Identifier: GPL-2.0
#include "exits.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The step in "<job>.<step>.<node>" of this job; NULL for other names. */
static const char *step_of(const char *name, const char *job, char *step, size_t size)
{
	size_t len = strlen(job), digits;

	if (strncmp(name, job, len) != 0 || name[len] != '.')
		return NULL;
	name += len + 1;
	digits = strspn(name, "0123456789");
	if (!digits || digits >= size || name[digits] != '.')
		return NULL;
	memcpy(step, name, digits);
	step[digits] = '\0';
	return step;
}

static int read_file(int dir, const char *name, const char *step, json_t *list)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), status, rc = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	unsigned int rank;

	if (!file) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (!rc && fscanf(file, "%u %d", &rank, &status) == 2)
		rc = json_array_append_new(list, json_pack("{s:s, s:I, s:i}", "step", step, "rank",
							   (json_int_t)rank, "status", status));
	fclose(file);
	return rc;
}

json_t *exits_read(const char *job)
{
	DIR *dir = opendir(EXITS_DIR);
	json_t *list = json_array();
	struct dirent *e;
	char step[16];

	while (dir && list && (e = readdir(dir)))
		if (step_of(e->d_name, job, step, sizeof(step)) &&
		    read_file(dirfd(dir), e->d_name, step, list) < 0) {
			json_decref(list);
			list = NULL;
		}
	if (dir)
		closedir(dir);
	return list;
}

void exits_remove(const char *job)
{
	DIR *dir = opendir(EXITS_DIR);
	struct dirent *e;
	char step[16];

	while (dir && (e = readdir(dir)))
		if (step_of(e->d_name, job, step, sizeof(step)))
			unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		closedir(dir);
}
