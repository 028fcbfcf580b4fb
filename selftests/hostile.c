// SPDX-License-Identifier: GPL-2.0
/*
 * What nobody asks of the module who means well: it must refuse, and keep what is
 * not the sender's.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <linux/genetlink.h>
#include <linux/sock_diag.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "session.h"

#define CGROUP "/sys/fs/cgroup/test-hostile"
#define FREEZER CGROUP "/cgroup.freeze"
#define USER 1000
#define NR_THREADS 100		/* whose records are several messages */
#define ROUNDS 50

enum { FIRST, SECOND, NR };

static struct shared {
	int pids[NR];
	int nr_claims;
	char reason[sizeof(reason)];
} *shared;

/* ---- the job: two processes, the first with many threads ---- */

static void __attribute__((noreturn)) sleep_on(void)
{
	for (;;)
		pause();
}

static void *thread(void *arg)
{
	(void)arg;
	sleep_on();
}

static void job(int uid)
{
	FILE *f = fopen(CGROUP "/cgroup.procs", "we");
	pthread_attr_t attr;
	pthread_t id;

	if (!f || fprintf(f, "0\n") < 0 || fclose(f) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		_exit(2);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (fork() == 0) {
		__atomic_store_n(&shared->pids[SECOND], getpid(), __ATOMIC_RELEASE);
		sleep_on();
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 1; i < NR_THREADS; i++)
		if (pthread_create(&id, &attr, thread, NULL))
			_exit(2);
	__atomic_store_n(&shared->pids[FIRST], getpid(), __ATOMIC_RELEASE);
	sleep_on();
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static int start_job(int uid)
{
	memset(shared, 0, sizeof(*shared));
	if (fork() == 0)
		job(uid);
	for (int n = 0; n < 60000; n++) {
		if (__atomic_load_n(&shared->pids[FIRST], __ATOMIC_ACQUIRE) &&
		    __atomic_load_n(&shared->pids[SECOND], __ATOMIC_ACQUIRE))
			return 0;
		pause_ms(1);
	}
	return because("the job did not start");
}

static void end_job(void)
{
	int fd = open(CGROUP "/cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (write(fd, "1", 1) != 1)
		because("the job cannot be killed");
	close(fd);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	for (int n = 0; n < 10000 && rmdir(CGROUP) < 0; n++)
		pause_ms(1);
	mkdir(CGROUP, 0755);
}

/* ---- pages into what only looks like a file ---- */

static int write_to(struct nl *nl, int page_fd, int index_fd)
{
	struct nl_msg *msg = nl_new(nl, CKPT_CMD_WRITE);
	struct nl_event ev = { 0 };

	nla_put_s32(msg, CKPT_A_PAGE_FD, page_fd);
	nla_put_s32(msg, CKPT_A_INDEX_FD, index_fd);
	return ss_request(nl, msg, CKPT_EVENT_WRITTEN, &ev);
}

static int write_to_proc(struct nl *nl)
{
	int proc = open("/proc/self/comm", O_RDWR | O_CLOEXEC), rc = -1;
	int file = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int index = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct nl_event ev = { 0 };

	if (ss_prove(nl, shared->pids, NR, "mem", false) || ss_snapshot(nl, CKPT_MODE_COW, &ev))
		because("the snapshot failed");
	else if (!write_to(nl, proc, index) || !write_to(nl, file, proc))
		because("the pages were written to /proc/self/comm");
	else if (write_to(nl, file, index))
		because("nor can they be written to a file then");
	else
		rc = ss_thaw(nl);
	close(proc);
	close(file);
	close(index);
	return rc;
}

/* ---- a dump that goes on after its records were replaced ---- */

static int queued_bytes(int fd)
{
	uint32_t mem[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(mem);

	return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, mem, &len) ? -1 : (int)mem[SK_MEMINFO_RMEM_ALLOC];
}

static int send_bare(struct nl *nl, struct nl_msg *msg, int flags, uint32_t seq)
{
	struct nlmsghdr *head = nlmsg_hdr(msg);
	ssize_t n;

	head->nlmsg_flags |= (uint16_t)(NLM_F_REQUEST | flags);
	head->nlmsg_seq = seq;
	n = send(nl_fd(nl), head, head->nlmsg_len, 0);
	nlmsg_free(msg);
	return n < 0 ? because("cannot send: %s", strerror(errno)) : 0;
}

/* Messages of the dump @seq that can be received, the error that ended it in *@err. */
static int receive_dump(struct nl *nl, uint32_t seq, int *err)
{
	static char buf[1 << 18] __attribute__((aligned(16)));
	int nr = 0;

	for (;;) {
		ssize_t n = recv(nl_fd(nl), buf, sizeof(buf), 0);
		struct nlmsghdr *head = (void *)buf;

		if (n < 0)
			return because("the dump has no end: %s", strerror(errno));
		for (int len = (int)n; nlmsg_ok(head, len); head = nlmsg_next(head, &len)) {
			if (head->nlmsg_seq != seq)
				continue;
			if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR) {
				*err = *(int *)nlmsg_data(head);
				return nr;
			}
			nr++;
		}
	}
}

static int dump_twice(struct nl *nl, int *nr, bool replaced)
{
	static uint32_t seq = 1u << 30;
	int before, err = 0;

	seq += 2;
	if (send_bare(nl, nl_new(nl, CKPT_CMD_DUMP), NLM_F_DUMP, seq))
		return -1;
	if (replaced) {
		struct nl_msg *msg = nl_new(nl, CKPT_CMD_SNAPSHOT);

		nla_put_u32(msg, CKPT_A_MODE, CKPT_MODE_COW);
		before = queued_bytes(nl_fd(nl));
		if (send_bare(nl, msg, 0, seq + 1))
			return -1;
		/* Nothing is received before it is taken: a dump goes on whenever something is. */
		for (int n = 0; n < 60000 && queued_bytes(nl_fd(nl)) == before; n++)
			pause_ms(1);
	}
	*nr = receive_dump(nl, seq, &err);
	return *nr < 0 ? -1 : err;
}

static int dump_replaced(struct nl *nl)
{
	struct nl_event ev = { 0 };
	int nr, rc;

	if (ss_prove(nl, shared->pids, NR, "mem", false) || ss_snapshot(nl, CKPT_MODE_COW, &ev))
		return because("the snapshot failed");
	rc = dump_twice(nl, &nr, false);
	if (rc || nr < 3)
		return because("a dump ended with %d after %d messages", rc, nr);
	/* Other records, so that there is none at the same position. */
	if (ss_prove(nl, &shared->pids[SECOND], 1, "mem", true))
		return because("the second process cannot be left out");
	rc = dump_twice(nl, &nr, true);
	if (rc != -ECANCELED)
		return because("the dump ended with %d after %d messages", rc, nr);
	rc = dump_twice(nl, &nr, false);
	return rc ? because("a new dump ended with %d", rc) : ss_thaw(nl);
}

/* ---- a file mounted over the freezer ---- */

static int victim(char *text, size_t size)
{
	int fd = open("victim", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, size - 1);

	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return n < 0 ? because("the file cannot be read") : 0;
}

/* In user and mount namespaces of their own, anybody may mount what they see. */
static int freeze_mounted(void)
{
	int pids[NR], rc = -1;
	struct nl *nl = NULL;
	char text[16];

	if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER) ||
	    unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return because("no user namespace: %s", strerror(errno));
	if (nl_open(&nl))
		return because("no connection to the module");
	if (mount("victim", FREEZER, NULL, MS_BIND, NULL))
		because("nothing can be mounted there: %s", strerror(errno));
	else if (ss_freeze(nl, CGROUP, pids, NR) >= 0)
		because("the job was frozen");
	else
		rc = victim(text, sizeof(text));
	if (!rc)
		reason[0] = '\0';
	if (!rc && strcmp(text, "xyz") != 0)
		rc = because("the file reads \"%s\" now", text);
	/* The control: it was the mount that was refused. */
	if (!rc && (umount2(FREEZER, MNT_DETACH) || ss_freeze(nl, CGROUP, pids, NR) != NR))
		rc = because("it cannot be frozen without the mount either");
	nl_end(nl);
	return rc;
}

static int mounted_over(void)
{
	FILE *f = fopen("victim", "we");
	int status = -1, pid;

	if (!f || fprintf(f, "xyz") < 0 || fclose(f) || chmod("victim", 0644))
		return because("no file: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		int rc = freeze_mounted();

		strcpy(shared->reason, reason);
		_exit(rc ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return because("no process: %s", strerror(errno));
	unlink("victim");
	return status ? because("%s", shared->reason) : 0;
}

/* ---- somebody asks again and again for what is not theirs ---- */

static void __attribute__((noreturn)) claim(void)
{
	int fd = open(CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct nl *nl = NULL;
	char buf[4096];

	if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER) || nl_open(&nl))
		_exit(2);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t seq = 1u << 30;; seq++) {
		struct nl_msg *msg = nl_new(nl, CKPT_CMD_FREEZE);

		nla_put_s32(msg, CKPT_A_CGROUP_FD, fd);
		if (send_bare(nl, msg, 0, seq))
			_exit(2);
		while (recv(nl_fd(nl), buf, sizeof(buf), MSG_DONTWAIT) > 0)
			;
		__atomic_add_fetch(&shared->nr_claims, 1, __ATOMIC_RELEASE);
	}
}

static int claimed_meanwhile(struct nl *nl)
{
	int pids[NR], rc = ss_thaw(nl), before, pid;

	pid = rc ? -1 : fork();
	if (pid == 0)
		claim();
	if (pid < 0)
		return because("no process");
	for (int n = 0; n < 60000 && !__atomic_load_n(&shared->nr_claims, __ATOMIC_ACQUIRE); n++)
		pause_ms(1);
	before = __atomic_load_n(&shared->nr_claims, __ATOMIC_ACQUIRE);
	for (int n = 0; n < ROUNDS && !rc; n++) {
		struct nl *mine = NULL;

		rc = nl_open(&mine) || ss_freeze(mine, CGROUP, pids, NR) != NR ? -1 : ss_thaw(mine);
		nl_end(mine);
		if (rc)
			because("no connection in round %d", n);
	}
	if (!rc && __atomic_load_n(&shared->nr_claims, __ATOMIC_ACQUIRE) < before + ROUNDS)
		rc = because("there was nobody who asked for it");
	kill(pid, SIGKILL);
	return rc;
}

/* ---- all of them ---- */

static void test(const char *what, int (*fn)(struct nl *nl))
{
	struct nl *nl = NULL;
	int pids[NR], rc = start_job(0);

	if (!rc && nl_open(&nl))
		rc = because("no connection to the module");
	if (!rc && ss_freeze(nl, CGROUP, pids, NR) != NR)
		rc = because("not all %d processes were frozen", NR);
	if (!rc)
		rc = fn(nl);
	nl_end(nl);
	end_job();
	ss_result(rc, what, "");
}

int main(void)
{
	shared = ss_begin(CGROUP);
	if (chdir("/tmp") < 0) {
		printf("Bail out! cannot set up: %s\n", strerror(errno));
		return 1;
	}
	ss_result(start_job(USER) || mounted_over(), "what is mounted over a cgroup's freezer is not written to", "");
	end_job();
	test("a dump does not go on in other records than it began with", dump_replaced);
	test("who may not have a job keeps nobody else from it", claimed_meanwhile);
	test("pages are not written to a file of /proc", write_to_proc);
	rmdir(CGROUP);
	return ss_done();
}
