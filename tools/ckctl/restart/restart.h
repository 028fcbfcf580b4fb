/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A restart, from image to running job:
 *
 *   coordinator                          skeletons (one a saved process)
 *   -----------                          -------------------------------
 *   check the image against this host
 *   prepare: open, create what is shared
 *   make: what others can see of it
 *   clone the roots (tree.c)        ->   clone their children, sessions
 *   all are there: go               ->   groups, state rows, threads (thread.c)
 *                                        RESTORE: the module replaces the
 *   PARKED                          <-   address space and parks the thread
 *   registers of every thread (commit.c)
 *   COMMIT                          ->   the saved program runs
 *   go (relaunch.c)                 ->   what is started anew executes its program,
 *                                        instead of RESTORE
 *
 * Whatever fails, wherever, ends with all skeletons dead: their death signal
 * is that of their creator, and the end of the session kills what is parked.
 */
#ifndef CKCTL_RESTART_H
#define CKCTL_RESTART_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../nl.h"
#include "../out.h"
#include "../state/state.h"
#include "vdso.h"
#include "vdso_old.h"

/*
 * One process to be made.
 * @process: what is saved of it, or how it is started anew; NULL for the other two kinds
 * @zombie: what is saved of one that has ended, but was not waited for
 * (neither): a stand-in: the leader of a session or process group that is long
 *	gone while members are left, made again for the moment that they need
 *	to get in
 * @pid: its id
 * @ppid, @saved_pgid, @sid: as saved; 0 for a stand-in
 * @comm: its name
 * @exit_signal: sent to the parent at its end
 * @parent: index of its parent, -1 for a child of the coordinator
 * @creator: index of who clones it: its parent, or a stand-in beside it
 * @first, @next: of those cloned by a node: the first, and the next one beside
 *	this; -1 for none
 * @leads_session: it calls setsid(2)
 * @early: it is cloned before its creator's setsid(2)
 * @pgid: the process group it ends up in; 0 for the coordinator's
 */
struct tree_node {
	const struct image_process *process;
	const struct ckpt_rec_zombie *zombie;
	pid_t pid;
	pid_t ppid, saved_pgid, sid;
	const char *comm;
	int exit_signal;
	int parent, creator;
	int first, next;
	bool leads_session;
	bool early;
	pid_t pgid;
};

struct tree {
	struct tree_node *nodes;	/* as image.processes, image.zombies, then the stand-ins */
	size_t nr, nr_processes;
	int first;			/* cloned by the coordinator; linked by next */
	pid_t main;			/* the process that stands for the job */
	size_t nr_threads;		/* in all */
};

/* Who is whose child, in which session and group; refuses what cannot be made. */
int tree_plan(struct tree *tree, const struct image *image);
void tree_free(struct tree *tree);

/* Two steps that all take together; futexes. */
struct gate {
	uint32_t exist;			/* 1 when all processes do */
	uint32_t joined;		/* processes that are in their group */
};

struct restart {
	struct restore state;
	struct image *image;
	struct tree tree;
	struct nl *nl;			/* the coordinator's; skeletons close it */
	uint32_t session;
	int family;
	struct vdso vdso, code;		/* of the coordinator, inherited by all; code: its text alone */
	struct vdso_old vdso_old;	/* restart_check() */
	pid_t pid, pgid;		/* of the coordinator */
	int cgroup_fd;			/* the job's cgroup; -1 for the coordinator's */
	bool slot;			/* the coordinator is one: job/slot.h */
	const char *launched;		/* relaunch_environment() */
	size_t launched_len;
	int report_rd, report_wr;	/* a pipe of struct report */
	int go_rd, go_wr;		/* relaunch.c: a pipe of bytes, the coordinator's to write */
	struct gate *gate;		/* shared by all */
	int epoll_fd;			/* watch.c */
	int signal_fd;
	int *pidfds;			/* [nr_born] */
	size_t nr_born, nr_ready, nr_waiting;
	size_t nr_roots;		/* cloned by the coordinator so far */
	int interrupted;		/* the signal that has put an end to it; 0 for none */
	pid_t main;			/* of the job's first process, when it runs */
	/* Why ids cannot be had in this pid namespace, NULL when they can; and
	 * what ckctl ends with when they cannot in another one either. */
	const char *why;
	enum ck_exit why_code;
};

/* At least that many numbers for the coordinator's own files. */
#define RESTART_MIN_FD_BASE	64

/* ---- check.c ---- */

/* Kernel and CPU. */
int restart_check(struct restart *r);
/* CK_BUSY when the job itself is what has the ids: it is still running. */
int restart_check_ended(const struct restart *r);
/* CK_PERM when ids cannot be chosen here, CK_BUSY when one is taken. */
int restart_check_ids(const struct restart *r);
/* Make room for the saved vdsos; besides enum ck_exit, VDSO_TAKEN. */
int restart_layout(struct restart *r);

/* ---- restart.c ---- */

/* All that can be done before there are processes: the tree, the module, all
 * rows of state_table. */
int restart_prepare(struct restart *r);
/* From no process to a running job; what fails leaves none.  The roots are
 * children of the caller. */
int restart_run(struct restart *r);
/* Everything that only served the restart. */
void restart_release(struct restart *r);

/* ---- apart.c ---- */

/*
 * Prepare and run it in a child of the caller, which then is the job's init
 * (job/init.h): with @pidns in a pid namespace of its own, as the ids are taken
 * in this one.  The child has a session of its own when root gives the
 * job to another user.
 * *init is to be waited for, *status_fd is for job_supervise().
 */
int apart_run(struct restart *r, bool pidns, pid_t *init, int *status_fd);

/* ---- skeleton.c ---- */

/* Clone the process of tree.nodes[@index]; the child never returns. */
int skeleton_spawn(struct restart *r, int index);
/* All rows of the state table but that of the credentials. */
int skeleton_rows(struct restart *r, const struct image_process *p);
/* Wait for the end of the stand-ins that node @creator (-1: the coordinator) cloned. */
int reap_stand_ins(const struct restart *r, int creator);
/* @sig has come for the end of a process that the program knows nothing of. */
void forget_signal(int sig);
/* Why clone3(2) of a "process" or "thread" failed. */
int clone_failed(int err, const char *what, pid_t id, const char *comm);

/* ---- thread.c ---- */

/* Clone all threads but the leader; each has sent PARK, or is about to, on
 * return.  @stacks has THREAD_STACK bytes for each. */
#define THREAD_STACK	(64 * 1024)
int threads_spawn(struct restart *r, const struct image_process *p, int socket_fd, char *stacks);
/* What belongs to the calling thread itself and needs no rights. */
int thread_settle(const struct image_thread *t);
/* After it, mappings that it makes may get other rights than asked for. */
int thread_personality(const struct image_thread *t);

/* ---- zombie.c ---- */

/* End as the process of @rec did. */
void zombie_end(const struct restart *r, const struct ckpt_rec_zombie *rec)
	__attribute__((noreturn));
/* Wait until the zombies that are children of node @parent have ended. */
int zombies_await(const struct restart *r, int parent);

/* ---- relaunch.c ---- */

/* The pipe, before there are skeletons; go, after the commit; its end. */
int relaunch_open(struct restart *r);
void relaunch_go(struct restart *r);
void relaunch_close(struct restart *r);
/* In the skeleton of @p, which is started anew: returns only what failed. */
int relaunch_become(struct restart *r, const struct image_process *p);
/*
 * What it is started with: its environment, in which SLURM_RESTART_DIR tells where
 * the images of the step are that it had launched, or is not set when there are
 * none.  In a slot's job, variables of Slurm's are those of the present launch
 * (job/environ.h; r->launched is the environment of the saved one), and a step
 * that goes on appends to its files.  NULL when out of memory; while r->image->path leads to
 * the image.
 */
char **relaunch_environment(const struct restart *r, const struct image_process *p);

/* ---- report.c: from a skeleton to the coordinator ---- */

enum report_kind {
	REPORT_BORN = 1,	/* by its creator: process @pid exists */
	REPORT_READY,		/* process @pid has its session, and its children exist */
	REPORT_WAITING,		/* @pid, which is started anew, is as it is to be */
	REPORT_FAILED,		/* @pid gives up: @code and @text as of fail() */
};

/* At most PIPE_BUF, so that each is written and read in one piece. */
struct report {
	int32_t kind;
	int32_t pid;
	int32_t code;
	char text[500];
};

void report_send(const struct restart *r, enum report_kind kind, pid_t pid);
/* In a skeleton: fail() keeps its sentence for report_failure(), which ends
 * the skeleton with it. */
void report_capture(void);
void report_failure(const struct restart *r, pid_t pid, int code) __attribute__((noreturn));

/* The bytes of a request of a skeleton: PARK, or RESTORE with a plan. */
struct request {
	unsigned char bytes[64];
	size_t len;
};

void request_make(struct request *req, const struct restart *r, enum ckpt_cmd cmd,
		  const struct ckpt_plan *plan);
/* A netlink socket for them, numbered at or above fd_base. */
int request_socket(struct restart *r, int *fd);
/*
 * Send, from a thread that must not touch libc's data any more.  Returns only
 * when the module refused: after having sent REPORT_FAILED.
 */
void request_send(const struct restart *r, int fd, const struct request *req, pid_t pid);

/* ---- watch.c: the coordinator's view ---- */

int watch_open(struct restart *r);
/* Process @pid exists: its death would be the end of the restart. */
int watch_born(struct restart *r, pid_t pid);
/* Until the module says that all threads are parked, and the others wait, too. */
int watch_until_parked(struct restart *r);
void watch_close(struct restart *r);

/* ---- commit.c ---- */

/* Give every parked thread its registers, then let all go. */
int commit(struct restart *r);

/* ---- regs.c ---- */

struct user_regs_struct;

/* The registers with which thread @t of @p goes on, which is parked: those saved,
 * with the time left of a system call that sleeps. */
int regs_restart(const struct image_process *p, const struct image_thread *t,
		 struct user_regs_struct *regs);
/* The registers with which the leader of @p ends at once, while others live on. */
int regs_end(const struct restart *r, const struct image_process *p, struct user_regs_struct *regs);

#endif
