/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a task is replaced where only the first word of its command line can be
 * (Slurm before 23.11): by a link to ckctl of this name, below the prefix, and
 * with two variables in its environment.  Known to the plugin and to ckctl.
 */
#ifndef CKPT_SLURM_TASK_NAME_H
#define CKPT_SLURM_TASK_NAME_H

#define TASK_NAME		"ckpt-job-task"
#define TASK_PROGRAM		"libexec/" TASK_NAME
#define TASK_ENV_COMMAND	"CKPT_TASK_COMMAND"	/* the first word that was */
#define TASK_ENV_IMAGE		"CKPT_TASK_IMAGE"

/* In jobs that ckctl restart has submitted: the image of the former one. */
#define TASK_ENV_SUBMITTED	"CKPT_RESTART_IMAGE"

#endif
