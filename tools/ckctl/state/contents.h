/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Files whose contents go into the image: taken hold of while the job stands
 * still, written when it runs again.
 */
#ifndef CKCTL_CONTENTS_H
#define CKCTL_CONTENTS_H

#include "state.h"

struct dump_file;
struct statx;

/* In all of them together, and in one from which on a clone is tried first. */
#define CONTENTS_MAX_COPY	(256ULL << 20)
#define CONTENTS_LARGE		(16ULL << 20)

struct dump_content {
	struct dump_content *next;
	const struct dump_file *file;	/* a description of it, if there is one */
	struct ckpt_rec_shm rec;	/* in the image, with @path; the id comes last */
	const char *path;
	struct ckpt_rec_tempfile *temp;	/* tempfiles.c: of one that has its name; NULL for others */
	bool written;			/* the same: somebody in the job has it open for writing */
	int err;			/* the same: why its contents stay where they are; 0 */
	bool ours;			/* ckctl writes it: not the module */
	int fd;				/* to read it by; the copy, once there is one */
};

/* Of dump_files. */
struct dump_contents {
	struct dump_content *first, **end;
	size_t nr;
	uint64_t copied;		/* bytes, of CONTENTS_MAX_COPY */
	uint64_t closed;		/* tempfiles.c: of those that nobody has open, likewise */
};

/* One more, which is not open yet; NULL has been reported. */
struct dump_content *content_add(struct dump *d, const char *path);
/* It is a temporary file, of which @st tells the owner and the time of birth. */
int content_has_name(struct dump *d, struct dump_content *c, const struct statx *st);
/* It is what @f is open on. */
void content_of_file(struct dump_content *c, const struct dump_file *f);
/* A description of our own of what @f is open on: the job's offset is not ours to
 * move.  -1 and errno. */
int content_open(const struct dump_file *f);
/* Its bytes without holes. */
uint64_t content_bytes(const struct dump_content *c);

enum content_taken {
	CONTENT_TAKEN,
	CONTENT_TOO_LARGE,		/* to be copied with all the others */
	CONTENT_FAILED,			/* errno tells why */
};

/* All frozen: a copy of it or, in the directory of @w, a clone; nobody can write
 * what the job @held until all is written has. */
enum content_taken content_take(struct dump *d, struct dump_content *c, struct image_writer *w,
				bool held);

/* Before the freeze: what would be cloned gets to the disk. */
void contents_rehearse(struct dump *d, struct image_writer *w);
/* After the module's pages: those of all that were taken; *@bytes grows. */
int contents_write(struct dump *d, struct image_writer *w, uint64_t *bytes);
/* Their records, but for the pages. */
int contents_dump(struct dump *d);
void contents_free(struct dump *d);

#endif
