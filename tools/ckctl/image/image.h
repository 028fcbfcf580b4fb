/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Images on disk: <dir>/<id>.ckpt as <linux/ckpt_image.h> describes it.
 * All int functions return enum ck_exit and have reported failures (out.h).
 */
#ifndef CKCTL_IMAGE_H
#define CKCTL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/ckpt.h>
#include <linux/ckpt_image.h>

/* What a directory <id>.ckpt can be: the image of a cgroup's processes, which is
 * what this file is about, or that of a whole job (jobimage.h). */
enum image_kind {
	IMAGE_PLAIN,
	IMAGE_JOB,
};

/* What the manifest says besides generations and checksums. */
struct image_meta {
	char id[256];			/* name of the job */
	char cgroup[4096];		/* where it ran */
	char host[256];
	char kernel[256];		/* uname release */
	char arch[32];			/* uname machine */
	char vdso[40];			/* XXH64 in hex of the vdso's pages: ties the image to a kernel build */
	uint64_t xfeatures;		/* of the CPU and kernel that saved it */
	uint32_t xstate_size;
	uint32_t uid;			/* of the owner */
	int64_t time;			/* of the checkpoint, seconds since the epoch */
	uint64_t standstill_ns;
	uint64_t bytes;			/* page bytes written */
	uint64_t nr_tasks;		/* processes */
	uint64_t nr_threads;
	char **argv;			/* of the first process, NULL terminated; may be NULL */
};

/* ---- writing ---- */

/*
 * A checkpoint being made: a new generation in its own directory, invisible
 * to readers until image_commit().  Dropping it (image_abort(), or death at any
 * moment) leaves the former image as it was; leftovers of a dead writer are
 * removed by the next image_begin().  An flock on the image directory keeps a
 * second writer out (CK_BUSY).  *w is NULL on failure.
 */
struct image_writer;
int image_begin(struct image_writer **w, const char *dir, const char *id);
int image_page_fd(struct image_writer *w);	/* pages; O_DIRECT where the file system can */
int image_index_fd(struct image_writer *w);	/* index; ordinary */
uint32_t image_writer_generation(const struct image_writer *w);	/* the number of the new one */
uid_t image_writer_owner(const struct image_writer *w);	/* who can read it, besides root */
/* Append one record: payload = @head then @tail (may be NULL/0). */
int image_put(struct image_writer *w, uint32_t type, const void *head, size_t head_len,
	      const void *tail, size_t tail_len);
/* Append whole records as the module sent them. */
int image_put_raw(struct image_writer *w, const void *records, size_t len);
/* A nameless file beside them, for what is to be read later; -1 and errno. */
int image_scratch(struct image_writer *w);
/*
 * Pages of the object @id, after all that the module wrote: begin; ascending
 * ranges of whole pages out of a file; end, with what came of these, in any case.
 * *@bytes grows by what was written.
 */
struct image_content;
int image_content_begin(struct image_content **c, struct image_writer *w, uint64_t id);
int image_content_add(struct image_content *c, int fd, uint64_t from, uint64_t len);
int image_content_end(struct image_content *c, int rc, uint64_t *bytes);
/* All of it on the disk: the slow part of a commit, after which one may still turn back. */
int image_sync(struct image_writer *w);
/* fsync, checksum, write the manifest, rename, fsync the directory, then
 * remove generations beyond the newest @keep.  Frees @w in any case. */
int image_commit(struct image_writer *w, const struct image_meta *meta, unsigned int keep);
void image_abort(struct image_writer *w);	/* NULL is fine */

/* ---- reading ---- */

/* Strings are NUL terminated copies; records point into the mapped file. */
struct image_vma {
	const struct ckpt_rec_vma *rec;
	char *path;
};

struct image_thread {
	const struct ckpt_rec_thread *rec;
	const void *regs;
	size_t regs_len;
	const void *xstate;
	size_t xstate_len;
	const void *sigqueue;		/* siginfo_t[128 bytes] */
	size_t nr_sigqueue;
	const struct ckpt_rec_sched *sched;
	const uint64_t *cpus;		/* sched->cpus_len bytes */
};

struct image_fd {
	const struct ckpt_rec_fd *rec;
	size_t file;			/* index into image.files */
};

/* How a process is started anew that is not saved; strings point into the records. */
struct image_relaunch {
	const struct ckpt_rec_relaunch *rec;
	char *mark;			/* "" without one */
	char **argv, **envp;		/* NULL terminated */
	struct ckpt_rec_process process; /* what image_process.rec of it is: ids and name */
};

struct image_process {
	const struct ckpt_rec_process *rec;
	/* Not NULL: neither memory nor threads, no children, but an executable, and
	 * from cred on all that others have. */
	struct image_relaunch *relaunch;
	const struct ckpt_rec_mm *mm;
	const void *auxv;
	char *exe;
	struct image_vma *vmas;
	size_t nr_vmas;
	const struct ckpt_sigaction *sigactions;	/* [64] */
	const void *sigqueue;
	size_t nr_sigqueue;
	const struct ckpt_rec_itimer *itimers;		/* [3] */
	const struct ckpt_rec_posix_timer **timers;
	size_t nr_timers;
	struct image_thread *threads;			/* leader first */
	size_t nr_threads;
	const struct ckpt_rec_pages **pages;		/* in order */
	size_t nr_pages;
	const struct ckpt_rec_cred *cred;
	const uint32_t *groups;
	const struct ckpt_rec_fs *fs;
	char *cwd, *root;				/* root: NULL for the tool's own */
	const struct ckpt_rec_rlimits *rlimits;
	struct image_fd *fds;				/* ascending */
	size_t nr_fds;
};

struct image_shm {
	const struct ckpt_rec_shm *rec;
	char *name;
	const struct ckpt_rec_tempfile *temp;	/* CKPT_SHM_NAMED */
	const struct ckpt_rec_pages **pages;
	size_t nr_pages;
};

struct image_file {
	const struct ckpt_rec_file *rec;
	char *path;
	size_t pipe;			/* index into image.pipes; CKPT_FILE_PIPE */
	size_t shm;			/* index into image.shms; CKPT_FILE_OBJECT, image_is_temporary() */
	const void *state;		/* the record of an eventfd and of what comes after it */
	const struct ckpt_epoll_watch *watches;	/* CKPT_FILE_EPOLL */
	size_t nr_watches;
	size_t *watched;		/* their files: indices into image.files */
};

/* A file whose contents are in the image although it has a path. */
static inline bool image_is_temporary(const struct image_file *file)
{
	return file->rec->kind == CKPT_FILE_REG && file->rec->object;
}

struct image_pipe {
	const struct ckpt_rec_pipe *rec;
	const void *data;
};

struct image_lock {
	const struct ckpt_rec_lock *rec;
	size_t file;			/* index into image.files */
};

struct image_generation {
	uint32_t number;
	char *path;			/* its directory */
	int page_fd, index_fd;		/* read only; -1 for one that this image does not use */
	int direct_fd;			/* the page file around the page cache; -1 where it cannot be */
	uint64_t page_bytes, index_bytes, record_bytes;
	int64_t time;			/* when it was made */
};

struct image {
	char *path;			/* …/<id>.ckpt */
	uid_t owner;			/* of that directory: who could have written all this */
	struct image_meta meta;
	uint64_t manifest;		/* tells its manifest from any other */
	struct image_generation *generations;	/* the one that was opened last */
	size_t nr_generations;
	struct image_process *processes;	/* in the order of the records */
	size_t nr_processes;
	size_t nr_relaunched;		/* of these, all behind the others */
	const struct ckpt_rec_zombie **zombies;
	size_t nr_zombies;
	const struct ckpt_rec_cpus *cpus;	/* NULL when not known */
	const void *vdso;			/* code of the kernel, NULL when not known */
	size_t vdso_len;
	struct image_shm *shms;
	size_t nr_shms;
	struct image_file *files;
	size_t nr_files;
	struct image_pipe *pipes;
	size_t nr_pipes;
	struct image_lock *locks;
	size_t nr_locks;
	const void *records;		/* a copy: what all of the above points into */
	size_t record_bytes;
};

/* Open the last complete checkpoint at @path (…/<id>.ckpt), or generation <n>
 * of it when @path is …/<id>.ckpt@<n> (--keep), and check manifest,
 * sizes, checksums of records and index, and every cross reference: after
 * success all pointers above that a process needs are non-NULL, every id
 * resolves, every run lies inside its page file.  Page data is not read. */
int image_open(struct image **img, const char *path);
/* The same for the image @name in the directory @at; @path is its path, for messages. */
int image_open_at(struct image **img, int at, const char *name, const char *path);
void image_close(struct image *img);	/* NULL is fine */
/*
 * Keep of @img only what belongs to the task whose own process is @roots[@at], of
 * those of all @nr tasks that it has: that process, which then comes first, and its
 * descendants.  The first task gets what descends from none of them, too.
 */
int image_select(struct image *img, const pid_t *roots, size_t nr, size_t at);
/* What the manifest alone says about the last complete checkpoint, for lists, of
 * an image of either kind; *@bytes in all files, *@writing: another one is under
 * way.  @meta->argv is not filled. */
int image_peek(const char *path, enum image_kind *kind, struct image_meta *meta, uint64_t *bytes,
	       bool *writing);
/* Read all page data and compare every run's XXH64, with @threads threads (0: as
 * many as this machine is good for). */
int image_verify_pages(const struct image *img, unsigned int threads);
/* The page file for who reads all of it once, in whole pages into whole pages. */
static inline int image_bulk_fd(const struct image_generation *gen)
{
	return gen->direct_fd >= 0 ? gen->direct_fd : gen->page_fd;
}
/* Find a generation by number; NULL if absent. */
const struct image_generation *image_generation(const struct image *img, uint32_t number);
/* The newest runs of one ckpt_rec_pages, read in batches: calls @fn until it
 * returns non-zero, which is returned. */
int image_for_each_run(const struct image *img, const struct ckpt_rec_pages *pages,
		       int (*fn)(const struct ckpt_run *run, const struct image_generation *gen,
				 void *arg), void *arg);

/* <dir>/<id>.ckpt for a name, checked: no '/', not empty, no leading '.'. */
int image_path(char *buf, size_t size, const char *dir, const char *id);

#endif
