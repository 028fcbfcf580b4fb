/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * ckpt - what is on disk
 *
 * An image is a directory:
 *
 *   <id>.ckpt/               0700
 *     manifest.json          the commit point: renamed into place last; names
 *                            the current generations and their checksums
 *     gen-<n>/               one checkpoint
 *       records              struct ckpt_record after struct ckpt_record, first
 *                            those of the kernel as the module made them, then
 *                            ckctl's
 *       index                struct ckpt_run after struct ckpt_run
 *       pages                page data, each run at a multiple of 4096 bytes
 *
 * The image of a whole job of a batch system is a directory as well:
 *
 *   <job>.ckpt/              0700
 *     manifest.json          with "kind": "job"; the commit point, as above.  Names
 *                            the parts of each generation: step, node, the tasks
 *                            (rank, number on its node, pid), and the XXH64 that is
 *                            in the first line of that part's manifest
 *     lock                   held by the writer
 *     gen-<n>/               one checkpoint
 *       job.json             what the batch system says of the job
 *       script, environ      of a batch job: its script, and the environment of its
 *                            shell as in /proc/PID/environ
 *       <step>/<node>.ckpt/  a part: what of this step ran on this node, an image as
 *                            above; <step> is a number or "batch"
 *
 * All files are 0600.  All integers are little endian and of fixed width, all
 * structs are padded to 8 bytes by hand.  No kernel address is ever written.
 * Every run carries the XXH64 (seed 0) of its page data; the manifest carries
 * the XXH64 and size of every records and index file.
 *
 * Records follow each other without gaps; each is padded with zeros to 8
 * bytes.  A CKPT_REC_PROCESS opens a process: all per-process records up to the
 * next one belong to it.  Likewise CKPT_REC_THREAD opens a thread of that
 * process.  Records with an id (SHM, FILE, PIPE) stand for objects that are
 * named by id elsewhere.  A CKPT_REC_ZOMBIE stands for itself.  A CKPT_REC_RELAUNCH
 * stands for a process that is not saved but started anew; those that are saved
 * come before it.  A reader refuses an image that has a record of an unknown type
 * without CKPT_RECORD_OPTIONAL, and skips one with it.
 *
 * Here are the records that the module writes; ckctl's are in ckpt_image_tool.h.
 */
#ifndef _UAPI_LINUX_CKPT_IMAGE_H
#define _UAPI_LINUX_CKPT_IMAGE_H

#include <linux/types.h>

#define CKPT_IMAGE_VERSION	1

/**
 * struct ckpt_record - head of every record
 * @type: enum ckpt_record_type
 * @flags: CKPT_RECORD_OPTIONAL
 * @len: bytes of payload that follow, without the padding
 */
struct ckpt_record {
	__u32 type;
	__u32 flags;
	__u64 len;
};

#define CKPT_RECORD_OPTIONAL	(1U << 0)
#define CKPT_RECORD_ALIGN(len)	(((len) + 7ULL) & ~7ULL)

/**
 * enum ckpt_record_type - kinds of records; the payload is the struct of that name
 * @CKPT_REC_UNSPEC: not used
 * @CKPT_REC_PROCESS: struct ckpt_rec_process
 * @CKPT_REC_MM: struct ckpt_rec_mm, then auxv, then the path of the executable
 * @CKPT_REC_VMA: struct ckpt_rec_vma, then the path
 * @CKPT_REC_SIGACTIONS: struct ckpt_sigaction[64], for signals 1 to 64
 * @CKPT_REC_SIGQUEUE: siginfo_t (128 bytes each), pending for the whole process,
 *	or, after a THREAD, for that thread; in order of delivery
 * @CKPT_REC_ITIMERS: struct ckpt_rec_itimer[3]: REAL, VIRTUAL, PROF
 * @CKPT_REC_POSIX_TIMER: struct ckpt_rec_posix_timer
 * @CKPT_REC_THREAD: struct ckpt_rec_thread
 * @CKPT_REC_REGS: struct user_regs_struct, as in NT_PRSTATUS
 * @CKPT_REC_XSTATE: the uncompacted xsave area, as in NT_X86_XSTATE
 * @CKPT_REC_SHM: struct ckpt_rec_shm, then the name
 * @CKPT_REC_PAGES: struct ckpt_rec_pages
 * @CKPT_REC_SCHED: struct ckpt_rec_sched, then the CPU mask, of a thread
 * @CKPT_REC_ZOMBIE: struct ckpt_rec_zombie
 * @CKPT_REC_CRED: struct ckpt_rec_cred, then u32 groups[]
 * @CKPT_REC_FS: struct ckpt_rec_fs, then the working directory and the root directory
 * @CKPT_REC_RLIMITS: struct ckpt_rec_rlimits
 * @CKPT_REC_FD: struct ckpt_rec_fd
 * @CKPT_REC_FILE: struct ckpt_rec_file, then the path
 * @CKPT_REC_PIPE: struct ckpt_rec_pipe, then the bytes in flight
 * @CKPT_REC_EVENTFD: struct ckpt_rec_eventfd
 * @CKPT_REC_TIMERFD: struct ckpt_rec_timerfd
 * @CKPT_REC_SIGNALFD: struct ckpt_rec_signalfd
 * @CKPT_REC_EPOLL: struct ckpt_rec_epoll, then struct ckpt_epoll_watch[]
 * @CKPT_REC_LOCK: struct ckpt_rec_lock
 * @CKPT_REC_CPUS: struct ckpt_rec_cpus, then the CPU mask, once
 * @CKPT_REC_VDSO: the code of the kernel's vdso, an ELF object, once
 * @CKPT_REC_RELAUNCH: struct ckpt_rec_relaunch, then program, mark, arguments, environment
 * @CKPT_REC_TEMPFILE: struct ckpt_rec_tempfile
 * @__CKPT_REC_MAX: one more than the last
 */
enum ckpt_record_type {
	CKPT_REC_UNSPEC,
	/* made by the module */
	CKPT_REC_PROCESS,
	CKPT_REC_MM,
	CKPT_REC_VMA,
	CKPT_REC_SIGACTIONS,
	CKPT_REC_SIGQUEUE,
	CKPT_REC_ITIMERS,
	CKPT_REC_POSIX_TIMER,
	CKPT_REC_THREAD,
	CKPT_REC_REGS,
	CKPT_REC_XSTATE,
	CKPT_REC_SHM,
	CKPT_REC_PAGES,
	CKPT_REC_SCHED,
	CKPT_REC_ZOMBIE,
	/* made by ckctl; each begins with the pid it belongs to or an object id, but for CPUS, VDSO */
	CKPT_REC_CRED = 64,
	CKPT_REC_FS,
	CKPT_REC_RLIMITS,
	CKPT_REC_FD,
	CKPT_REC_FILE,
	CKPT_REC_PIPE,
	CKPT_REC_EVENTFD,
	CKPT_REC_TIMERFD,
	CKPT_REC_SIGNALFD,
	CKPT_REC_EPOLL,
	CKPT_REC_LOCK,
	CKPT_REC_CPUS,
	CKPT_REC_VDSO,
	CKPT_REC_RELAUNCH,
	CKPT_REC_TEMPFILE,
	__CKPT_REC_MAX,
};

#define CKPT_COMM_LEN	16

/**
 * struct ckpt_rec_process - one process (thread group)
 * @pid: its id; this and the following as seen by the owner of the session
 * @ppid: its parent; 0 when the parent is outside that pid namespace
 * @pgid: its process group
 * @sid: its session
 * @nr_threads: CKPT_REC_THREAD records that follow, the leader first
 * @exit_signal: sent to the parent at exit
 * @securebits: as prctl(PR_GET_SECUREBITS)
 * @flags: CKPT_PROCESS_*
 * @oom_score_adj: as /proc/PID/oom_score_adj
 * @stop_signal: of a stop that the parent has not waited for yet, else 0
 * @monotonic_ns: its CLOCK_MONOTONIC when it was saved: deadlines of system
 *	calls that sleep refer to it
 * @boottime_ns: CLOCK_BOOTTIME, likewise
 * @comm: the leader's name, NUL terminated
 */
struct ckpt_rec_process {
	__s32 pid;
	__s32 ppid;
	__s32 pgid;
	__s32 sid;
	__u32 nr_threads;
	__s32 exit_signal;
	__u32 securebits;
	__u32 flags;
	__s32 oom_score_adj;
	__u32 stop_signal;
	__u64 monotonic_ns;
	__u64 boottime_ns;
	char comm[CKPT_COMM_LEN];
};

#define CKPT_PROCESS_CHILD_SUBREAPER	(1U << 0)
#define CKPT_PROCESS_STOPPED		(1U << 1)	/* by SIGSTOP or its like */
#define CKPT_PROCESS_FLAGS		3U

/**
 * struct ckpt_rec_zombie - a dead child that its parent has not waited for
 * @pid: its id
 * @ppid: its parent, which is in the image
 * @pgid: its process group
 * @sid: its session
 * @exit_signal: that was sent to the parent
 * @status: as wait(2) gives it
 * @uid: its real user
 * @pad: zero
 * @comm: its name, NUL terminated
 */
struct ckpt_rec_zombie {
	__s32 pid;
	__s32 ppid;
	__s32 pgid;
	__s32 sid;
	__s32 exit_signal;
	__u32 status;
	__u32 uid;
	__u32 pad;
	char comm[CKPT_COMM_LEN];
};

/**
 * struct ckpt_rec_mm - address space of the process
 * @start_code: this and the following as in struct prctl_mm_map
 * @end_code: …
 * @start_data: …
 * @end_data: …
 * @start_brk: …
 * @brk: …
 * @start_stack: …
 * @arg_start: …
 * @arg_end: …
 * @env_start: …
 * @env_end: …
 * @vdso_start: lowest address of the vvar and vdso mappings, 0 for none
 * @vdso_end: one past their highest
 * @nr_vmas: CKPT_REC_VMA records that follow
 * @auxv_len: bytes of auxv after this struct
 * @exe_len: bytes of the path after auxv, without a NUL
 * @dumpable: as prctl(PR_GET_DUMPABLE)
 * @flags: CKPT_MM_*
 * @coredump_filter: as /proc/PID/coredump_filter
 */
struct ckpt_rec_mm {
	__u64 start_code;
	__u64 end_code;
	__u64 start_data;
	__u64 end_data;
	__u64 start_brk;
	__u64 brk;
	__u64 start_stack;
	__u64 arg_start;
	__u64 arg_end;
	__u64 env_start;
	__u64 env_end;
	__u64 vdso_start;
	__u64 vdso_end;
	__u32 nr_vmas;
	__u32 auxv_len;
	__u32 exe_len;
	__u32 dumpable;
	__u32 flags;
	__u32 coredump_filter;
};

#define CKPT_MM_LOCK_FUTURE	(1U << 0)	/* mlockall(MCL_FUTURE) */
#define CKPT_MM_LOCK_ONFAULT	(1U << 1)	/* with MCL_ONFAULT */
#define CKPT_MM_NO_THP		(1U << 2)	/* prctl(PR_SET_THP_DISABLE) */
#define CKPT_MM_FLAGS		7U

/**
 * enum ckpt_vma_kind - what backs a mapping
 * @CKPT_VMA_ANON: private anonymous memory
 * @CKPT_VMA_FILE: a file: private (changed pages saved) or shared
 * @CKPT_VMA_SHM: shared anonymous memory, memfd, or a file that was removed: a
 *	CKPT_REC_SHM object
 * @CKPT_VMA_VDSO: vvar or vdso: the kernel's own, not saved
 */
enum ckpt_vma_kind {
	CKPT_VMA_ANON = 1,
	CKPT_VMA_FILE,
	CKPT_VMA_SHM,
	CKPT_VMA_VDSO,
};

/**
 * struct ckpt_rec_vma - one mapping
 * @start: first address
 * @end: one past the last
 * @offset: bytes into the file or object
 * @object: CKPT_VMA_SHM: id of the CKPT_REC_SHM; else 0
 * @kind: enum ckpt_vma_kind
 * @prot: PROT_*
 * @flags: MAP_PRIVATE or MAP_SHARED, MAP_GROWSDOWN, MAP_NORESERVE, MAP_LOCKED,
 *	CKPT_VMA_* advice
 * @path_len: bytes of path after this struct, without a NUL
 * @dev: device of the file, as st_dev of stat(2) (new_encode_dev)
 * @ino: inode of the file
 * @size: of the file, bytes
 * @mtime_sec: of the file
 * @mtime_nsec: …
 * @file_writable: a shared mapping's file was open for writing
 */
struct ckpt_rec_vma {
	__u64 start;
	__u64 end;
	__u64 offset;
	__u64 object;
	__u32 kind;
	__u32 prot;
	__u32 flags;
	__u32 path_len;
	__u64 dev;
	__u64 ino;
	__u64 size;
	__s64 mtime_sec;
	__u32 mtime_nsec;
	__u32 file_writable;
};

/* madvise(2) and mlock2(2) of a mapping, in flags that mmap(2) has no use for here. */
#define CKPT_VMA_LOCKONFAULT	(1U << 22)
#define CKPT_VMA_MERGEABLE	(1U << 23)
#define CKPT_VMA_SEQUENTIAL	(1U << 24)
#define CKPT_VMA_RANDOM		(1U << 25)
#define CKPT_VMA_DROPPABLE	(1U << 26)	/* MAP_DROPPABLE: no page of it is saved */
#define CKPT_VMA_DONTFORK	(1U << 27)
#define CKPT_VMA_WIPEONFORK	(1U << 28)
#define CKPT_VMA_DONTDUMP	(1U << 29)
#define CKPT_VMA_HUGEPAGE	(1U << 30)
#define CKPT_VMA_NOHUGEPAGE	(1U << 31)
#define CKPT_VMA_ADVICE		(1023U << 22)

/**
 * struct ckpt_sigaction - as the kernel's sigaction structure on x86-64
 * @handler: SIG_DFL 0, SIG_IGN 1, or a user address
 * @flags: SA_*
 * @restorer: user address
 * @mask: bit n-1 for signal n
 */
struct ckpt_sigaction {
	__u64 handler;
	__u64 flags;
	__u64 restorer;
	__u64 mask;
};

/**
 * struct ckpt_rec_itimer - one interval timer, as setitimer(2)
 * @value_ns: time left, 0 when disarmed
 * @interval_ns: period, 0 for one shot
 */
struct ckpt_rec_itimer {
	__u64 value_ns;
	__u64 interval_ns;
};

/**
 * struct ckpt_rec_posix_timer - one timer_create(2) timer
 * @id: the kernel's timer id
 * @clock: CLOCK_*
 * @notify: SIGEV_*
 * @signo: …
 * @sigev_value: sigev_value.sival_ptr
 * @notify_tid: with SIGEV_THREAD_ID
 * @overrun: as timer_getoverrun(2)
 * @value_ns: time left, 0 when disarmed
 * @interval_ns: period, 0 for one shot
 */
struct ckpt_rec_posix_timer {
	__s32 id;
	__s32 clock;
	__s32 notify;
	__s32 signo;
	__u64 sigev_value;
	__s32 notify_tid;
	__s32 overrun;
	__u64 value_ns;
	__u64 interval_ns;
};

/**
 * enum ckpt_restart_kind - a system call with a timeout that was sleeping
 * @CKPT_RESTART_NONE: none, or one that restarts from its arguments
 * @CKPT_RESTART_NANOSLEEP: nanosleep, clock_nanosleep
 * @CKPT_RESTART_POLL: poll
 * @CKPT_RESTART_FUTEX: futex wait
 */
enum ckpt_restart_kind {
	CKPT_RESTART_NONE,
	CKPT_RESTART_NANOSLEEP,
	CKPT_RESTART_POLL,
	CKPT_RESTART_FUTEX,
};

/**
 * struct ckpt_rec_thread - one thread
 * @tid: its id
 * @flags: CKPT_THREAD_*
 * @sigmask: blocked signals, bit n-1 for signal n
 * @sas_sp: alternate signal stack as sigaltstack(2)
 * @sas_size: …
 * @sas_flags: …
 * @pdeath_signal: as prctl(PR_GET_PDEATHSIG)
 * @robust_list: as get_robust_list(2); its length is always 24
 * @clear_child_tid: as set_tid_address(2)
 * @rseq_addr: as rseq(2), 0 for none
 * @rseq_len: …
 * @rseq_sig: …
 * @restart_kind: enum ckpt_restart_kind
 * @restart_clock: CLOCK_* that the time left is counted on
 * @restart_ns: time left, 0 for passed, ~0 for no timeout
 * @timer_slack_ns: as prctl(PR_GET_TIMERSLACK)
 * @personality: as personality(2)
 * @exit_status: with CKPT_THREAD_ENDED, as wait(2) would give it
 * @comm: name, NUL terminated
 *
 * One with CKPT_THREAD_ENDED has neither registers nor scheduling.
 */
struct ckpt_rec_thread {
	__s32 tid;
	__u32 flags;
	__u64 sigmask;
	__u64 sas_sp;
	__u64 sas_size;
	__u32 sas_flags;
	__s32 pdeath_signal;
	__u64 robust_list;
	__u64 clear_child_tid;
	__u64 rseq_addr;
	__u32 rseq_len;
	__u32 rseq_sig;
	__u32 restart_kind;
	__s32 restart_clock;
	__u64 restart_ns;
	__u64 timer_slack_ns;
	__u32 personality;
	__u32 exit_status;
	char comm[CKPT_COMM_LEN];
};

#define CKPT_THREAD_MCE_EARLY	(1U << 0)	/* prctl(PR_MCE_KILL) */
#define CKPT_THREAD_MCE_LATE	(1U << 1)
#define CKPT_THREAD_ENDED	(1U << 2)	/* a leader: others of its process live on */
#define CKPT_THREAD_FLAGS	7U

/**
 * struct ckpt_rec_sched - scheduling of a thread
 * @policy: SCHED_*; not SCHED_DEADLINE
 * @nice: -20 to 19
 * @rt_priority: of SCHED_FIFO and SCHED_RR, else 0
 * @flags: CKPT_SCHED_RESET_ON_FORK
 * @ioprio: as ioprio_get(2), 0 for one that was never set
 * @cpus_len: bytes of the CPU mask after this struct, as sched_getaffinity(2)
 */
struct ckpt_rec_sched {
	__u32 policy;
	__s32 nice;
	__u32 rt_priority;
	__u32 flags;
	__u32 ioprio;
	__u32 cpus_len;
};

#define CKPT_SCHED_RESET_ON_FORK	(1U << 0)
#define CKPT_MAX_CPUS			8192

/**
 * struct ckpt_rec_shm - one object whose contents are in the image, however many
 *	map it or have it open: shared memory, a file that was removed, or a temporary
 *	file
 * @id: named by CKPT_REC_VMA and CKPT_REC_FILE
 * @size: bytes
 * @name_len: bytes of name after this struct: its path, without " (deleted)"
 * @mode: st_mode
 * @dev: st_dev
 * @ino: st_ino
 * @flags: CKPT_SHM_FILE or CKPT_SHM_NAMED
 * @pad: zero
 */
struct ckpt_rec_shm {
	__u64 id;
	__u64 size;
	__u32 name_len;
	__u32 mode;
	__u64 dev;
	__u64 ino;
	__u32 flags;
	__u32 pad;
};

/* Its path was that of a file: it comes back as a file without a name there. */
#define CKPT_SHM_FILE		(1U << 0)
/* It has its path, and a CKPT_REC_TEMPFILE: it comes back where it is no more. */
#define CKPT_SHM_NAMED		(1U << 1)

/**
 * enum ckpt_pages_owner - whose pages a CKPT_REC_PAGES describes
 * @CKPT_PAGES_MM: a process's private memory; the owner is its pid and
 *	addresses are virtual addresses
 * @CKPT_PAGES_SHM: a shared object; the owner is its id and addresses are
 *	offsets
 */
enum ckpt_pages_owner {
	CKPT_PAGES_MM = 1,
	CKPT_PAGES_SHM,
};

/**
 * struct ckpt_rec_pages - where one owner's pages are
 * @owner: pid or shared object id
 * @owner_kind: enum ckpt_pages_owner
 * @generation: 0 as the module makes it; ckctl fills in the generation
 * @index_pos: bytes into that generation's index, of the first run
 * @nr_runs: how many
 * @nr_pages: in these runs, zero ones counted
 */
struct ckpt_rec_pages {
	__u64 owner;
	__u32 owner_kind;
	__u32 generation;
	__u64 index_pos;
	__u64 nr_runs;
	__u64 nr_pages;
};

#define CKPT_PAGE_SIZE		4096
#define CKPT_RUN_MAX_PAGES	256

/**
 * struct ckpt_run - consecutive pages, the unit that is checked
 * @addr: virtual address or offset in the object, page aligned; ascending
 *	within one CKPT_REC_PAGES
 * @pos: bytes into the page file, page aligned; 0 with CKPT_RUN_ZERO
 * @nr_pages: 1 to CKPT_RUN_MAX_PAGES, any number with CKPT_RUN_ZERO
 * @flags: CKPT_RUN_ZERO: all zeros, nothing in the page file
 * @xxh64: of the page data, seed 0; 0 with CKPT_RUN_ZERO
 */
struct ckpt_run {
	__u64 addr;
	__u64 pos;
	__u32 nr_pages;
	__u32 flags;
	__u64 xxh64;
};

#define CKPT_RUN_ZERO	(1U << 0)

#include <linux/ckpt_image_tool.h>

#endif /* _UAPI_LINUX_CKPT_IMAGE_H */
