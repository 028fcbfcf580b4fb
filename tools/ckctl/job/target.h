/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a command is about: TARGET [KEYWORD=VALUE]…, as scontrol users type it,
 * or --cgroup=PATH.  Keywords are case-insensitive: ImageDir, MaxWait.
 */
#ifndef CKCTL_TARGET_H
#define CKCTL_TARGET_H

#include <stdint.h>
#include "job.h"

struct target {
	const char *name;		/* TARGET */
	const char *cgroup;		/* --cgroup=PATH instead of it */
	const char *id;			/* --name=ID for it */
	const char *image_dir;		/* ImageDir=, --image-dir= */
	uint64_t max_wait_ms;		/* MaxWait=, --max-wait=; 0 for none */
};

/* One operand of the command line: the TARGET or a keyword. */
int target_operand(struct target *t, const char *arg);
int target_max_wait(struct target *t, const char *seconds);

/* Find it: a registered job, or one made up for a cgroup. */
int target_find(const struct target *t, struct job *job);

/* Is TARGET a job of Slurm, or a step: a number, "5_3", "5.0", and no registered
 * job?  Then these are its two halves, @step "" for a job. */
bool target_slurm(const struct target *t, char *job, size_t job_size, char *step, size_t step_size);

/* Where the images of a job go: to @given or, where that is NULL, to the site's
 * default_dir, which is made if need be, or here. */
int target_choose_dir(char *path, size_t size, const char *given, const char *job);
/* An absolute path of a directory in which images can be made. */
int target_image_dir(char *path, size_t size, const char *dir);

#endif
