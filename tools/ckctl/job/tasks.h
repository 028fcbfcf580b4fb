/* SPDX-License-Identifier: GPL-2.0 */
/* Which processes of a step are the ones that Slurm started as its tasks. */
#ifndef CKCTL_TASKS_H
#define CKCTL_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "image/jobimage.h"
#include "job.h"
#include "steps.h"

/*
 * A task's root process is a child of Slurm's process for the step, or of a slot
 * (`ckctl job-task`) that stands in its place after a restart, and has its rank
 * in its environment.
 */
bool task_read(const struct step *step, pid_t pid, pid_t parent, struct job_task *task);

/* All processes of a step: enum ck_exit; free(*pids). */
int tasks_pids(const struct step *step, pid_t **pids, size_t *nr);
/* 0 for a process that is gone. */
pid_t task_parent(pid_t pid);

/* Do the job's processes here have mounts of their own (job_is_apart())? */
bool tasks_are_apart(const struct steps_place *place);

/* What its standard streams are now. */
void task_streams(pid_t pid, struct job_streams *streams);

/* The "environ" or "cmdline" of a process, malloc()ed, with a NUL after it; NULL and errno. */
char *task_text(pid_t pid, const char *name, size_t *len);

/* The arguments of a batch script, of which the process still shows that it is one; else NULL. */
json_t *task_script_arguments(pid_t pid);

#endif
