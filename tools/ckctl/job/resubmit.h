/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A batch job of which only its image is left is submitted once more: the script,
 * the options and the environment that are recorded there.
 */
#ifndef CKCTL_RESUBMIT_H
#define CKCTL_RESUBMIT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct deadline;
struct job_image;

struct resubmit {
	const struct job_image *image;
	const char *from;		/* what it continues from: "…/5.ckpt" or "…/5.ckpt@2" */
	const char *image_dir;		/* of its checkpoints; NULL for not known */
	uint64_t interval_s;		/* 0 for none */
	const char *nodes;		/* these and no others; NULL for any */
	unsigned int nr_nodes;
};

/*
 * Options of sbatch for what "scontrol show job" told of it: an array of strings.
 * What it shows of no job, such as --signal, is known only where the script says it.
 */
json_t *resubmit_options(const json_t *job, const struct resubmit *r);
/* NAME=VALUE for sbatch, NULL at the end. */
char **resubmit_environment(const struct resubmit *r);
void resubmit_environment_free(char **env);
/* The number of the new job.  Returns enum ck_exit. */
int resubmit(const struct deadline *d, const struct resubmit *r, char *id, size_t size);

#endif
