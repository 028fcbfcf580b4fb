/* SPDX-License-Identifier: GPL-2.0 */
/* The open files of a job being saved, as files.c finds them and pipes.c completes them. */
#ifndef CKCTL_FILES_H
#define CKCTL_FILES_H

#include <stdbool.h>
#include "state.h"

/* An inode; what its roles are is the same for all descriptions of it. */
struct dump_object {
	uint64_t dev, ino;
	unsigned int roles;		/* bit n: is the standard stream n */
};

/* An open file description. */
struct dump_file {
	struct ckpt_rec_file rec;	/* kind 0: refused, or a pipe not looked at yet */
	const char *path;
	const char *type;		/* for people: "a socket" */
	struct proc *proc;		/* one of those who have it, */
	int fd;				/* at this number */
	bool locked;
	bool is_pipe;
	bool refused;
	struct dump_object *object;
	__u64 stdio_ids[3];		/* CKPT_FILE_STDIO: a record for each role in use */
	struct dump_pipe *pipe;		/* CKPT_FILE_PIPE */
};

struct dump_fd {
	struct proc *proc;
	int fd;
	bool cloexec, locked;
	struct ckpt_rec_file raw;	/* what stat and fdinfo say: the key of the grouping */
	size_t same;			/* 1 + the place in fds of one known to be the same file */
	struct dump_file *file;
};

struct dump_files {
	struct dump_fd *fds;		/* by process, then number */
	size_t nr_fds, size;
	struct dump_file **files;
	size_t nr_files;
	struct dump_pipe *pipes;	/* pipes.c */
	size_t nr_pipes;
};

/* A copy of one descriptor of @f in ckctl, close-on-exec; -1 and errno. */
int dump_file_get(const struct dump_file *f);
int dump_file_refuse(struct dump *d, const struct dump_file *f);

/* stdio.c: @f leads out of the job, or is a socket and may do so: plugged anew
 * by role, or refused when it has none. */
int dump_file_external(struct dump *d, struct dump_file *f);
int dump_file_socket(struct dump *d, struct dump_file *f);
/* The standard streams, as bits, that a descriptor shows its inode to be. */
unsigned int stdio_roles(const struct dump *d, const struct dump_fd *f);
unsigned int stdio_role(const struct dump_fd *f);
int stdio_open(struct restore *r, size_t file);

/* The first process of the image that has the file, for its rights. */
const struct image_process *restore_file_owner(const struct restore *r, size_t file);

#endif
