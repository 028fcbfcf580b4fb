// SPDX-License-Identifier: GPL-2.0
#include "omit.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "job/ask.h"
#include "job/mark.h"
#include "job/slot.h"
#include "out.h"
#include "proc.h"

/* The clients of job steps, by the names of their programs. */
static const char *const clients[] = { "srun", "srun_cr" };

#define NR_CLIENTS	(sizeof(clients) / sizeof(clients[0]))

enum fate {
	UNKNOWN,
	SAVED,
	SLOT,
	CLIENT,
	BELOW,			/* a descendant of a client */
};

static bool is_step_client(const char *exe)
{
	const char *slash = strrchr(exe, '/'), *name = slash ? slash + 1 : exe;
	/* Replaced by a newer one, say. */
	size_t len = proc_name_len(name), i;

	for (i = 0; i < NR_CLIENTS; i++)
		if (strlen(clients[i]) == len && memcmp(clients[i], name, len) == 0)
			return true;
	return false;
}

static enum fate look(const struct proc *p)
{
	char exe[PATH_MAX];

	/* What cannot be looked at is for others to complain about. */
	if (proc_link(p, "exe", exe, sizeof(exe)) < 0)
		return UNKNOWN;
	if (is_step_client(exe) || mark_is(p->dir_fd, exe, ASK_MARK))
		return CLIENT;
	return slot_is(p->dir_fd, exe) ? SLOT : UNKNOWN;
}

bool omit_is_client(const struct proc *p)
{
	return look(p) == CLIENT;
}

static pid_t parent_of(const struct proc *p)
{
	const char *text = proc_status(p->status, "PPid");

	return text ? atoi(text) : 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct proc *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* The index of the process @pid, d->nr_procs for none. */
static size_t find(const struct dump *d, pid_t pid)
{
	const struct proc key = { .pid = pid };
	const struct proc *p = bsearch(&key, d->procs, d->nr_procs, sizeof(key), by_pid);

	return p ? (size_t)(p - d->procs) : d->nr_procs;
}

/* @at leads up to @top, through what is not known yet: all of that is @fate. */
static void settle(const struct dump *d, unsigned char *fates, size_t at, size_t top, enum fate fate)
{
	size_t up;

	for (; at != top; at = up) {
		up = find(d, parent_of(&d->procs[at]));
		if (fate == BELOW || fates[at] == UNKNOWN)
			fates[at] = (unsigned char)fate;
	}
}

/* Is there a client among the ancestors of @i? */
static void look_up(const struct dump *d, unsigned char *fates, size_t i)
{
	size_t at = i, steps;

	/* Processes that are killed meanwhile may seem to go round in a circle. */
	for (steps = 0; at < d->nr_procs && steps <= d->nr_procs; steps++) {
		if (at != i && (fates[at] == CLIENT || fates[at] == BELOW)) {
			settle(d, fates, i, at, BELOW);
			return;
		}
		if (fates[at] == SAVED)
			break;
		at = find(d, parent_of(&d->procs[at]));
	}
	if (steps <= d->nr_procs)
		settle(d, fates, i, at, SAVED);
}

/* The first process stands for the job: ckctl and the batch system wait for it. */
static int check_first(struct dump *d)
{
	size_t i = 0;

	while (i < d->nr_procs && find(d, parent_of(&d->procs[i])) < d->nr_procs)
		i++;
	if (i == d->nr_procs || !d->procs[i].relaunch)
		return CK_OK;
	return obstacle(d, d->procs[i].pid, "it is the first process of the job, and would have to be "
			"started anew at a restart: start it from a script, which waits for it");
}

static int part(struct dump *d, const unsigned char *fates)
{
	size_t i, n = 0;

	d->omitted = calloc(d->nr_procs, sizeof(*d->omitted));
	if (!d->omitted)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < d->nr_procs; i++) {
		d->procs[i].relaunch = fates[i] == CLIENT;
		if (fates[i] == SLOT || fates[i] == BELOW)
			d->omitted[d->nr_omitted++] = d->procs[i];
		else
			d->procs[n++] = d->procs[i];
	}
	d->nr_procs = n;
	return CK_OK;
}

/* Without the processes that it is about to make, they would be lost. */
static int check_slot(struct dump *d, const struct proc *p)
{
	return slot_is_ready(p->dir_fd) ? CK_OK :
	       obstacle(d, p->pid, "it is still restarting a task from its image; try again in a moment");
}

int omit_find(struct dump *d)
{
	unsigned char *fates = dump_alloc(d, d->nr_procs);
	bool slots = false, anew = false;
	size_t i;
	int rc = fates ? CK_OK : CK_FAILED;

	for (i = 0; i < d->nr_procs && !rc; i++) {
		fates[i] = (unsigned char)look(&d->procs[i]);
		slots |= fates[i] == SLOT;
		anew |= fates[i] == CLIENT;
		if (fates[i] == SLOT)
			rc = check_slot(d, &d->procs[i]);
	}
	/* Most jobs have neither, and stand still for no more than that. */
	if (rc || (!slots && !anew))
		return rc;
	if (anew)
		rc = proc_read_all(d);
	for (i = 0; i < d->nr_procs && anew && !rc; i++)
		look_up(d, fates, i);
	if (!rc)
		rc = part(d, fates);
	return rc || !anew ? rc : check_first(d);
}

void omit_undo(struct dump *d)
{
	/* procs has room for all: they come from there. */
	if (d->nr_omitted)
		memcpy(d->procs + d->nr_procs, d->omitted, d->nr_omitted * sizeof(*d->procs));
	d->nr_procs += d->nr_omitted;
	d->nr_omitted = 0;
	free(d->omitted);
	d->omitted = NULL;
	qsort(d->procs, d->nr_procs, sizeof(*d->procs), by_pid);
}
