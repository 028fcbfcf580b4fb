/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One kind of thing that a process holds = one file here = one row of
 * state_table: what is saved, check, dump, restore.
 *
 * The README's table of what is saved and what is not is made from @saved and
 * @refused (`ckctl status --state-table`).
 */
#ifndef CKCTL_STATE_H
#define CKCTL_STATE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "../image/image.h"

struct proc;
struct dump_files;
struct places;
struct restore_temps;
struct dump_fs;
struct dump_relaunch;
struct dump_chunk;

/*
 * A checkpoint under way.  check reads whatever it needs while the processes
 * are frozen and keeps it here; dump makes records of it when they run again,
 * so that the job stands still for the reading only.
 */
struct job_streams;

struct dump {
	struct proc *procs;		/* proc.h; ascending by pid */
	size_t nr_procs;
	struct proc *omitted;		/* those of the job that are left out (omit.h) */
	size_t nr_omitted;
	int cgroup_fd;			/* of the job */
	const struct job_streams *streams; /* what it was launched with: [nr_streams] */
	size_t nr_streams;
	const char *groups;		/* the job's, as /proc/PID/status has them; NULL: look there */
	struct places *places;		/* where temporary files are; NULL: nowhere */
	struct image_writer *writer;	/* dump: where the records go */
	/* Rehearsal before the freeze: how many descriptors may be kept open for it. */
	size_t early_room;
	bool rehearsal;			/* the job runs: look, but leave everything alone */
	/* Every obstacle found: task, object, reason, remedy in one sentence. */
	char **obstacles;
	size_t nr_obstacles;
	/* What each kind read; arrays have a place for each process. */
	struct dump_files *files;	/* files.c */
	struct dump_fs *fs;		/* fs.c */
	char **limits;			/* rlimits.c: texts */
	struct dump_relaunch *relaunched; /* relaunch.c */
	struct dump_chunk *chunks;	/* dump_alloc() */
};

/* Record an obstacle: "pid 123 (name): socket 5 …".  Always returns CK_OK so
 * that all are found; the caller refuses when nr_obstacles is not 0. */
int obstacle(struct dump *d, pid_t pid, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int vobstacle(struct dump *d, pid_t pid, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/* The same for a sentence that is complete already. */
int obstacle_sentence(struct dump *d, const char *sentence);

/* Zeroed memory that lives as long as @d; NULL has been reported with fail(). */
void *dump_alloc(struct dump *d, size_t size);
char *dump_strdup(struct dump *d, const char *s, size_t len);
void dump_free(struct dump *d);

/* All rows of state_table, in order.  Obstacles are no failure of state_check():
 * look at nr_obstacles. */
int state_check(struct dump *d);
int state_dump(struct dump *d);

/* A restart under way. */
struct restore {
	const struct image *image;
	/*
	 * Descriptors that skeletons need are opened by the coordinator at or
	 * above this number, so that no number of the job is taken; skeletons
	 * inherit them and the module closes them all before the thread parks.
	 */
	int fd_base;
	int std_fds[3];			/* the new launch's 0, 1, 2, kept at or above fd_base */
	int *file_fds;			/* [image->nr_files], -1 when not open (files.c) */
	unsigned char *file_fate;	/* [image->nr_files] (files.c) */
	int *shm_fds;			/* [image->nr_shms] (shm.c) */
	struct restore_temps *temps;	/* tempfiles_restore.c; NULL without any */
	int force;			/* accept changed files */
	/* A slot's launch is one more of the same job: its output is the job's own. */
	bool same_output;
	/* A file that this launch has elsewhere, its batch script; NULL for none. */
	const char *moved_from, *moved_to;
	/*
	 * Root restarts an image that is not root's: what it asks for is data of
	 * its owner, who must gain nothing by it.
	 */
	bool foreign;
	/* Root restarts what will run as somebody else, whoever owns the image. */
	bool gives_away;
	gid_t *groups;			/* of the restorer: [nr_groups] */
	int nr_groups;
};

/* Move @fd to a number >= fd_base (closing the old one); -1 and errno. */
int restore_keep_fd(struct restore *r, int fd);

/* shm.c: the contents of @shm to the empty @fd, with its size. */
int shm_fill(const struct restore *r, const struct image_shm *shm, int fd);

struct state_ops {
	const char *name;
	const char *saved;
	const char *refused;
	/* Frozen: look at all processes, report what cannot be saved, read what
	 * dump needs.  As few system calls as possible: the job stands still. */
	int (*check)(struct dump *d);
	/* Checked, perhaps running again: write records for all processes. */
	int (*dump)(struct dump *d);
	/* In the coordinator, before any process exists: check that it can be
	 * done here, open or create what is shared between processes. */
	int (*prepare)(struct restore *r);
	/* In the coordinator, still before any process exists, signals blocked: what
	 * everybody can see of it.  undo takes that back when the restart fails,
	 * however far it came; without a word, for there has been one. */
	int (*make)(struct restore *r);
	void (*undo)(struct restore *r);
	/* In the skeleton of @p, single threaded, all signals blocked; p's pid,
	 * parent, session and group are right already.  Failures are reported
	 * with fail(); the skeleton then exits and the restart is undone. */
	int (*restore)(struct restore *r, const struct image_process *p);
	/* In the coordinator, when all threads are parked, right before they go:
	 * what cannot be taken back, and what the time runs from. */
	int (*commit)(struct restore *r);
};

/* In the order in which check, dump, prepare, make and restore run; credentials
 * come last in restore because they take rights away. NULL terminated. */
extern const struct state_ops *const state_table[];

#endif
