// SPDX-License-Identifier: GPL-2.0
/*
 * What belongs to a process or thread beside memory, files and signals: scheduling,
 * I/O priority and CPU affinity of each thread, names, timer slack, personality,
 * oom_score_adj, subreaper, core dump filter and the like; and what /proc shows
 * of the program: exe, cmdline, environ, auxv, comm.
 */
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "workload.h"

#define NR 4

#define BE(level)	(IOPRIO_CLASS_BE << IOPRIO_CLASS_SHIFT | (level))
#define IDLE		(IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT)
#define RESET_ON_FORK	1

/* linux/sched/types.h does not go with sched.h. */
struct sched_attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

/* Each thread's own. */
struct attributes {
	struct sched_attributes sched;
	int ioprio, slack, personality, mce;
	cpu_set_t cpus;
	char name[16];
};

static const struct {
	int policy, nice, priority, cpu, ioprio;
} wanted[NR] = {
	/* Last the main thread: what an ordinary user has lowered stays low. */
	{ SCHED_BATCH, 7, 0, 0, BE(6) },
	{ SCHED_IDLE, 0, 0, 1, IDLE },
	{ SCHED_RR, 0, 3, -1, BE(2) },
	{ SCHED_OTHER, 3, 0, 0, 0 },
};

static struct attributes was[NR];
static pthread_barrier_t barrier;
static volatile bool stop;
static volatile int ask, answers;	/* the number of a round, and who has seen it */
static bool root;

/* What the whole process has, as text. */
static const char *const files[] = {
	"exe", "cmdline", "environ", "auxv", "comm", "oom_score_adj", "coredump_filter", "personality",
};

static char texts[sizeof(files) / sizeof(files[0])][65536];
static ssize_t lengths[sizeof(files) / sizeof(files[0])];

static ssize_t read_proc(const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n, len = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	if (strcmp(name, "exe") == 0)
		return wl_must(readlink(path, buf, size));
	fd = open(path, O_RDONLY);
	if (fd < 0 && errno == ENOENT)
		return 0;
	wl_must(fd);
	while ((n = wl_must(read(fd, buf + len, size - (size_t)len))) > 0)
		len += n;
	close(fd);
	return len;
}

static void read_self(struct attributes *a)
{
	memset(a, 0, sizeof(*a));
	wl_must(syscall(SYS_sched_getattr, 0, &a->sched, sizeof(a->sched), 0));
	a->ioprio = wl_must(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
	a->slack = wl_must(prctl(PR_GET_TIMERSLACK));
	a->personality = wl_must(personality(0xffffffff));
	a->mce = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
	wl_must(sched_getaffinity(0, sizeof(a->cpus), &a->cpus));
	wl_must(prctl(PR_GET_NAME, a->name));
}

static void verify_self(int who)
{
	struct attributes now;

	read_self(&now);
	wl_check(now.sched.policy == was[who].sched.policy &&
		 now.sched.nice == was[who].sched.nice &&
		 now.sched.priority == was[who].sched.priority &&
		 now.sched.flags == was[who].sched.flags,
		 "thread %d has policy %u, nice value %d, priority %u, flags %#llx", who,
		 now.sched.policy, now.sched.nice, now.sched.priority,
		 (unsigned long long)now.sched.flags);
	wl_check(now.ioprio == was[who].ioprio, "thread %d has I/O priority %#x instead of %#x", who,
		 now.ioprio, was[who].ioprio);
	wl_check(CPU_EQUAL(&now.cpus, &was[who].cpus), "thread %d has another CPU affinity", who);
	wl_check(now.slack == was[who].slack, "thread %d has timer slack %d", who, now.slack);
	wl_check(now.personality == was[who].personality, "thread %d has personality %#x", who,
		 now.personality);
	wl_check(now.mce == was[who].mce, "thread %d has machine check policy %d", who, now.mce);
	wl_check(strcmp(now.name, was[who].name) == 0, "thread %d has the name %s", who, now.name);
}

static void set_up_self(int who)
{
	struct sched_attributes attr = {
		.size = sizeof(attr), .policy = wanted[who].policy,
		.nice = wanted[who].nice, .priority = wanted[who].priority,
		.flags = who == 0 ? RESET_ON_FORK : 0,
	};
	cpu_set_t cpus;
	char name[16];

	if (!root && attr.priority)
		attr = (struct sched_attributes){ .size = sizeof(attr) };
	wl_must(syscall(SYS_sched_setattr, 0, &attr, 0));
	wl_must(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, wanted[who].ioprio));
	CPU_ZERO(&cpus);
	CPU_SET(wanted[who].cpu, &cpus);
	/* There may be one CPU only. */
	if (wanted[who].cpu >= 0 && sched_setaffinity(0, sizeof(cpus), &cpus) < 0)
		wl_check(errno == EINVAL, "sched_setaffinity: %s", strerror(errno));
	wl_must(prctl(PR_SET_TIMERSLACK, 1000 + who));
	wl_must(personality(who & 1 ? ADDR_NO_RANDOMIZE : UNAME26));
	if (who < 2)
		wl_must(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, who ? PR_MCE_KILL_EARLY : PR_MCE_KILL_LATE, 0, 0));
	snprintf(name, sizeof(name), "(%d) \n)", who);
	wl_must(prctl(PR_SET_NAME, name));
	read_self(&was[who]);
}

static void *run(void *arg)
{
	int who = (int)(intptr_t)arg, seen = 0;

	set_up_self(who);
	pthread_barrier_wait(&barrier);
	while (!stop) {
		verify_self(who);
		if (ask != seen) {
			seen = ask;
			__atomic_add_fetch(&answers, 1, __ATOMIC_RELEASE);
		}
		wl_pause_ms(2);
	}
	return NULL;
}

static void write_proc(const char *name, const char *text)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/%s", name);
	fd = wl_must(open(path, O_WRONLY));
	wl_check(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", path, strerror(errno));
	close(fd);
}

static void set_up(void)
{
	pthread_t t;

	root = geteuid() == 0;
	write_proc("oom_score_adj", "345");
	/* A kernel without core dumps has none. */
	if (access("/proc/self/coredump_filter", F_OK) == 0)
		write_proc("coredump_filter", "0x15");
	wl_must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
	wl_must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	wl_must(prctl(PR_SET_PDEATHSIG, SIGWINCH));
	if (root) {	/* locked, so that it is seen to come in the right order */
		wl_must(prctl(PR_SET_SECUREBITS, 0x3 | 1 << 6 | 1 << 7));
		/* An ordinary user's would not be theirs to look at. */
		wl_must(prctl(PR_SET_DUMPABLE, 0));
	} else {
		wl_must(prctl(PR_SET_KEEPCAPS, 1));
	}
	pthread_barrier_init(&barrier, NULL, NR);
	for (int i = 0; i < NR - 1; i++)
		wl_check(pthread_create(&t, NULL, run, (void *)(intptr_t)i) == 0, "no thread can be created");
	set_up_self(NR - 1);
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		lengths[i] = read_proc(files[i], texts[i], sizeof(texts[i]));
}

static void verify(int secure)
{
	static char now[65536];
	int value;

	verify_self(NR - 1);
	for (size_t i = 0; wl_unwatched() && i < sizeof(files) / sizeof(files[0]); i++) {
		ssize_t n = read_proc(files[i], now, sizeof(now));

		wl_check(n == lengths[i] && memcmp(now, texts[i], (size_t)n) == 0,
			 "/proc/self/%s changed from \"%.*s\" to \"%.*s\"", files[i],
			 (int)lengths[i] < 100 ? (int)lengths[i] : 100, texts[i], (int)n < 100 ? (int)n : 100, now);
	}
	wl_must(prctl(PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0));
	wl_check(value == 1, "it is no subreaper any more");
	wl_check(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1, "transparent huge pages are on again");
	wl_must(prctl(PR_GET_PDEATHSIG, &value));
	wl_check(value == SIGWINCH, "the parent death signal is %d", value);
	wl_check(prctl(PR_GET_SECUREBITS) == secure, "the secure bits are %#x", prctl(PR_GET_SECUREBITS));
	wl_check(prctl(PR_GET_DUMPABLE) == !root, "dumpable is %d", prctl(PR_GET_DUMPABLE));
	wl_check(getauxval(AT_PAGESZ) == 4096, "the auxiliary vector in memory changed");
}

int main(int argc, char **argv)
{
	int secure;

	wl_start(argc, argv);
	set_up();
	secure = prctl(PR_GET_SECUREBITS);
	wl_ready();
	do {
		struct wl_patience p = { 0 };

		verify(secure);
		answers = 0;
		ask++;
		while (answers < NR - 1) {
			wl_check(wl_patient(&p, 60), "the threads stand still");
			wl_pause_ms(2);
		}
	} while (!wl_stopping());
	stop = true;
	wl_passed();
	return 0;
}
