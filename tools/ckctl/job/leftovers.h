/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a job of Slurm leaves on a node, or in its images' directory, when ckctl or
 * the node was killed in the middle of something.  Best effort, in silence: what
 * cannot be removed does no harm, and the next checkpoint removes it.
 */
#ifndef CKCTL_LEFTOVERS_H
#define CKCTL_LEFTOVERS_H

/* As root: the job's cgroups below slurmstepd's of @node, where nobody is in them. */
void leftovers_cgroups(const char *node, const char *job);

/*
 * As the job's user: checkpoints of the job and of its steps that were never
 * complete, where nobody is at work on them, in the directories that are known and
 * in @dir, which may be NULL; halves of the files about them; sockets of srun_cr.
 */
void leftovers_files(const char *cluster, const char *job, const char *dir);

#endif
