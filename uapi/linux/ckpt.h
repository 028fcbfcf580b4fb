/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * ckpt - checkpoint and restart of a cgroup's tasks: the generic netlink protocol
 *
 * Family CKPT_GENL_NAME.  Every request is acknowledged (NLM_F_ACK) by the
 * kernel at once; a refusal carries an errno, a sentence for a person in the
 * extended ack and, where one attribute is at fault, its offset.
 *
 * SESSIONS
 *
 * A session is one checkpoint or one restart under way.  It belongs to the
 * netlink socket (port id and network namespace) that opened it and ends with
 * it: closing the socket, for whatever reason, thaws what was frozen and kills
 * what was half restored.  One socket has at most one session.
 *
 * Long work never runs inside a request.  FREEZE, SNAPSHOT, WRITE, THAW and
 * COMMIT are acknowledged when they are accepted; when the work is done the
 * module unicasts a CKPT_CMD_EVENT to the session's socket, with
 * CKPT_A_EVENT saying what happened.  CKPT_EVENT_FAILED carries
 * CKPT_A_REASON, CKPT_A_MESSAGE (a sentence), CKPT_A_ERRNO and, where one task
 * is the cause, CKPT_A_PID; after it the session is over and the job runs on.
 * SNAPSHOT looks at all processes before it refuses: when more than one thing
 * stands against it, all of this is about the first, and CKPT_A_OBSTACLES has the
 * sentences on the others, one for each process and kind.
 *
 * CHECKPOINT
 *
 *   FREEZE    CGROUP_FD, [FREEZE_MS], [DEADLINE_MS]           -> FROZEN
 *             PID_LIST: s32[] of the frozen thread group leaders that have a pid
 *             where the caller lives;
 *             LEAVE_FROZEN when the cgroup was frozen before
 *   PROVE     MEM_FDS, [OMIT]
 *             MEM_FDS: s32[] of /proc/PID/mem files opened by the caller, the
 *             proof that the caller may ptrace these processes; all frozen
 *             processes must be proved before SNAPSHOT.  With OMIT they stand
 *             still with the others, but SNAPSHOT leaves them out: neither are
 *             they looked at, nor have they, or their dead children, records or
 *             pages.  Their other children keep their ids as parents.  A process
 *             without a pid where the caller lives can only be left out.  May be
 *             repeated; what was said last of a process counts.
 *   SNAPSHOT  MODE                                            -> SNAPPED
 *             NR_PAGES, NR_SHARED (held copy-on-write), NR_COPIED
 *   DUMP      a netlink dump (NLM_F_DUMP): each message has one CKPT_A_RECORDS
 *             with whole records of <linux/ckpt_image.h>.  Valid from SNAPPED on.
 *   THAW      [LEAVE_FROZEN]                                  -> THAWED
 *             STANDSTILL_NS: from the freeze's request to here
 *   WRITE     PAGE_FD, INDEX_FD, or neither for a stream      -> [PROGRESS] WRITTEN
 *             NR_BYTES, NR_PAGES, NR_ZERO
 *   DUMP_PAGES  a netlink dump like DUMP, of a CKPT_REC_PAGES for each process and
 *             shared object: what WRITE wrote for whom.  Valid from WRITTEN on.
 *
 * With MODE_COW, WRITE may come after THAW and that is what it is for; with
 * MODE_HELD the pages are only held, WRITE must come before THAW.  SNAPSHOT
 * may be repeated while frozen; it replaces the one before it.
 *
 * A stream's page data arrives as CKPT_CMD_PAGES messages, each with an array
 * of struct ckpt_run (CKPT_A_RUNS), an empty CKPT_A_DATA marker as the last
 * attribute, and the pages themselves from there to the message's end:
 * nlmsg_len counts them, an attribute's 16-bit length could not.
 *
 * DEADLINE_MS bounds how long the job may stand still: when it passes before
 * THAW, the module thaws by itself and the session fails.
 *
 * RESTART
 *
 *   OPEN      NR_THREADS in all                               -> SESSION in the ack's reply
 *   PARK      SESSION.  Sent by each thread but the leader of each process.
 *   RESTORE   SESSION, PLAN_ADDR.  Sent by each leader, in its own context: it
 *             never returns to the caller's code.  The address space is
 *             replaced as struct ckpt_plan says and the thread parks.
 *   (event)                                                   -> PARKED when all have
 *   SET       PID (thread), REGS, XSTATE, SIGMASK, [RSEQ_*], [STOPPED]
 *   COMMIT                                                    -> COMMITTED
 *
 * PARK and RESTORE are accepted only from sendmsg(2)/sendto(2) in the thread
 * itself, in a descendant of the session's owner, through a socket that was
 * opened with the owner's ids.  The sender may have given up rights since, and
 * where the owner has CAP_SYS_ADMIN in the initial user namespace, have become
 * another user.  It must not hold the session's own socket, or its death could
 * go unnoticed.
 */
#ifndef _UAPI_LINUX_CKPT_H
#define _UAPI_LINUX_CKPT_H

#include <linux/types.h>

#define CKPT_GENL_NAME		"ckpt"
#define CKPT_GENL_VERSION	1

/* Bumped when a request's or record's meaning changes; equal on both sides. */
#define CKPT_ABI		2

/* Limits, stated so that both sides refuse the same. */
#define CKPT_MAX_FDS		1024	/* fds in one PROVE */
#define CKPT_MAX_THREADS	65536	/* in one session */
#define CKPT_MAX_XSTATE		65536	/* bytes of one thread's xstate */
#define CKPT_MAX_MS		86400000 /* FREEZE_MS, DEADLINE_MS */
#define CKPT_MAX_MESSAGE	256	/* bytes of CKPT_A_MESSAGE, with its NUL */
#define CKPT_MAX_OBSTACLES	16384	/* bytes of CKPT_A_OBSTACLES */
#define CKPT_MAX_VMAS		1048576	/* in one plan */
#define CKPT_MAX_LOCKS		65536	/* in one plan */
#define CKPT_MAX_PROCESSES	16000	/* in one session */

#define CKPT_DEFAULT_FREEZE_MS	5000
#define CKPT_DEFAULT_DEADLINE_MS 60000

/**
 * enum ckpt_cmd - requests, and the module's own messages
 * @CKPT_CMD_UNSPEC: not used
 * @CKPT_CMD_INFO: what is loaded: ABI, VERSION, FEATURES, NR_SESSIONS, XFEATURES, XSTATE_SIZE
 * @CKPT_CMD_FREEZE: stop the tasks of a cgroup; opens a checkpoint session
 * @CKPT_CMD_PROVE: show the right to read the frozen processes
 * @CKPT_CMD_SNAPSHOT: record all state and take hold of the pages
 * @CKPT_CMD_DUMP: fetch the records
 * @CKPT_CMD_THAW: let the tasks run on
 * @CKPT_CMD_WRITE: write the pages
 * @CKPT_CMD_OPEN: open a restart session
 * @CKPT_CMD_PARK: the sending thread waits for COMMIT
 * @CKPT_CMD_RESTORE: the sending leader becomes the saved process and waits
 * @CKPT_CMD_SET: give a parked thread its registers, FPU state, signal mask
 * @CKPT_CMD_COMMIT: let all parked threads go
 * @CKPT_CMD_EVENT: from the module: something was completed or failed
 * @CKPT_CMD_PAGES: from the module: page data of a stream
 * @CKPT_CMD_DUMP_PAGES: fetch where whose pages were written
 * @__CKPT_CMD_MAX: one more than the last
 */
enum ckpt_cmd {
	CKPT_CMD_UNSPEC,
	CKPT_CMD_INFO,
	CKPT_CMD_FREEZE,
	CKPT_CMD_PROVE,
	CKPT_CMD_SNAPSHOT,
	CKPT_CMD_DUMP,
	CKPT_CMD_THAW,
	CKPT_CMD_WRITE,
	CKPT_CMD_OPEN,
	CKPT_CMD_PARK,
	CKPT_CMD_RESTORE,
	CKPT_CMD_SET,
	CKPT_CMD_COMMIT,
	CKPT_CMD_EVENT,
	CKPT_CMD_PAGES,
	CKPT_CMD_DUMP_PAGES,
	__CKPT_CMD_MAX,
};
#define CKPT_CMD_MAX (__CKPT_CMD_MAX - 1)

/**
 * enum ckpt_attr - attributes of all messages
 * @CKPT_A_UNSPEC: not used
 * @CKPT_A_PAD: alignment of 64-bit values
 * @CKPT_A_ABI: u32, CKPT_ABI of the module
 * @CKPT_A_VERSION: string, the module's version
 * @CKPT_A_FEATURES: u32, enum ckpt_feature bits
 * @CKPT_A_NR_SESSIONS: u32, sessions open now, of all users
 * @CKPT_A_XFEATURES: u64, XCR0: the xstate components this CPU and kernel save
 * @CKPT_A_XSTATE_SIZE: u32, bytes of CKPT_A_XSTATE here
 * @CKPT_A_CGROUP_FD: s32, a directory of a cgroup v2 hierarchy, open in the sender
 * @CKPT_A_FREEZE_MS: u32, give up when not all tasks are frozen by then
 * @CKPT_A_DEADLINE_MS: u32, longest stand-still, from FREEZE to THAW
 * @CKPT_A_PID_LIST: s32[], pids as the session's owner sees them
 * @CKPT_A_MEM_FDS: s32[], files opened from /proc/PID/mem
 * @CKPT_A_MODE: u32, enum ckpt_mode
 * @CKPT_A_LEAVE_FROZEN: flag, end the stand-still without thawing; in FROZEN: it was frozen before
 * @CKPT_A_PAGE_FD: s32, file open for writing, for page data
 * @CKPT_A_INDEX_FD: s32, file open for writing, for struct ckpt_run[]
 * @CKPT_A_RECORDS: whole records of <linux/ckpt_image.h>, each padded to 8 bytes
 * @CKPT_A_PAGES: struct ckpt_rec_pages, the owner of a stream message's pages
 * @CKPT_A_RUNS: struct ckpt_run[], pages of a stream message; owner in PAGES
 * @CKPT_A_DATA: marker: the rest of the message is page data
 * @CKPT_A_EVENT: u32, enum ckpt_event
 * @CKPT_A_REASON: u32, enum ckpt_reason
 * @CKPT_A_ERRNO: u32, positive errno
 * @CKPT_A_MESSAGE: string, a sentence for a person
 * @CKPT_A_PID: s32, the task concerned, as the session's owner sees it
 * @CKPT_A_STANDSTILL_NS: u64, from the freeze request to the thaw
 * @CKPT_A_NR_BYTES: u64, page bytes written so far
 * @CKPT_A_NR_PAGES: u64, pages in the snapshot
 * @CKPT_A_NR_ZERO: u64, pages that held only zeros and were not written
 * @CKPT_A_NR_SHARED: u64, pages held copy-on-write
 * @CKPT_A_NR_COPIED: u64, pages copied while frozen
 * @CKPT_A_NR_THREADS: u32, threads that will park in this restart
 * @CKPT_A_SESSION: u32, names a restart session to its skeletons
 * @CKPT_A_PLAN_ADDR: u64, struct ckpt_plan in the sender's memory
 * @CKPT_A_REGS: struct user_regs_struct of the architecture
 * @CKPT_A_XSTATE: the uncompacted xsave area, as NT_X86_XSTATE
 * @CKPT_A_SIGMASK: u64, blocked signals, bit n-1 for signal n
 * @CKPT_A_RSEQ_ADDR: u64, user address of struct rseq, 0 for none
 * @CKPT_A_RSEQ_LEN: u32, its length
 * @CKPT_A_RSEQ_SIG: u32, its signature
 * @CKPT_A_STOPPED: u32, to a leader: its process is stopped; the signal that the parent
 *	has yet to be told of by wait(2), or 0
 * @CKPT_A_OMIT: flag, of PROVE: leave these processes out
 * @CKPT_A_OBSTACLES: sentences as MESSAGE, each with its NUL; the last one says how many
 *	there were no room for
 * @__CKPT_A_MAX: one more than the last
 */
enum ckpt_attr {
	CKPT_A_UNSPEC,
	CKPT_A_PAD,
	CKPT_A_ABI,
	CKPT_A_VERSION,
	CKPT_A_FEATURES,
	CKPT_A_NR_SESSIONS,
	CKPT_A_XFEATURES,
	CKPT_A_XSTATE_SIZE,
	CKPT_A_CGROUP_FD,
	CKPT_A_FREEZE_MS,
	CKPT_A_DEADLINE_MS,
	CKPT_A_PID_LIST,
	CKPT_A_MEM_FDS,
	CKPT_A_MODE,
	CKPT_A_LEAVE_FROZEN,
	CKPT_A_PAGE_FD,
	CKPT_A_INDEX_FD,
	CKPT_A_RECORDS,
	CKPT_A_PAGES,
	CKPT_A_RUNS,
	CKPT_A_DATA,
	CKPT_A_EVENT,
	CKPT_A_REASON,
	CKPT_A_ERRNO,
	CKPT_A_MESSAGE,
	CKPT_A_PID,
	CKPT_A_STANDSTILL_NS,
	CKPT_A_NR_BYTES,
	CKPT_A_NR_PAGES,
	CKPT_A_NR_ZERO,
	CKPT_A_NR_SHARED,
	CKPT_A_NR_COPIED,
	CKPT_A_NR_THREADS,
	CKPT_A_SESSION,
	CKPT_A_PLAN_ADDR,
	CKPT_A_REGS,
	CKPT_A_XSTATE,
	CKPT_A_SIGMASK,
	CKPT_A_RSEQ_ADDR,
	CKPT_A_RSEQ_LEN,
	CKPT_A_RSEQ_SIG,
	CKPT_A_STOPPED,
	CKPT_A_OMIT,
	CKPT_A_OBSTACLES,
	__CKPT_A_MAX,
};
#define CKPT_A_MAX (__CKPT_A_MAX - 1)

/**
 * enum ckpt_feature - what this module on this kernel can do
 * @CKPT_FEATURE_PROOF: /proc/PID/mem is recognised; without it only INFO works
 */
enum ckpt_feature {
	CKPT_FEATURE_PROOF = 1 << 0,
};

/**
 * enum ckpt_mode - how SNAPSHOT takes hold of private memory
 * @CKPT_MODE_COW: shared copy-on-write with the job, which may run at once
 * @CKPT_MODE_HELD: referenced as it is; the job stays frozen until WRITTEN
 */
enum ckpt_mode {
	CKPT_MODE_COW = 1,
	CKPT_MODE_HELD = 2,
};

/**
 * enum ckpt_event - what CKPT_CMD_EVENT reports
 * @CKPT_EVENT_FAILED: the session is over; see REASON, MESSAGE, ERRNO, PID
 * @CKPT_EVENT_FROZEN: every task is frozen and off its CPU
 * @CKPT_EVENT_SNAPPED: all records and pages are held
 * @CKPT_EVENT_THAWED: the tasks run
 * @CKPT_EVENT_PROGRESS: NR_BYTES written so far
 * @CKPT_EVENT_WRITTEN: all page data has been handed to the files or the stream
 * @CKPT_EVENT_PARKED: every thread of the restart is parked
 * @CKPT_EVENT_COMMITTED: every thread of the restart was let go
 */
enum ckpt_event {
	CKPT_EVENT_FAILED = 1,
	CKPT_EVENT_FROZEN,
	CKPT_EVENT_SNAPPED,
	CKPT_EVENT_THAWED,
	CKPT_EVENT_PROGRESS,
	CKPT_EVENT_WRITTEN,
	CKPT_EVENT_PARKED,
	CKPT_EVENT_COMMITTED,
};

/**
 * enum ckpt_reason - why a session failed, for programs
 * @CKPT_REASON_NONE: no particular reason; see ERRNO
 * @CKPT_REASON_PERM: the caller may not do this to this task
 * @CKPT_REASON_UNSUPPORTED: the task holds something that cannot be saved
 * @CKPT_REASON_TIMEOUT: tasks did not freeze in FREEZE_MS
 * @CKPT_REASON_DEADLINE: the job stood still longer than DEADLINE_MS
 * @CKPT_REASON_THAWED: somebody else let the job run in the middle
 * @CKPT_REASON_VANISHED: a task ended or was killed in the middle
 * @CKPT_REASON_IO: writing or reading page data failed
 * @CKPT_REASON_NOMEM: the kernel had no memory for it
 * @CKPT_REASON_IMAGE: the restart's plan or state was refused
 * @CKPT_REASON_EMPTY: no task in the cgroup, or all of them are left out
 * @CKPT_REASON_BUSY: another session is at work on the cgroup
 */
enum ckpt_reason {
	CKPT_REASON_NONE,
	CKPT_REASON_PERM,
	CKPT_REASON_UNSUPPORTED,
	CKPT_REASON_TIMEOUT,
	CKPT_REASON_DEADLINE,
	CKPT_REASON_THAWED,
	CKPT_REASON_VANISHED,
	CKPT_REASON_IO,
	CKPT_REASON_NOMEM,
	CKPT_REASON_IMAGE,
	CKPT_REASON_EMPTY,
	CKPT_REASON_BUSY,
};

/**
 * struct ckpt_plan_vma - one mapping to make
 * @start: first address, page aligned
 * @end: one past the last
 * @offset: bytes into @fd, page aligned
 * @prot: PROT_* of the final mapping
 * @flags: MAP_PRIVATE or MAP_SHARED, with MAP_GROWSDOWN, MAP_NORESERVE,
 *	MAP_LOCKED, MAP_STACK where they apply, and CKPT_VMA_* advice of
 *	<linux/ckpt_image.h>; MAP_FIXED is implied
 * @fd: the file, open in the sender; -1 for anonymous memory
 * @pad: zero
 */
struct ckpt_plan_vma {
	__u64 start;
	__u64 end;
	__u64 offset;
	__u32 prot;
	__u32 flags;
	__s32 fd;
	__u32 pad;
};

/**
 * struct ckpt_plan_pages - runs of pages to read in, in this order
 * @index_pos: byte offset of the first struct ckpt_run in @index_fd
 * @nr_runs: how many
 * @index_fd: an index file of the image, open for reading in the sender
 * @page_fd: the page file that these runs point into
 */
struct ckpt_plan_pages {
	__u64 index_pos;
	__u64 nr_runs;
	__s32 index_fd;
	__s32 page_fd;
};

/**
 * struct ckpt_plan_lock - one lock that belongs to the process, as fcntl(F_SETLK)
 * @start: first byte
 * @end: last byte, the largest number for the end of the file
 * @fd: of the file, below ckpt_plan.close_from
 * @exclusive: 0 or 1
 */
struct ckpt_plan_lock {
	__s64 start;
	__s64 end;
	__s32 fd;
	__u32 exclusive;
};

/**
 * struct ckpt_plan - what RESTORE makes of the sender's address space
 * @vmas: user address of struct ckpt_plan_vma[], ascending, without overlap
 * @pages: user address of struct ckpt_plan_pages[]
 * @nr_vmas: how many
 * @nr_pages: how many
 * @vdso_start: [@vdso_start, @vdso_end) is kept as it is: the sender has put
 * @vdso_end: its vvar and vdso there; equal to @vdso_start for none
 * @exe_fd: the program file for /proc/PID/exe; -1 to leave it.  Needs
 *	CAP_CHECKPOINT_RESTORE in the opener of the session, as prctl(2) does.
 * @close_from: all descriptors from this number on are closed before the
 *	thread parks, the netlink socket and those named here included
 * @flags: CKPT_MM_LOCK_FUTURE, CKPT_MM_LOCK_ONFAULT of <linux/ckpt_image.h>: for what
 *	the process maps later
 * @nr_locks: how many
 * @locks: user address of struct ckpt_plan_lock[]: taken when the descriptors have
 *	been closed, as a process loses its locks on a file with any of them
 * @timers_ns: the process's CLOCK_MONOTONIC before the sender armed the saved
 *	timers that count real time, each CKPT_TIMERS_AHEAD_NS too late: COMMIT moves
 *	them to where they have from that moment on what was left; 0 to leave all timers
 */
struct ckpt_plan {
	__u64 vmas;
	__u64 pages;
	__u32 nr_vmas;
	__u32 nr_pages;
	__u64 vdso_start;
	__u64 vdso_end;
	__s32 exe_fd;
	__u32 close_from;
	__u32 flags;
	__u32 nr_locks;
	__u64 locks;
	__u64 timers_ns;
};

#define CKPT_TIMERS_AHEAD_NS	(365ULL * 86400 * 1000000000)

#endif /* _UAPI_LINUX_CKPT_H */
