/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * ckpt - what is on disk: the records that ckctl writes, of what system calls
 * and /proc tell.  Included by ckpt_image.h, which is the format's manual.
 */
#ifndef _UAPI_LINUX_CKPT_IMAGE_TOOL_H
#define _UAPI_LINUX_CKPT_IMAGE_TOOL_H

#include <linux/types.h>

/**
 * struct ckpt_rec_cred - credentials of a process, as in /proc/PID/status
 * @pid: the process
 * @uid: …
 * @euid: …
 * @suid: …
 * @fsuid: …
 * @gid: …
 * @egid: …
 * @sgid: …
 * @fsgid: …
 * @no_new_privs: 0 or 1
 * @seccomp: mode; only 0 can be saved
 * @nr_groups: u32 each, after this struct
 * @cap_inh: capability sets
 * @cap_prm: …
 * @cap_eff: …
 * @cap_bnd: …
 * @cap_amb: …
 */
struct ckpt_rec_cred {
	__s32 pid;
	__u32 uid;
	__u32 euid;
	__u32 suid;
	__u32 fsuid;
	__u32 gid;
	__u32 egid;
	__u32 sgid;
	__u32 fsgid;
	__u32 no_new_privs;
	__u32 seccomp;
	__u32 nr_groups;
	__u64 cap_inh;
	__u64 cap_prm;
	__u64 cap_eff;
	__u64 cap_bnd;
	__u64 cap_amb;
};

/**
 * struct ckpt_rec_fs - what umask(2), chdir(2) and chroot(2) set
 * @pid: the process
 * @umask: …
 * @cwd_len: bytes of path after this struct, without a NUL
 * @root_len: bytes of the path after that one; 0: the root directory of the tool
 */
struct ckpt_rec_fs {
	__s32 pid;
	__u32 umask;
	__u32 cwd_len;
	__u32 root_len;
};

/**
 * struct ckpt_rec_cpus - where the job was allowed to run
 * @cpus_len: bytes of the CPU mask after this struct
 * @pad: zero
 *
 * A thread that may use all of these never asked for less.
 */
struct ckpt_rec_cpus {
	__u32 cpus_len;
	__u32 pad;
};

#define CKPT_NR_RLIMITS 16

/**
 * struct ckpt_rlimit - ~0 for unlimited
 * @cur: soft
 * @max: hard
 */
struct ckpt_rlimit {
	__u64 cur;
	__u64 max;
};

/**
 * struct ckpt_rec_rlimits - limits of a process
 * @pid: the process
 * @pad: zero
 * @limits: in RLIMIT_* order
 */
struct ckpt_rec_rlimits {
	__s32 pid;
	__u32 pad;
	struct ckpt_rlimit limits[CKPT_NR_RLIMITS];
};

/**
 * struct ckpt_rec_fd - one file descriptor
 * @pid: the process
 * @fd: its number
 * @flags: FD_CLOEXEC
 * @pad: zero
 * @file: id of the CKPT_REC_FILE, the open file description, which several
 *	descriptors and processes may share
 */
struct ckpt_rec_fd {
	__s32 pid;
	__s32 fd;
	__u32 flags;
	__u32 pad;
	__u64 file;
};

/**
 * enum ckpt_file_kind - what an open file description refers to
 * @CKPT_FILE_REG: a regular file
 * @CKPT_FILE_DIR: a directory
 * @CKPT_FILE_CHR: a character device without state: null, zero, full, random, urandom, tty
 * @CKPT_FILE_PIPE: an end of a pipe between the job's processes: object is the CKPT_REC_PIPE
 * @CKPT_FILE_STDIO: something outside of the job (terminal, pipe, socket) that
 *	stood at descriptor 0, 1 or 2: re-plugged by role to the new launch
 * @CKPT_FILE_PATH: whatever is at a path, opened with O_PATH
 * @CKPT_FILE_EVENTFD: its CKPT_REC_EVENTFD names it by its id; so do the following
 * @CKPT_FILE_TIMERFD: …
 * @CKPT_FILE_SIGNALFD: …
 * @CKPT_FILE_EPOLL: …
 * @CKPT_FILE_FIFO: an end of a named pipe, by its path: object is the CKPT_REC_PIPE
 * @CKPT_FILE_OBJECT: a memfd or a removed file: object is the CKPT_REC_SHM
 */
enum ckpt_file_kind {
	CKPT_FILE_REG = 1,
	CKPT_FILE_DIR,
	CKPT_FILE_CHR,
	CKPT_FILE_PIPE,
	CKPT_FILE_STDIO,
	CKPT_FILE_PATH,
	CKPT_FILE_EVENTFD,
	CKPT_FILE_TIMERFD,
	CKPT_FILE_SIGNALFD,
	CKPT_FILE_EPOLL,
	CKPT_FILE_FIFO,
	CKPT_FILE_OBJECT,
};

/**
 * struct ckpt_rec_file - one open file description
 * @id: named by CKPT_REC_FD
 * @kind: enum ckpt_file_kind
 * @flags: O_* as fcntl(F_GETFL), access mode included
 * @pos: offset
 * @object: CKPT_FILE_PIPE, CKPT_FILE_FIFO: id of the pipe; CKPT_FILE_STDIO: 0, 1 or 2, the
 *	role; CKPT_FILE_OBJECT: id of the object; CKPT_FILE_REG: that of the object with
 *	CKPT_SHM_NAMED that has its contents, path, device, inode and size, 0 for none
 * @dev: st_dev
 * @ino: st_ino
 * @rdev: st_rdev of a device
 * @mode: st_mode
 * @path_len: bytes of path after this struct, without a NUL
 * @size: st_size
 * @mtime_sec: st_mtim
 * @mtime_nsec: …
 * @seals: of a memfd, as fcntl(F_GET_SEALS)
 */
struct ckpt_rec_file {
	__u64 id;
	__u32 kind;
	__u32 flags;
	__s64 pos;
	__u64 object;
	__u64 dev;
	__u64 ino;
	__u64 rdev;
	__u32 mode;
	__u32 path_len;
	__u64 size;
	__s64 mtime_sec;
	__u32 mtime_nsec;
	__u32 seals;
};

/**
 * struct ckpt_rec_tempfile - a file in a place for temporary files, with its contents
 * @object: id of its CKPT_REC_SHM, which has CKPT_SHM_NAMED
 * @uid: st_uid
 * @flags: CKPT_TEMPFILE_CLOSED
 * @mtime_sec: st_mtim
 * @btime_sec: stx_btime; 0 where the file system does not know it
 * @mtime_nsec: …
 * @btime_nsec: …
 *
 * Its path is that of the object, and the same file at a restart one with the
 * same inode and time of birth.
 */
struct ckpt_rec_tempfile {
	__u64 object;
	__u32 uid;
	__u32 flags;
	__s64 mtime_sec;
	__s64 btime_sec;
	__u32 mtime_nsec;
	__u32 btime_nsec;
};

/* No process had it open: no CKPT_REC_FILE has its object. */
#define CKPT_TEMPFILE_CLOSED	(1U << 0)

/**
 * struct ckpt_rec_pipe - one pipe
 * @id: named by CKPT_REC_FILE
 * @capacity: bytes, as fcntl(F_GETPIPE_SZ)
 * @data_len: bytes in flight, after this struct
 */
struct ckpt_rec_pipe {
	__u64 id;
	__u32 capacity;
	__u32 data_len;
};

/**
 * struct ckpt_rec_eventfd - eventfd(2)
 * @file: id of the CKPT_REC_FILE
 * @count: …
 * @semaphore: 0 or 1, EFD_SEMAPHORE
 * @pad: zero
 */
struct ckpt_rec_eventfd {
	__u64 file;
	__u64 count;
	__u32 semaphore;
	__u32 pad;
};

/**
 * struct ckpt_rec_timerfd - timerfd_create(2)
 * @file: id of the CKPT_REC_FILE
 * @ticks: expirations that were not read yet
 * @value_ns: time left, 0 when disarmed or expired
 * @interval_ns: period, 0 for one shot
 * @expiry_ns: with TFD_TIMER_ABSTIME on the wall clock: the time on that clock
 * @clock: CLOCK_*
 * @flags: TFD_TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET as they were last set
 */
struct ckpt_rec_timerfd {
	__u64 file;
	__u64 ticks;
	__u64 value_ns;
	__u64 interval_ns;
	__s64 expiry_ns;
	__s32 clock;
	__u32 flags;
};

/**
 * struct ckpt_rec_signalfd - signalfd(2)
 * @file: id of the CKPT_REC_FILE
 * @mask: bit n-1 for signal n
 */
struct ckpt_rec_signalfd {
	__u64 file;
	__u64 mask;
};

/**
 * struct ckpt_rec_epoll - epoll_create(2)
 * @file: id of the CKPT_REC_FILE
 * @nr_watches: struct ckpt_epoll_watch that follow
 * @pad: zero
 */
struct ckpt_rec_epoll {
	__u64 file;
	__u32 nr_watches;
	__u32 pad;
};

/**
 * struct ckpt_epoll_watch - as epoll_ctl(2)
 * @file: id of the CKPT_REC_FILE that is watched
 * @data: epoll_event.data
 * @fd: the number it was added by, which its descriptor need not have any more
 * @events: EPOLL*; without any, a one-shot that has fired
 */
struct ckpt_epoll_watch {
	__u64 file;
	__u64 data;
	__s32 fd;
	__u32 events;
};

/**
 * enum ckpt_lock_kind - whose a lock is
 * @CKPT_LOCK_FLOCK: flock(2), of the whole file: the open file description's
 * @CKPT_LOCK_OFD: fcntl(F_OFD_SETLK): the open file description's
 * @CKPT_LOCK_POSIX: fcntl(F_SETLK), lockf(3): the process's
 */
enum ckpt_lock_kind {
	CKPT_LOCK_FLOCK = 1,
	CKPT_LOCK_OFD,
	CKPT_LOCK_POSIX,
};

/**
 * struct ckpt_rec_lock - a lock that is held
 * @file: id of the CKPT_REC_FILE
 * @start: first byte
 * @end: last byte, INT64_MAX for the end of the file
 * @kind: enum ckpt_lock_kind
 * @exclusive: 0 or 1
 * @pid: of CKPT_LOCK_POSIX: the process; else 0
 * @fd: of CKPT_LOCK_POSIX: a descriptor of it that is open on @file; else 0
 */
struct ckpt_rec_lock {
	__u64 file;
	__s64 start;
	__s64 end;
	__u32 kind;
	__u32 exclusive;
	__s32 pid;
	__s32 fd;
};

/* The name of a memfd by which the client of a job step says which one it has
 * launched: CKPT_MARK_STEP "<job>.<step>". */
#define CKPT_MARK_STEP		"ckpt-step:"
#define CKPT_MAX_MARK		249	/* as memfd_create(2) */
#define CKPT_MAX_ARGS		(8U << 20)	/* of arguments, of environment; more than exec(3) takes */

/**
 * struct ckpt_rec_relaunch - a process that is not saved: a restart runs its program anew
 * @pid: its id; its CRED, FS, RLIMITS and FD name it as those of other processes do
 * @ppid: its parent; it has no children itself
 * @pgid: its process group
 * @sid: its session
 * @exit_signal: sent to the parent at exit
 * @nice: …
 * @oom_score_adj: as /proc/PID/oom_score_adj
 * @exe_len: bytes of the path of the program after this struct, without a NUL
 * @blocked: signals, bit n-1 for signal n
 * @ignored: …
 * @mark_len: bytes after the path: CKPT_MARK_STEP and what follows it, without a NUL;
 *	0 for one without a mark
 * @args_len: bytes after that: the arguments, each with its NUL
 * @env_len: bytes after those: the environment that it was executed with, likewise
 * @pad: zero
 * @comm: its name, NUL terminated
 */
struct ckpt_rec_relaunch {
	__s32 pid;
	__s32 ppid;
	__s32 pgid;
	__s32 sid;
	__s32 exit_signal;
	__s32 nice;
	__s32 oom_score_adj;
	__u32 exe_len;
	__u64 blocked;
	__u64 ignored;
	__u32 mark_len;
	__u32 args_len;
	__u32 env_len;
	__u32 pad;
	char comm[CKPT_COMM_LEN];
};

#endif /* _UAPI_LINUX_CKPT_IMAGE_TOOL_H */
