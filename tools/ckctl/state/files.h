/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The open files of a job being saved: fds.c finds them, the rows after it take
 * those of their kind.
 */
#ifndef CKCTL_FILES_H
#define CKCTL_FILES_H

#include <stdbool.h>
#include <sys/stat.h>
#include "contents.h"
#include "state.h"

/* An inode; what its roles are is the same for all descriptions of it. */
struct dump_object {
	uint64_t dev, ino;
	struct dump_content *content;	/* what of it is in the image */
	unsigned int roles;		/* bit n: is the standard stream n */
};

/* Who will have it again; the greater wins. */
enum dump_use {
	DUMP_UNUSED,		/* nobody: only what is started anew has it, close-on-exec */
	DUMP_WANTED,		/* what is started anew would inherit it: saved if it can be */
	DUMP_NEEDED,		/* what is saved has it, or it is anybody's standard stream */
};

/* An open file description. */
struct dump_file {
	struct ckpt_rec_file rec;	/* kind 0: refused, or not looked at by its row yet */
	const char *path;
	const char *info;		/* of an anonymous inode: all of its fdinfo */
	uint32_t nlink;
	struct proc *proc;		/* one of those who have it, */
	int fd;				/* at this number */
	enum dump_use use;
	bool locks_put;
	bool is_pipe;
	bool refused;			/* its obstacle has been reported, or it is dropped */
	struct dump_object *object;
	__u64 stdio_ids[3];		/* CKPT_FILE_STDIO: a record for each role in use */
	struct dump_pipe *pipe;		/* CKPT_FILE_PIPE */
	void *state;			/* its kind's own record, see dump_file_states() */
	size_t state_len;
	const struct dump_fd **watched;	/* CKPT_FILE_EPOLL: one for each watch */
};

struct dump_fd {
	struct proc *proc;
	int fd;
	bool cloexec;
	struct ckpt_rec_file raw;	/* what stat and fdinfo say: the key of the grouping */
	uint32_t nlink;
	const char *info;
	const char *locks;		/* all of its fdinfo, if there are any */
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
	struct dump_contents contents;
};

/* A copy of one descriptor of @f in ckctl, close-on-exec; -1 and errno. */
int dump_file_get(const struct dump_file *f);
/* Something stands against saving @f, as obstacle() says it, unless it is not
 * needed: then it is dropped. */
int dump_file_obstacle(struct dump *d, struct dump_file *f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int dump_file_refuse(struct dump *d, struct dump_file *f);
/* Will there be a record of it? */
bool dump_file_saved(const struct dump_file *f);

/* What follows "Key:" in an fdinfo, by strtoull() with @base; false without one. */
bool dump_info_number(const char *info, const char *key, int base, uint64_t *value);
/* Is this for the row of anonymous inodes of that name, "[eventfd]"? */
bool dump_file_is(const struct dump_file *f, const char *anonymous);
/* @f is of @kind; zeroed memory for its record, which begins with the file's id:
 * dump_file_states() fills that in and puts all records of the kind.  NULL has
 * been reported. */
void *dump_file_state(struct dump *d, struct dump_file *f, enum ckpt_file_kind kind, size_t len);
int dump_file_states(struct dump *d, enum ckpt_file_kind kind, uint32_t type);

/* The descriptor @number of @p; NULL when it has none. */
const struct dump_fd *dump_fd_find(const struct dump *d, const struct proc *p, int number);
/* In dump: the id of the record of what @f is a descriptor of. */
uint64_t dump_fd_id(const struct dump_fd *f);

/* files.c: @f is open on what has a path. */
bool dump_file_has_path(const struct dump_file *f);
int dump_file_named(struct dump *d, struct dump_file *f);

/* stdio.c: @f leads out of the job: plugged anew by role, or refused when it has none. */
int dump_file_external(struct dump *d, struct dump_file *f);
/* The standard streams, as bits, that a descriptor shows its inode to be. */
unsigned int stdio_roles(const struct dump *d, const struct dump_fd *f);
unsigned int stdio_role(const struct dump_fd *f);
int stdio_prepare(struct restore *r);

/* sockets.c: @f is a socket, and may lead out of the job. */
int dump_file_socket(struct dump *d, struct dump_file *f);
/* Are sockets all that stands against it?  Have all of those been closed since? */
bool sockets_refused(const struct dump *d);
bool sockets_gone(const struct dump *d);

/* The first process of the image that has the file, for its rights. */
const struct image_process *restore_file_owner(const struct restore *r, size_t file);
/* Has anybody in the image the file mapped such that writing to memory writes to it? */
bool restore_maps_writable(const struct image *img, uint64_t dev, uint64_t ino);
/* What was at @path, the inode @ino of @size bytes, is now as @st says, which is not what
 * it was: is it taken all the same?  By order, or because the job, which could write it if
 * it is @writable, may have done so; then that has been told. */
bool restore_takes_changed(const struct restore *r, const char *path, uint64_t ino, uint64_t size,
			   bool writable, const struct stat *st);
/* Is it a cache of users and groups, which its daemon rewrites in place at any time, and
 * which the C library of every program may have open and mapped? */
bool restore_is_name_cache(const char *path);
/* Has anybody what @fd is open on open for writing?  A read lease is not given then;
 * who may not have one at all does not learn it. */
bool restore_is_written(int fd);
/* The flags with which to open it again by its path; then, when its descriptor is in
 * r->file_fds, those that fcntl(2) sets, and the offset. */
int restore_open_flags(const struct ckpt_rec_file *rec);
int restore_settle_file(const struct restore *r, size_t file);
/* What could not be opened while it was not made again. */
int restore_open_late(struct restore *r);
/* @fd, new, is file @file of the image: kept, with the flags that fcntl(2) sets. */
int restore_file_is(struct restore *r, size_t file, int fd);

/* pipes.c: any end of pipe @pipe of the image, SIZE_MAX for none; its capacity
 * and what was in it, to the non-blocking @fd. */
size_t restore_pipe_end(const struct restore *r, size_t pipe, enum ckpt_file_kind kind);
int restore_fill_pipe(const struct image_pipe *pipe, int fd);

#endif
