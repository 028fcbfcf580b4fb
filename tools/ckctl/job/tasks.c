// SPDX-License-Identifier: GPL-2.0
#include "tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "enter.h"
#include "environ.h"
#include "json.h"
#include "out.h"
#include "slot.h"
#include "state/proc.h"

#define MAX_ENVIRON	(8 << 20)	/* exec(2) takes 6 MiB at most */

/* ---- environments, arguments ---- */

static char *slurp(int fd, size_t *len)
{
	size_t size = 0;
	char *text = NULL, *more;
	ssize_t n = 1;

	*len = 0;
	while (n > 0 && *len < MAX_ENVIRON) {
		if (*len + 1 >= size) {
			size = size ? 2 * size : 16384;
			more = realloc(text, size);
			if (!more)
				break;
			text = more;
		}
		n = read(fd, text + *len, size - 1 - *len);
		if (n > 0)
			*len += (size_t)n;
	}
	if (n == 0 && text) {
		text[*len] = '\0';
		return text;
	}
	n = errno;
	free(text);
	errno = (int)n ? (int)n : ENOMEM;
	return NULL;
}

char *task_text(pid_t pid, const char *name, size_t *len)
{
	char path[48], *text;
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	text = slurp(fd, len);
	err = errno;
	close(fd);
	errno = err;
	return text;
}

/* ---- parents ---- */

/* In the cgroup of Slurm's own process for the step. */
static bool is_slurms(const struct step *step, pid_t pid)
{
	char path[32], line[PATH_MAX + 8];
	size_t len, whole = strlen(step->slurm);
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		len = strlen(line + 3);
		/* Of the directory's path, what comes after the mount point. */
		found = strncmp(line, "0::", 3) == 0 && len > 1 && len <= whole &&
			strcmp(step->slurm + whole - len, line + 3) == 0;
	}
	if (file)
		fclose(file);
	return found;
}

static bool is_slot(pid_t pid)
{
	struct proc p = { .pid = pid };
	char path[32], exe[PATH_MAX];
	bool is;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	p.dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.dir_fd < 0)
		return false;
	is = proc_link(&p, "exe", exe, sizeof(exe)) >= 0 && slot_is(p.dir_fd, exe);
	close(p.dir_fd);
	return is;
}

pid_t task_parent(pid_t pid)
{
	return (pid_t)proc_stat(pid, 4);
}

/* ---- tasks ---- */

void task_streams(pid_t pid, struct job_streams *streams)
{
	char path[32];
	struct stat st;
	int i;

	memset(streams, 0, sizeof(*streams));
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, i);
		if (stat(path, &st) == 0)
			streams->at[i] = (struct job_stream){ .dev = st.st_dev, .ino = st.st_ino };
	}
}

int tasks_pids(const struct step *step, pid_t **pids, size_t *nr)
{
	int fd, rc = cgroup_open(step->user, &fd);

	if (rc)
		return rc;
	rc = cgroup_pids(fd, pids, nr);
	close(fd);
	return rc;
}

bool tasks_are_apart(const struct steps_place *place)
{
	struct capture outer;
	struct step *steps = NULL;
	bool apart = false;
	size_t nr, i;

	outer = fail_mute();
	if (steps_list(place, &steps, &nr))
		nr = 0;
	for (i = 0; i < nr && !apart; i++)
		apart = job_is_apart(steps[i].user);
	fail_restore(outer);
	free(steps);
	return apart;
}

json_t *task_script_arguments(pid_t pid)
{
	json_t *arguments = NULL;
	size_t len = 0, pos;
	char *text = task_text(pid, "cmdline", &len);
	const char *name;

	/* Behind its interpreter, and what that takes, comes Slurm's own copy of the script. */
	for (pos = 0; text && pos < len; pos += strlen(text + pos) + 1) {
		name = strrchr(text + pos, '/');
		if (arguments)
			json_array_append_new(arguments, json_text(text + pos));
		else if (name && strcmp(name, "/slurm_script") == 0)
			arguments = json_array();
	}
	free(text);
	return arguments;
}

static bool get_number(const char *environ, size_t len, const char *name, uint32_t *to)
{
	const char *text = environ_get(environ, len, name);
	unsigned long value;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	*to = (uint32_t)value;
	return !*end && !errno && value <= UINT32_MAX;
}

bool task_read(const struct step *step, pid_t pid, pid_t parent, struct job_task *task)
{
	char *environ;
	size_t len;
	bool good;

	if (parent <= 0 || (!is_slurms(step, parent) && !is_slot(parent)))
		return false;
	environ = task_text(pid, "environ", &len);
	if (!environ)
		return false;
	good = get_number(environ, len, "SLURM_PROCID", &task->rank) &&
	       get_number(environ, len, "SLURM_LOCALID", &task->localid);
	task->pid = pid;
	free(environ);
	return good;
}
