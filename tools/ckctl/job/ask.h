/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process of a job asks for a checkpoint of what it is itself a part of, and
 * so cannot make: it asks somebody who is no part of it.  These listen on Unix
 * stream sockets, for processes of their own user:
 *
 *   - ckctl run and ckctl restart, and the keeper of a job of Slurm, at the abstract
 *     address "ckpt-ask:<inode number>", where that is the number of the directory of
 *     the cgroup that they have made images of: who is in it, or below, finds it;
 *   - srun_cr, for the step that it launched, at the path in SLURM_SRUN_CR_SOCKET.
 *
 * One request a connection, a line:
 *
 *	checkpoint [MaxWait=<seconds>] [ImageDir=<absolute path, up to the end of the line>]
 *
 * The answer is a line, too, when all is over, a JSON object: "code", enum ck_exit;
 * "words", what ckctl create had to say; and, with code 0, "result", what it prints
 * with --json.  Who asks is no part of the image, but started anew at a restart
 * (state/omit.h): it has a mark (mark.h) by then, and an answer of its own.
 *
 * To srun_cr, its srun says besides:
 *
 *	step <job>.<step>
 *
 * and waits for the end of the connection: srun_cr has taken note of it then.
 */
#ifndef CKCTL_ASK_H
#define CKCTL_ASK_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "talk.h"

#define ASK_MARK	"ckpt-ask"		/* of who asks */
#define ASK_VARIABLE	"SLURM_SRUN_CR_SOCKET"

struct ask_request {
	uint64_t max_wait_ms;		/* 0 for no limit */
	char image_dir[PATH_MAX];	/* "" for where the job's images go */
	char step[64];			/* "<job>.<step>" has been launched, and nothing is asked for */
	pid_t pid;			/* who says so */
};

/* ---- who is asked ---- */

struct ask {
	int listener;			/* -1: nobody can ask */
	int conn;			/* the one request that is being read or served, or -1 */
	struct talk_lines lines;
};

/* For those in this cgroup.  Where it is not possible, nobody can ask. */
void ask_open(struct ask *ask, const char *cgroup);
/* At this path, which must not be there yet: 0, or -1 and errno. */
int ask_open_path(struct ask *ask, const char *path);
/* When this can be read, ask_take() has something to do; -1 for never. */
int ask_fd(const struct ask *ask);
/* Is there a whole request now?  Then it must be answered, or closed. */
bool ask_take(struct ask *ask, struct ask_request *req);
/*
 * Serve it by "ckctl create @name", its images going to @dir unless it says
 * otherwise; NULL for where that has them go by itself.  When @stop_fd can be
 * read it is given up.  *result, for the caller to drop, is NULL when it failed.
 * Returns false when it was given up.
 */
bool ask_serve(struct ask *ask, const char *name, const char *dir, const struct ask_request *req,
	       int stop_fd, json_t **result);
/* The same by a child, which SIGTERM ends in good order; its process id, 0 for none. */
pid_t ask_spawn(struct ask *ask, const char *name, const struct ask_request *req);
/* The answer that nothing is made, and why. */
void ask_refuse(struct ask *ask, int code, const char *sentence);
/* The connection, without a word. */
void ask_drop(struct ask *ask);
void ask_close(struct ask *ask);

/* ---- who asks ---- */

/*
 * Connect @fd, a Unix stream socket, to somebody who could be asked by the calling
 * process.  Returns enum ck_exit and has reported that there is nobody (out.h).
 */
int ask_connect(int fd);
/* The same for all of job or step @name, whose cgroup that is, and nothing else. */
int ask_connect_for(int fd, const char *name, const char *cgroup);
/* Say it, and wait for the answer, a new reference. */
int ask_for(int fd, uint64_t max_wait_ms, const char *image_dir, json_t **answer);

#endif
