/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A job: a cgroup that was given a name by `ckctl run` or `ckctl restart`.
 * What is known of it is kept in a small file of its owner as long as it runs.
 * All int functions return enum ck_exit and have reported failures (out.h).
 */
#ifndef CKCTL_JOB_H
#define CKCTL_JOB_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_ID_MAX	200
#define JOB_KEEP_MAX	1000
/* Where these files are when there is no better place: with the user's number. */
#define JOB_TMP_DIR	"/tmp/ckpt-"

/* What a standard stream of a launch was; ino 0 for a closed one. */
struct job_stream {
	uint64_t dev, ino;		/* as stat(2) */
};

/* Those of one launch, by number. */
struct job_streams {
	struct job_stream at[3];
};

struct job {
	char id[JOB_ID_MAX + 1];
	char cgroup[PATH_MAX];		/* directory */
	char image_dir[PATH_MAX];	/* where its images go */
	unsigned int keep;		/* complete checkpoints kept */
	pid_t owner;			/* the ckctl that waits for it */
	uint64_t owner_start;		/* and when that was started: pids come again */
	struct job_streams streams;	/* the owner's, which the job was launched with */
};

/* A name: what can be a file and a cgroup of that name. */
int job_check_id(const char *id);
/* The N of --keep=N. */
int job_parse_keep(unsigned int *keep, const char *text);
/* The calling process is the owner of @job. */
void job_own(struct job *job);
/*
 * Write down @job with the calling process as its owner.  CK_BUSY while another
 * job of that name has processes or an owner.
 */
int job_register(struct job *job);
void job_unregister(const struct job *job);
/* CK_NOTFOUND when no job of that name runs. */
int job_find(const char *id, struct job *job);

#endif
