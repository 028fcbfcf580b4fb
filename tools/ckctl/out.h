/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a person or a script sees: error sentences, exit codes, progress, JSON.
 *
 * Every function of ckctl that can fail returns an enum ck_exit, 0 for
 * success, and has told the user why before it returns another value: the
 * caller only passes it on.  There is one sentence per failure.
 */
#ifndef CKCTL_OUT_H
#define CKCTL_OUT_H

#include <stdbool.h>
#include <stdint.h>

/* Documented in ckctl.8; never renumbered. */
enum ck_exit {
	CK_OK = 0,
	CK_FAILED = 1,		/* anything that has no code of its own */
	CK_USAGE = 2,		/* the command line */
	CK_REFUSED = 3,		/* the job or image holds what cannot be handled */
	CK_PERM = 4,		/* not yours */
	CK_TIMEOUT = 5,		/* MaxWait, freeze time or deadline passed */
	CK_IO = 6,		/* no space, or reading or writing failed */
	CK_DAMAGED = 7,		/* the image is not what was written */
	CK_NOMODULE = 8,	/* kernel module not loaded or of another version */
	CK_NOTFOUND = 9,	/* no such job, cgroup, image, process or file */
	CK_BUSY = 10,		/* another checkpoint is under way, or an id is taken */
};

/* Set once by main() from the global options. */
extern bool out_json;		/* --json: results as JSON on stdout */
extern bool out_quiet;		/* -q: no progress, no notices */

/* "ckctl: <sentence>\n" to stderr; returns @code so that callers can return it. */
int fail(enum ck_exit code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with ": <strerror(err)>"; the code follows from err (EACCES/EPERM
 * -> CK_PERM, ENOSPC/EDQUOT/EIO/... -> CK_IO, ENOENT -> CK_NOTFOUND, else CK_FAILED).
 * @err is a positive errno. */
int fail_errno(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The mapping that fail_errno() uses. */
enum ck_exit exit_from_errno(int err);
/* Where fail() stores its sentence instead of printing it. */
struct capture {
	char *buf;
	unsigned int size;
};
/* Store it in @buf from now on (NULL prints again): for `check`, which collects obstacles,
 * and for retries.  What was set until now, for fail_restore(). */
struct capture fail_capture(char *buf, unsigned int size);
/* The same for who does not want to know it. */
struct capture fail_mute(void);
/* Back to where they went before; what was stored still is. */
void fail_restore(struct capture outer);
/* The first sentence that was printed: of all, the one that tells why; "" for none. */
const char *fail_first(void);
/* "ckctl: note: <sentence>" to stderr unless out_quiet. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same of what went as it should: for who looks on, nothing that anybody must know. */
void note_done(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Who listens hears both first, and returns whether they go to stderr, too. */
extern bool (*out_hear)(const char *sentence, bool done);

/* A name to stdout.  It may come from a job or an image: no control character in
 * it reaches the terminal, neither here nor in the sentences above. */
void print_text(const char *text);

/* A bar with rate and time left, on stderr, only when that is a terminal. */
struct progress;
struct progress *progress_start(const char *what, uint64_t total_bytes);
void progress_update(struct progress *p, uint64_t bytes);
void progress_end(struct progress *p);	/* NULL is fine */

/* "1.5 GiB", "12.3 ms" in a static ring of buffers. */
const char *human_bytes(uint64_t bytes);
const char *human_ns(uint64_t ns);

#endif
