/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A slot at work: in the place where Slurm has put a task of a job that has an
 * image, it restores that task's processes as its own children, in its own cgroup,
 * with its own standard streams; hands signals on to them, and ends as the task
 * ends.  The plugin (tools/slurm/) has slurmstepd execute it instead of the program.
 *
 * A task that has nothing to continue from, or cannot, is what the slot then
 * becomes: its program, from the start.
 */
#ifndef CKCTL_SLOT_TASK_H
#define CKCTL_SLOT_TASK_H

struct slot_request {
	const char *image;	/* of a step, as srun was told; of a batch job, where its own would be */
	char **argv;		/* the task's program */
};

/* Ends as the task does; returns when not even its program can be executed. */
int slot_run(const struct slot_request *req);

#endif
