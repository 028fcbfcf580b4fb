// SPDX-License-Identifier: GPL-2.0
/*
 * Holds one kind of what the module refuses: the one that the last part of its
 * directory's name says.  Where the kernel lacks that, there is DIR/lacks.
 *
 * Its own threads and children only hold it: the first thread talks, as in any
 * other program here, so that one that was refused is seen to go on.
 */
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include "workload.h"

#ifndef SYS_mseal
#define SYS_mseal	462
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define PAGE		4096
#define STACK		65536
#define LARGE		(257UL << 20)	/* more than is copied while a job stands still */
#define USER32_CS	0x23

/* Makes a barrier of what a child or thread has yet to do. */
static int holding[2];

static void __attribute__((noreturn)) hold(void)
{
	wl_must(write(holding[1], "", 1));
	for (;;)
		pause();
}

static void await_hold(void)
{
	char c;

	wl_check(read(holding[0], &c, 1) == 1, "nobody holds it");
}

/* Not there, or not for us: not what is tested here. */
static bool lacks(bool missing)
{
	if (missing)
		wl_must(mkdir(wl_path("lacks"), 0755));
	return missing;
}

static void *map(int flags, int fd, off_t offset)
{
	return mmap(NULL, PAGE, fd < 0 ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, offset);
}

static void *page(void)
{
	void *p = map(MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	wl_check(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static void *hold_in_thread(void *arg)
{
	void (*take)(void) = arg;
	sigset_t all;

	/* What is sent to the process is for the first thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	take();
	hold();
}

static void in_thread(void (*take)(void))
{
	pthread_t id;

	wl_check(pthread_create(&id, NULL, hold_in_thread, take) == 0, "no thread can be created");
	await_hold();
}

static int hold_in_child(void *arg)
{
	(void)arg;
	hold();
}

static pid_t in_child(int flags)
{
	static char stack[STACK] __attribute__((aligned(16)));
	pid_t pid = wl_must(clone(hold_in_child, stack + sizeof(stack), flags | SIGCHLD, NULL));

	await_hold();
	return pid;
}

/* ---- processes ---- */

static void seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &allow };

	wl_must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	lacks(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0);
}

static void ptrace_child(void)
{
	wl_must(ptrace(PTRACE_SEIZE, in_child(0), NULL, NULL));
}

/* Dead, and nobody waits for it. */
static void ptrace_dead(void)
{
	pid_t pid = in_child(0);
	siginfo_t info;

	wl_must(ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	wl_must(kill(pid, SIGKILL));
	wl_must(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT));
}

static void *vfork_thread(void *arg)
{
	if (vfork() == 0)
		hold();
	return arg;
}

static void vfork_child(void)
{
	pthread_t id;

	wl_check(pthread_create(&id, NULL, vfork_thread, NULL) == 0, "no thread can be created");
	await_hold();
}

static void other_user(void)
{
	syscall(SYS_setfsuid, 1);
}

static void no_new_privs(void)
{
	wl_must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void own_fs(void)
{
	wl_must(unshare(CLONE_FS));
}

static void own_files(void)
{
	wl_must(unshare(CLONE_FILES));
}

static void thread_user(void) { in_thread(other_user); }
static void thread_privs(void) { in_thread(no_new_privs); }
static void thread_fs(void) { in_thread(own_fs); }
static void thread_files(void) { in_thread(own_files); }
static void shared_files(void) { in_child(CLONE_FILES); }
static void shared_fs(void) { in_child(CLONE_FS); }
static void shared_handlers(void) { in_child(CLONE_SIGHAND | CLONE_VM); }
static void namespace_uts(void) { lacks(unshare(CLONE_NEWUTS) < 0); }
static void namespace_user(void) { lacks(unshare(CLONE_NEWUSER) < 0); }

static void namespace_pid(void)
{
	if (!lacks(unshare(CLONE_NEWPID) < 0))
		in_child(0);
}

static void deadline(void)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
	} attr = {
		.size = sizeof(attr), .policy = SCHED_DEADLINE,
		.runtime = 1000000, .deadline = 1000000000, .period = 1000000000,
	};

	lacks(syscall(SYS_sched_setattr, 0, &attr, 0) < 0);
}

static void thread_deadline(void) { in_thread(deadline); }

static void ports(void) { lacks(iopl(3) < 0); }

/* In a loop there: pause(), with the number and the way in of 32-bit programs. */
static void compat(void)
{
	static const unsigned char code[] = { 0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7 };
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct {
		uint32_t offset;
		uint16_t segment;
	} *far = (void *)(p + PAGE);

	wl_check(p != MAP_FAILED, "mmap: %s", strerror(errno));
	memcpy(p, code, sizeof(code));
	far->offset = (uint32_t)(uintptr_t)p;
	far->segment = USER32_CS;
	wl_must(write(holding[1], "", 1));
	/* Not by lretq: for QEMU without KVM the stack were the kernel's then. */
	asm volatile("mov %0, %%rsp\n\tljmp *(%1)" : : "r"(p + 2 * PAGE), "r"(far) : "memory");
}

static void program_32bit(void)
{
	/* What only kernels have that run such programs. */
	if (!lacks(access("/proc/sys/abi/vsyscall32", F_OK) < 0))
		in_thread(compat);
}

/* ---- timers ---- */

static void timer_on(clockid_t clock)
{
	struct sigevent none = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	lacks(timer_create(clock, &none, &timer) < 0);
}

static void timer_thread(void) { timer_on(CLOCK_THREAD_CPUTIME_ID); }
static void timer_alarm(void) { timer_on(CLOCK_BOOTTIME_ALARM); }

static void timer_process(void)
{
	clockid_t clock;

	wl_check(clock_getcpuclockid(in_child(0), &clock) == 0, "a process has no clock");
	timer_on(clock);
}

/* ---- memory ---- */

static int new_uring(unsigned int flags, struct io_uring_params *params)
{
	int fd;

	memset(params, 0, sizeof(*params));
	params->flags = flags;
	params->sq_thread_idle = 1;
	fd = (int)syscall(SYS_io_uring_setup, 1, params);
	return lacks(fd < 0) ? -1 : fd;
}

static void io_uring_worker(void)
{
	struct io_uring_params params;

	new_uring(IORING_SETUP_SQPOLL, &params);
}

static void io_uring_memory(void)
{
	struct io_uring_params params;
	int fd = new_uring(0, &params);

	if (fd < 0)
		return;
	wl_check(map(MAP_SHARED, fd, IORING_OFF_SQ_RING) != MAP_FAILED, "mmap: %s", strerror(errno));
	close(fd);
}

static void hugetlb(void)
{
	lacks(mmap(NULL, 2UL << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE,
		   -1, 0) == MAP_FAILED);
}

static void device(void)
{
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);

	if (lacks(fd < 0))
		return;
	lacks(map(MAP_SHARED, fd, 0xf0000) == MAP_FAILED);
	close(fd);
}

static void userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)page(), .len = PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (lacks(fd < 0))
		return;
	wl_must(ioctl(fd, UFFDIO_API, &api));
	wl_must(ioctl(fd, UFFDIO_REGISTER, &range));
}

static void mseal(void)
{
	lacks(syscall(SYS_mseal, page(), PAGE, 0) < 0);
}

static void pkey(void)
{
	int key = pkey_alloc(0, 0);

	if (!lacks(key < 0))
		wl_must(pkey_mprotect(page(), PAGE, PROT_READ, key));
}

static void secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (lacks(fd < 0))
		return;
	wl_must(ftruncate(fd, PAGE));
	wl_check(map(MAP_SHARED, fd, 0) != MAP_FAILED, "mmap: %s", strerror(errno));
	close(fd);
}

static void sysv(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, 0600);

	if (lacks(id < 0))
		return;
	wl_check(shmat(id, NULL, 0) != (void *)-1, "shmat: %s", strerror(errno));
	wl_must(shmctl(id, IPC_RMID, NULL));
}

static void other_name(void)
{
	int fd = wl_must(open(wl_path("one"), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	char other[PATH_MAX];

	wl_must(ftruncate(fd, PAGE));
	strcpy(other, wl_path("other"));
	wl_must(link(wl_path("one"), other));
	wl_must(unlink(wl_path("one")));
	wl_check(map(MAP_SHARED, fd, 0) != MAP_FAILED, "mmap: %s", strerror(errno));
	close(fd);
}

static void large_file(void)
{
	static char block[1 << 20];
	int fd = wl_must(open(wl_path("large"), O_RDWR | O_CREAT, 0600));
	size_t at;

	wl_must(unlink(wl_path("large")));
	memset(block, 1, sizeof(block));
	for (at = 0; at < LARGE; at += sizeof(block))
		wl_check(write(fd, block, sizeof(block)) == sizeof(block), "write: %s", strerror(errno));
}

/* ---- more than one ---- */

static void in_process(void (*take)(void))
{
	if (wl_must(fork()) == 0) {
		take();
		hold();
	}
	await_hold();
}

static void three(void)
{
	in_process(sysv);
	in_process(hugetlb);
	seccomp();
}

/* More than a message has room for. */
static void many(void)
{
	for (int i = 0; i < 300; i++)
		in_process(hugetlb);
}

#define KIND(name)	{ #name, name }

static const struct {
	const char *name;
	void (*take)(void);
} kinds[] = {
	KIND(seccomp), KIND(ptrace_child), KIND(ptrace_dead), KIND(vfork_child), KIND(thread_user),
	KIND(thread_privs), KIND(thread_fs), KIND(thread_files), KIND(shared_files),
	KIND(shared_fs), KIND(shared_handlers), KIND(namespace_uts), KIND(namespace_user),
	KIND(namespace_pid), KIND(thread_deadline), KIND(ports), KIND(program_32bit),
	KIND(timer_thread), KIND(timer_alarm), KIND(timer_process), KIND(io_uring_worker),
	KIND(io_uring_memory), KIND(hugetlb), KIND(device), KIND(userfaultfd), KIND(mseal),
	KIND(pkey), KIND(secret), KIND(sysv), KIND(other_name), KIND(large_file), KIND(three),
	KIND(many),
};

int main(int argc, char **argv)
{
	const char *kind;
	size_t i;

	wl_start(argc, argv);
	kind = strrchr(wl_dir, '/') + 1;
	wl_must(pipe2(holding, O_CLOEXEC));
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && strcmp(kinds[i].name, kind) != 0; i++)
		;
	/* One of no kind is what the others are compared with. */
	if (i < sizeof(kinds) / sizeof(kinds[0]))
		kinds[i].take();
	wl_ready();
	/* There are many of us at a time. */
	while (!wl_stopping())
		wl_pause_ms(100);
	wl_passed();
	return 0;
}
