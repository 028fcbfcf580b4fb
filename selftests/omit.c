// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that are left out of a snapshot: PROVE with OMIT.
 *
 *	first -+- middle -+- last
 *	       |          `- (a zombie)
 *	       +- (a zombie)
 *	       `- sharer: it shares first's memory, where a test wants it
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "session.h"

#define CGROUP "/sys/fs/cgroup/test-omit"

enum { FIRST, MIDDLE, LAST, SHARER, NR };

static struct shared {
	int pids[NR], zombies[2];
	int outer;		/* the pid of one in a pid namespace, as it is seen here */
	char reason[sizeof(reason)];
} *shared;

/* ---- the job ---- */

static void enter_cgroup(void)
{
	FILE *f = fopen(CGROUP "/cgroup.procs", "we");

	if (!f || fprintf(f, "0\n") < 0 || fclose(f))
		_exit(2);
}

static int make_zombie(void)
{
	int pid = fork();

	if (pid == 0)
		_exit(3);
	waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	return pid;
}

static int __attribute__((noreturn)) sharer(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

static void job(bool shares)
{
	static char stack[16384] __attribute__((aligned(16)));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter_cgroup();
	shared->zombies[0] = make_zombie();
	if (shares)
		shared->pids[SHARER] = clone(sharer, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
	if (fork() == 0) {
		shared->zombies[1] = make_zombie();
		if (fork() == 0) {
			__atomic_store_n(&shared->pids[LAST], getpid(), __ATOMIC_RELEASE);
			sharer(NULL);
		}
		__atomic_store_n(&shared->pids[MIDDLE], getpid(), __ATOMIC_RELEASE);
		sharer(NULL);
	}
	__atomic_store_n(&shared->pids[FIRST], getpid(), __ATOMIC_RELEASE);
	sharer(NULL);
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static int await(const int *pid)
{
	for (int n = 0; n < 30000; n++) {
		if (__atomic_load_n(pid, __ATOMIC_ACQUIRE))
			return 0;
		pause_ms(1);
	}
	return because("the job did not start");
}

static int start_job(bool shares)
{
	memset(shared, 0, sizeof(*shared));
	if (fork() == 0)
		job(shares);
	return await(&shared->pids[FIRST]) || await(&shared->pids[MIDDLE]) || await(&shared->pids[LAST]);
}

static void end_job(void)
{
	int fd = open(CGROUP "/cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (write(fd, "1", 1) != 1)
		because("the job cannot be killed");
	close(fd);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	for (int n = 0; n < 10000 && rmdir(CGROUP) < 0; n++)
		pause_ms(1);
	mkdir(CGROUP, 0755);
}

/* ---- what is in a snapshot ---- */

struct found {
	int processes[NR], ppids[NR], nr;	/* by their place in shared.pids; others count, too */
	int zombies[2], nr_zombies;
};

static void look(const struct ss_records *r, struct found *found)
{
	size_t pos = 0;

	memset(found, 0, sizeof(*found));
	while (pos + sizeof(struct ckpt_record) <= r->len) {
		const struct ckpt_record *head = (const void *)(r->data + pos);
		const struct ckpt_rec_process *process = (const void *)(head + 1);
		const struct ckpt_rec_zombie *zombie = (const void *)(head + 1);

		pos += sizeof(*head) + CKPT_RECORD_ALIGN(head->len);
		if (head->type == CKPT_REC_PROCESS) {
			found->nr++;
			for (int i = 0; i < NR; i++)
				if (shared->pids[i] == process->pid) {
					found->processes[i] = 1;
					found->ppids[i] = process->ppid;
				}
		} else if (head->type == CKPT_REC_ZOMBIE) {
			found->nr_zombies++;
			for (int i = 0; i < 2; i++)
				found->zombies[i] |= shared->zombies[i] == zombie->pid;
		}
	}
}

/* The owners of pages are the processes that have records. */
static int check_pages(struct nl *nl, int nr)
{
	struct nl_msg *msg = nl_new(nl, CKPT_CMD_WRITE);
	int fds[2] = { open(".", O_TMPFILE | O_RDWR, 0600), open(".", O_TMPFILE | O_RDWR, 0600) };
	struct ss_records pages = { 0 };
	struct nl_event ev = { 0 };
	int rc, owners = 0;
	size_t pos = 0;

	nla_put_s32(msg, CKPT_A_PAGE_FD, fds[0]);
	nla_put_s32(msg, CKPT_A_INDEX_FD, fds[1]);
	rc = ss_request(nl, msg, CKPT_EVENT_WRITTEN, &ev);
	close(fds[0]);
	close(fds[1]);
	if (rc || ss_fetch(nl, CKPT_CMD_DUMP_PAGES, &pages))
		return because("the pages cannot be written");
	while (pos + sizeof(struct ckpt_record) <= pages.len) {
		const struct ckpt_record *head = (const void *)(pages.data + pos);

		owners += ((const struct ckpt_rec_pages *)(head + 1))->owner_kind == CKPT_PAGES_MM;
		pos += sizeof(*head) + CKPT_RECORD_ALIGN(head->len);
	}
	free(pages.data);
	return owners == nr ? 0 : because("%d processes have pages instead of %d", owners, nr);
}

static int take(struct nl *nl, struct found *found)
{
	struct ss_records records = { 0 };
	struct nl_event ev = { 0 };
	int rc = ss_snapshot(nl, CKPT_MODE_COW, &ev);

	if (rc)
		return because("the snapshot failed: %s", ev.message);
	rc = ss_fetch(nl, CKPT_CMD_DUMP, &records);
	if (!rc)
		look(&records, found);
	free(records.data);
	return rc;
}

/* A snapshot that must fail for this reason, and the job must run on. */
static int refuse(struct nl *nl, enum ckpt_reason reason_wanted, const char *word)
{
	struct nl_event ev = { 0 };
	char frozen[256] = "";
	int fd;

	if (!ss_snapshot(nl, CKPT_MODE_COW, &ev))
		return because("the snapshot was taken");
	if (ev.event != CKPT_EVENT_FAILED || ev.reason != reason_wanted || !strstr(ev.message, word))
		return because("it failed for reason %d: %s", ev.reason, ev.message);
	fd = open(CGROUP "/cgroup.events", O_RDONLY | O_CLOEXEC);
	for (int n = 0; n < 5000; n++) {
		if (pread(fd, frozen, sizeof(frozen) - 1, 0) > 0 && strstr(frozen, "frozen 0"))
			break;
		pause_ms(1);
	}
	close(fd);
	return strstr(frozen, "frozen 0") ? 0 : because("the job does not run on");
}

/* ---- the tests, each with a job of its own, frozen ---- */

static int nobody(struct nl *nl)
{
	struct found f;

	if (ss_prove(nl, shared->pids, 3, "mem", false) || take(nl, &f))
		return because("a plain snapshot");
	return f.nr == 3 && f.nr_zombies == 2 && f.zombies[0] && f.zombies[1] ? check_pages(nl, 3) :
	       because("%d processes and %d zombies are in it", f.nr, f.nr_zombies);
}

static int in_the_middle(struct nl *nl)
{
	const int kept[] = { shared->pids[FIRST], shared->pids[LAST] };
	struct found f;

	if (ss_prove(nl, kept, 2, "mem", false) ||
	    ss_prove(nl, &shared->pids[MIDDLE], 1, "mem", true) || take(nl, &f))
		return because("it cannot be left out");
	if (f.nr != 2 || !f.processes[FIRST] || !f.processes[LAST])
		return because("%d processes are in it, the wrong ones perhaps", f.nr);
	if (f.ppids[LAST] != shared->pids[MIDDLE])
		return because("the parent of its child is %d", f.ppids[LAST]);
	if (f.nr_zombies != 1 || !f.zombies[0])
		return because("%d zombies are in it, the wrong ones perhaps", f.nr_zombies);
	return check_pages(nl, 2) || ss_thaw(nl);
}

static int last_word(struct nl *nl)
{
	struct found f;

	if (ss_prove(nl, shared->pids, 3, "mem", true) || ss_prove(nl, shared->pids, 2, "mem", false) ||
	    take(nl, &f))
		return because("the first change of mind");
	if (f.nr != 2 || f.processes[LAST])
		return because("%d processes are in it", f.nr);
	if (ss_prove(nl, &shared->pids[LAST], 1, "mem", false) || take(nl, &f))
		return because("the second change of mind");
	return f.nr == 3 ? ss_thaw(nl) : because("then %d processes are in it", f.nr);
}

static int everybody(struct nl *nl)
{
	if (ss_prove(nl, shared->pids, 3, "mem", true))
		return because("they cannot be left out");
	return refuse(nl, CKPT_REASON_EMPTY, "nothing to save");
}

static int without_proof(struct nl *nl)
{
	const int self = getpid();

	if (!ss_prove(nl, &shared->pids[MIDDLE], 1, "environ", true))
		return because("another file was a proof");
	if (!ss_prove(nl, &self, 1, "mem", true))
		return because("the memory of a process outside of the job was a proof");
	if (!ss_prove(nl, &self, 0, "mem", true) && ss_prove(nl, shared->pids, 1, "mem", true))
		return because("the first one cannot be left out");
	return refuse(nl, CKPT_REASON_PERM, "has not shown");
}

static bool is_dead(int pid)
{
	char path[64], text[512] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return strstr(text, ") Z");
}

/* Frozen is not a lock, also not for those. */
static int ended(struct nl *nl)
{
	if (ss_prove(nl, shared->pids, 2, "mem", false) ||
	    ss_prove(nl, &shared->pids[LAST], 1, "mem", true))
		return because("the last one cannot be left out");
	kill(shared->pids[LAST], SIGKILL);
	for (int n = 0; n < 5000 && !is_dead(shared->pids[LAST]); n++)
		pause_ms(1);
	return refuse(nl, CKPT_REASON_UNSUPPORTED, "ending");
}

static int shares_with_kept(struct nl *nl)
{
	if (ss_prove(nl, shared->pids, 3, "mem", false) ||
	    ss_prove(nl, &shared->pids[SHARER], 1, "mem", true))
		return because("it cannot be left out");
	return refuse(nl, CKPT_REASON_UNSUPPORTED, "shares its memory");
}

static int shares_with_omitted(struct nl *nl)
{
	const int omitted[] = { shared->pids[FIRST], shared->pids[SHARER] };
	const int kept[] = { shared->pids[MIDDLE], shared->pids[LAST] };
	struct found f;

	if (ss_prove(nl, omitted, 2, "mem", true) || ss_prove(nl, kept, 2, "mem", false) || take(nl, &f))
		return because("they cannot be left out");
	if (f.nr != 2 || f.ppids[MIDDLE] != shared->pids[FIRST] || f.nr_zombies != 1)
		return because("%d processes and %d zombies are in it", f.nr, f.nr_zombies);
	return check_pages(nl, 2) || ss_thaw(nl);
}

/* ---- seen from a pid namespace ---- */

/* Another process of the job, which knows its outer pid from the outer /proc. */
static void inner_process(void)
{
	char name[16] = "";

	enter_cgroup();
	if (readlink("/proc/self", name, sizeof(name) - 1) > 0)
		__atomic_store_n(&shared->outer, atoi(name), __ATOMIC_RELEASE);
	sharer(NULL);
}

static int inner_round(bool omit)
{
	int pids[4], nr, rc = -1;
	struct nl *nl = NULL;
	struct found f;

	if (nl_open(&nl))
		return because("no connection to the module");
	nr = ss_freeze(nl, CGROUP, pids, 4);
	if (nr < 0)
		goto out;
	if (nr != 1 || pids[0] >= 100)
		because("%d processes are seen, the first is %d", nr, pids[0]);
	else if (ss_prove(nl, &shared->outer, 1, "mem", false) ||
		 ss_prove(nl, shared->pids, 3, "mem", omit))
		because("the proof was refused");
	else if (!omit)
		rc = refuse(nl, CKPT_REASON_PERM, "outside of the caller's pid namespace");
	else if (!take(nl, &f))
		rc = f.nr == 1 && f.nr_zombies == 0 ? ss_thaw(nl) :
		     because("%d processes and %d zombies are in it", f.nr, f.nr_zombies);
out:
	nl_end(nl);
	return rc;
}

static int inner(void *arg)
{
	int rc;

	(void)arg;
	if (fork() == 0)
		inner_process();
	rc = await(&shared->outer) || inner_round(false) || inner_round(true);
	strcpy(shared->reason, reason);
	/* The namespace ends with its init, the process of the job as well. */
	_exit(rc ? 1 : 0);
}

static int unseen(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int status = -1, pid = clone(inner, stack + sizeof(stack), CLONE_NEWPID | SIGCHLD, NULL);

	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return because("no pid namespace: %s", strerror(errno));
	return status ? because("%s", shared->reason) : 0;
}

/* ---- all of them ---- */

static void test(const char *what, int (*fn)(struct nl *nl), bool shares)
{
	struct nl *nl = NULL;
	int pids[NR], rc = start_job(shares), nr = 3 + shares;

	if (!rc && nl_open(&nl))
		rc = because("no connection to the module");
	if (!rc && ss_freeze(nl, CGROUP, pids, NR) != nr)
		rc = because("not all %d processes were frozen", nr);
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
	test("nobody is left out", nobody, false);
	test("one in the middle is: no records, no pages, no zombies of it", in_the_middle, false);
	test("what was said last counts", last_word, false);
	test("everybody left out: nothing to save", everybody, false);
	test("not without the proof, neither it nor the others", without_proof, false);
	test("one that is killed meanwhile is missed", ended, false);
	test("one that shares memory with a saved process", shares_with_kept, true);
	test("two that share memory with each other", shares_with_omitted, true);
	ss_result(start_job(false) || unseen(), "what the tool does not see must be left out, and can be", "");
	end_job();
	rmdir(CGROUP);
	return ss_done();
}
