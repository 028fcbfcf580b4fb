/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How those tasks have ended whose step goes on.  Slurm tells that to the step's srun only,
 * and an image knows what is alive: so the plugin writes it down on the task's node, as root,
 * for as long as slurmstepd is there.
 */
#ifndef CKCTL_EXITS_H
#define CKCTL_EXITS_H

#include <jansson.h>

/* In it, <job>.<step>.<number of the node>: a line "<rank> <wait status>" for each task. */
#define EXITS_DIR "/run/ckpt-exits"

/* Of steps of @job on this node: an array of { step, rank, status }, empty without any; NULL
 * when out of memory. */
json_t *exits_read(const char *job);
/* The job is over: what a slurmstepd left that was killed.  As root. */
void exits_remove(const char *job);

#endif
