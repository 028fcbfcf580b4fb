/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /proc/PID of a process that is being checkpointed.
 *
 * What can be opened before the freeze is: a read of an open file is all that
 * is left to do while the job stands still.  A file that could not be opened
 * early (no descriptor left, a process born since) is opened when it is read.
 */
#ifndef CKCTL_PROC_H
#define CKCTL_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/ckpt_image.h>

/* fdinfo/N of a process, open. */
struct proc_fdinfo {
	int number;
	int fd;
};

struct proc {
	pid_t pid;
	pid_t tid;			/* of the thread whose files these are: as a rule the first */
	char comm[CKPT_COMM_LEN];	/* from @status; "?" before it was read */
	int dir_fd;			/* /proc/PID; the rest relative to it */
	int pid_fd;			/* of that thread */
	int mem_fd;			/* the proof for the module */
	int status_fd;
	int limits_fd;
	int fd_fd;			/* the directory fd/ */
	struct proc_fdinfo *fdinfos;	/* opened early, ascending by number */
	size_t nr_fdinfos;
	bool environ_seen;		/* places.c: and when it was started */
	char *status;			/* text of /proc/PID/status, read while frozen */
	size_t first_fd, nr_fds;	/* files.c: its descriptors in dump_files */
	bool relaunch;			/* omit.c: not saved, but started anew */
};

struct dump;

/* Open /proc/PID; what else can be opened early, too.  0 or a positive errno. */
int proc_open(struct proc *p, pid_t pid);
/* Its first thread has ended before the others: read another one's files instead. */
int proc_follow(struct proc *p);
void proc_close(struct proc *p);
/* Hand the open files of @from over to @to, which has nothing yet. */
void proc_move(struct proc *to, struct proc *from);

/* The whole text of a small file into @buf, NUL terminated.  @fd is it when it
 * was opened early, else -1.  Its length, or -1 and errno; EFBIG when only the
 * beginning fits, which is in @buf. */
ssize_t proc_text(const struct proc *p, int fd, const char *name, char *buf, size_t size);

/* A small file of process or thread @pid, which need not be open: all that one read
 * gives, NUL terminated.  Its length, or -1 and errno, and then @buf is empty. */
ssize_t proc_read(pid_t pid, const char *name, char *buf, size_t size);

/* Field @nr of the text of /proc/PID/stat, counted from 1, one of those after the name. */
long long proc_stat_field(const char *text, int nr);
/* The same of process @pid; 0 when there is none. */
long long proc_stat(pid_t pid, int nr);

/* All numeric names in a directory of /proc/PID, ascending, to *list. @fd as
 * above.  Returns enum ck_exit. */
int proc_numbers(struct dump *d, const struct proc *p, int fd, const char *name,
		 int **list, size_t *nr);

/* Open fdinfo/N for the ascending @numbers as far as @room for descriptors
 * allows; returns what is left of it.  Errors come up again when it is read. */
size_t proc_keep_fdinfo(struct proc *p, const int *numbers, size_t nr, size_t room);
/* The text of fdinfo/N, its beginning at least; 0, or -1 and errno. */
int proc_fdinfo(const struct proc *p, int number, char *buf, size_t size);

/* Where a symbolic link of /proc/PID points; NUL terminated, -1 and errno. */
ssize_t proc_link(const struct proc *p, const char *name, char *buf, size_t size);

/* How much of such a path is a name: all of it, or all but the kernel's word that what had
 * that name was removed, or replaced. */
size_t proc_name_len(const char *path);

/* "Key:" in a status text: what follows it and blanks; NULL when absent. */
const char *proc_status(const char *status, const char *key);

/* First thing while frozen: status of every process that has none yet. */
int proc_read_all(struct dump *d);

#endif
