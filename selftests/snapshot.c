// SPDX-License-Identifier: GPL-2.0
/*
 * A copy-on-write snapshot, written while the job scribbles over everything,
 * must be the very same as a copy that was written while it stood still.
 *
 * In one freeze: SNAPSHOT(HELD) and WRITE, the reference; then SNAPSHOT(COW),
 * THAW, and WRITE only when every thread has overwritten all of the memory.
 * The job itself checks that it always reads back what it wrote.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "session.h"

#define MB (1024 * 1024UL)
#define REGION (12 * MB)
#define STRIDE 8		/* words: one write a cache line */
#define MAX_THREADS 4
#define MAX_PROCESSES 2
#define CGROUP "/sys/fs/cgroup/test-snapshot"

struct shape {
	const char *name;
	int threads;
	bool thp, fork, stream;
};

/* ---- the job ---- */

struct shared {
	uint64_t passes[MAX_PROCESSES * MAX_THREADS];
	char wrong[128];
};

static struct shared *shared;

struct scribbler {
	uint64_t *region;
	int slot, nr, self;
};

static void *scribble(void *arg)
{
	const struct scribbler *s = arg;
	size_t words = REGION / 8, step = (size_t)STRIDE * s->nr;
	volatile uint64_t *region = s->region;
	uint64_t pass;

	for (pass = 1;; pass++) {
		for (size_t i = (size_t)STRIDE * s->self; i < words; i += step)
			region[i] = pass << 32 | i;
		for (size_t i = (size_t)STRIDE * s->self; i < words; i += step)
			if (region[i] != (pass << 32 | i)) {
				snprintf(shared->wrong, sizeof(shared->wrong),
					 "the job wrote %#jx to word %zu and reads %#jx",
					 (uintmax_t)(pass << 32 | i), i, (uintmax_t)region[i]);
				_exit(1);
			}
		__atomic_add_fetch(&shared->passes[s->slot], 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void job_threads(uint64_t *region, const struct shape *shape, int process)
{
	static struct scribbler scribblers[MAX_THREADS];
	pthread_t thread;

	for (int i = 0; i < shape->threads; i++) {
		scribblers[i] = (struct scribbler){ region, process * MAX_THREADS + i, shape->threads, i };
		if (i && pthread_create(&thread, NULL, scribble, &scribblers[i]))
			_exit(2);
	}
	scribble(&scribblers[0]);
}

static void job(const struct shape *shape)
{
	uint8_t *p;
	uint64_t *region;
	FILE *f;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	f = fopen(CGROUP "/cgroup.procs", "we");
	if (!f || fprintf(f, "0\n") < 0 || fclose(f))
		_exit(2);
	p = mmap(NULL, REGION + 2 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(2);
	region = (uint64_t *)(((uintptr_t)p + 2 * MB - 1) & ~(2 * MB - 1));
	madvise(region, REGION, shape->thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	/* The last part is only read at first, and some of it stays zero. */
	for (size_t i = 0; i < REGION / 8 - REGION / 64; i++)
		region[i] = i * 0x9E3779B97F4A7C15ULL;
	if (shape->fork && fork() == 0)
		job_threads(region, shape, 1);
	job_threads(region, shape, 0);
}

/* Every thread has written everything at least once more. */
static bool wait_passes(const struct shape *shape)
{
	uint64_t before[MAX_PROCESSES * MAX_THREADS];
	struct timespec ms = { .tv_nsec = 1000000 };

	memcpy(before, shared->passes, sizeof(before));
	for (int n = 0; n < 60000; n++) {
		bool all = true;

		for (int p = 0; p <= shape->fork; p++)
			for (int t = 0; t < shape->threads; t++) {
				int slot = p * MAX_THREADS + t;

				if (__atomic_load_n(&shared->passes[slot], __ATOMIC_ACQUIRE) < before[slot] + 2)
					all = false;
			}
		if (all || shared->wrong[0])
			return all;
		nanosleep(&ms, NULL);
	}
	return false;
}

/* ---- results ---- */

static void result(int failed, const char *what, const char *detail)
{
	if (shared->wrong[0])
		failed = because("%s", shared->wrong);
	ss_result(failed, what, detail);
}

/* ---- a snapshot that was written ---- */

struct copy {
	int page_fd, index_fd;
	uint64_t pos, index_pos;	/* of a stream: where the next goes */
	struct ckpt_rec_pages *pages;
	size_t nr_pages;
	struct ss_records records;
	uint64_t nr_copied, nr_shared;
};

static int copy_open(struct copy *c, bool direct)
{
	static int nr;
	char name[64];

	memset(c, 0, sizeof(*c));
	snprintf(name, sizeof(name), "pages.%d", nr);
	c->page_fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | (direct ? O_DIRECT : 0), 0600);
	if (c->page_fd < 0)
		c->page_fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	unlink(name);
	snprintf(name, sizeof(name), "index.%d", nr++);
	c->index_fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	unlink(name);
	return c->page_fd < 0 || c->index_fd < 0 ? because("cannot make files: %s", strerror(errno)) : 0;
}

static void copy_close(struct copy *c)
{
	close(c->page_fd);
	close(c->index_fd);
	free(c->pages);
	free(c->records.data);
}

/* The run that covers @addr, or NULL; runs are ascending. */
static const struct ckpt_run *run_at(const struct ckpt_run *runs, size_t nr, size_t *at, uint64_t addr)
{
	while (*at < nr && runs[*at].addr + (uint64_t)runs[*at].nr_pages * CKPT_PAGE_SIZE <= addr)
		(*at)++;
	return *at < nr && runs[*at].addr <= addr ? &runs[*at] : NULL;
}

static struct ckpt_run *read_runs(const struct copy *c, const struct ckpt_rec_pages *rec)
{
	size_t len = rec->nr_runs * sizeof(struct ckpt_run);
	struct ckpt_run *runs = malloc(len + 1);

	if (runs && pread(c->index_fd, runs, len, (off_t)rec->index_pos) != (ssize_t)len) {
		free(runs);
		return NULL;
	}
	return runs;
}

static int page_of(const struct copy *c, const struct ckpt_run *run, uint64_t addr, uint8_t *page)
{
	if (run->flags & CKPT_RUN_ZERO) {
		memset(page, 0, CKPT_PAGE_SIZE);
		return 0;
	}
	return pread(c->page_fd, page, CKPT_PAGE_SIZE, (off_t)(run->pos + addr - run->addr)) ==
	       CKPT_PAGE_SIZE ? 0 : because("a page file is too short");
}

/* Same owner: same pages present, same bytes. */
static int compare_owner(const struct copy *a, const struct copy *b, size_t n)
{
	static uint8_t pa[CKPT_PAGE_SIZE] __attribute__((aligned(4096)));
	static uint8_t pb[CKPT_PAGE_SIZE] __attribute__((aligned(4096)));
	const struct ckpt_rec_pages *ra = &a->pages[n], *rb = &b->pages[n];
	struct ckpt_run *runs_a = read_runs(a, ra), *runs_b = read_runs(b, rb);
	size_t at = 0, i;
	int ret = 0;

	if (!runs_a || !runs_b)
		ret = because("an index is too short");
	else if (ra->owner != rb->owner || ra->owner_kind != rb->owner_kind)
		ret = because("the owners differ");
	else if (ra->nr_pages != rb->nr_pages)
		ret = because("owner %ju: %ju pages, then %ju", (uintmax_t)ra->owner,
			      (uintmax_t)ra->nr_pages, (uintmax_t)rb->nr_pages);
	for (i = 0; !ret && i < ra->nr_runs; i++) {
		uint64_t addr = runs_a[i].addr;
		uint64_t end = addr + (uint64_t)runs_a[i].nr_pages * CKPT_PAGE_SIZE;

		for (; !ret && addr < end; addr += CKPT_PAGE_SIZE) {
			const struct ckpt_run *rb_run = run_at(runs_b, rb->nr_runs, &at, addr);

			if (!rb_run)
				ret = because("page %#jx is in one copy only", (uintmax_t)addr);
			else if (page_of(a, &runs_a[i], addr, pa) || page_of(b, rb_run, addr, pb))
				ret = -1;
			else if (memcmp(pa, pb, CKPT_PAGE_SIZE) != 0)
				ret = because("page %#jx of owner %ju differs", (uintmax_t)addr,
					      (uintmax_t)ra->owner);
		}
	}
	free(runs_a);
	free(runs_b);
	return ret;
}

static int compare(const struct copy *a, const struct copy *b)
{
	if (!a->nr_pages || a->nr_pages != b->nr_pages)
		return because("%zu owners of pages, then %zu", a->nr_pages, b->nr_pages);
	for (size_t n = 0; n < a->nr_pages; n++)
		if (compare_owner(a, b, n))
			return -1;
	return 0;
}

static int compare_records(const struct copy *a, const struct copy *b)
{
	if (!a->records.len || a->records.len != b->records.len ||
	    memcmp(a->records.data, b->records.data, a->records.len) != 0)
		return because("the records of two snapshots in one freeze differ");
	return 0;
}

/* ---- requests ---- */

static int freeze(struct nl *nl)
{
	int pids[MAX_PROCESSES], nr = ss_freeze(nl, CGROUP, pids, MAX_PROCESSES);

	if (nr < 0)
		return nr;
	return ss_prove(nl, pids, nr, "mem", false) ? because("the proof was refused") : 0;
}

static int take(struct nl *nl, struct copy *c, enum ckpt_mode mode)
{
	struct nl_event ev = { 0 };

	if (ss_snapshot(nl, mode, &ev))
		return because("the snapshot failed");
	c->nr_copied = ev.nr_copied;
	c->nr_shared = ev.nr_shared;
	return ss_fetch(nl, CKPT_CMD_DUMP, &c->records);
}

static int put_stream(const struct ckpt_rec_pages *owner, const void *runs, size_t nr_runs,
		      const void *data, size_t len, void *arg)
{
	struct copy *c = arg;
	size_t bytes = nr_runs * sizeof(struct ckpt_run);

	(void)owner;
	if (pwrite(c->page_fd, data, len, (off_t)c->pos) != (ssize_t)len ||
	    pwrite(c->index_fd, runs, bytes, (off_t)c->index_pos) != (ssize_t)bytes)
		return CK_IO;
	c->pos += len;
	c->index_pos += bytes;
	return 0;
}

static int add_pages(struct nlattr **tb, void *arg)
{
	const size_t one = sizeof(struct ckpt_record) + sizeof(*((struct copy *)arg)->pages);
	struct nlattr *records = tb[CKPT_A_RECORDS];
	size_t nr = records ? (size_t)nla_len(records) / one : 0, i;
	struct copy *c = arg;

	c->pages = realloc(c->pages, (c->nr_pages + nr + 1) * sizeof(*c->pages));
	for (i = 0; i < nr; i++)
		memcpy(&c->pages[c->nr_pages++],
		       (char *)nla_data(records) + i * one + sizeof(struct ckpt_record),
		       sizeof(*c->pages));
	return 0;
}

static int write_copy(struct nl *nl, struct copy *c, bool stream)
{
	struct nl_stream sink = { .pages = put_stream, .arg = c };
	struct nl_msg *msg = nl_new(nl, CKPT_CMD_WRITE);
	struct nl_event ev = { 0 };
	int rc;

	if (!stream) {
		nla_put_s32(msg, CKPT_A_PAGE_FD, c->page_fd);
		nla_put_s32(msg, CKPT_A_INDEX_FD, c->index_fd);
	}
	rc = nl_request(nl, msg, NULL, NULL);
	if (!rc)
		rc = nl_wait(nl, CKPT_EVENT_WRITTEN, 60000, stream ? &sink : NULL, &ev);
	if (rc)
		return because("writing failed");
	if (nl_fetch(nl, nl_new(nl, CKPT_CMD_DUMP_PAGES), add_pages, c))
		return because("the records of pages cannot be fetched");
	return 0;
}

/* ---- the test ---- */

static int one_round(const struct shape *shape, struct copy *held, struct copy *cow)
{
	struct nl *nl = NULL;
	int ret = -1;

	if (nl_open(&nl))
		return because("no connection to the module");
	if (!freeze(nl) && !take(nl, held, CKPT_MODE_HELD) && !write_copy(nl, held, false) &&
	    !take(nl, cow, CKPT_MODE_COW) && !ss_thaw(nl))
		ret = wait_passes(shape) ? write_copy(nl, cow, shape->stream) :
					   because("the job does not run on");
	nl_end(nl);
	return ret;
}

static int start_job(const struct shape *shape, pid_t *pid)
{
	memset(shared, 0, sizeof(*shared));
	*pid = fork();
	if (*pid == 0)
		job(shape);
	return wait_passes(shape) ? 0 : because("the job did not start");
}

static void end_job(pid_t pid)
{
	int fd = open(CGROUP "/cgroup.kill", O_WRONLY | O_CLOEXEC);
	struct timespec ms = { .tv_nsec = 1000000 };

	if (write(fd, "1", 1) != 1)
		kill(pid, SIGKILL);
	close(fd);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	/* A forked one goes to init: wait until the cgroup can be removed. */
	for (int i = 0; i < 10000 && rmdir(CGROUP) < 0; i++)
		nanosleep(&ms, NULL);
	mkdir(CGROUP, 0755);
}

static void test(const struct shape *shape)
{
	struct copy held[2], cow[2];
	char detail[128] = "";
	int failed;
	pid_t pid;

	failed = start_job(shape, &pid);
	for (int i = 0; i < 2; i++)
		failed |= copy_open(&held[i], false) | copy_open(&cow[i], !shape->stream);
	if (!failed)
		failed = one_round(shape, &held[0], &cow[0]) || compare(&held[0], &cow[0]) ||
			 compare_records(&held[0], &cow[0]);
	snprintf(detail, sizeof(detail), " (%ju shared, %ju copied)", (uintmax_t)cow[0].nr_shared,
		 (uintmax_t)cow[0].nr_copied);
	result(failed, shape->name, detail);
	/* Now the pages have been shared before. */
	failed = failed || one_round(shape, &held[1], &cow[1]) || compare(&held[1], &cow[1]);
	result(failed, shape->name, ", once more");
	/* The control: what the job wrote in between must be seen. */
	if (!failed && compare(&held[0], &cow[1]) == 0)
		failed = because("two snapshots are equal although the job wrote in between");
	reason[failed ? sizeof(reason) - 1 : 0] = '\0';
	result(failed, shape->name, ", control: another instant differs");
	end_job(pid);
	for (int i = 0; i < 2; i++) {
		copy_close(&held[i]);
		copy_close(&cow[i]);
	}
}

int main(void)
{
	static const struct shape shapes[] = {
		{ .name = "4K pages, 1 thread", .threads = 1 },
		{ .name = "4K pages, 2 threads", .threads = 2 },
		{ .name = "4K pages, 4 threads", .threads = 4 },
		{ .name = "huge pages, 1 thread", .threads = 1, .thp = true },
		{ .name = "huge pages, 2 threads", .threads = 2, .thp = true },
		{ .name = "huge pages, 4 threads", .threads = 4, .thp = true },
		{ .name = "4K pages shared by fork", .threads = 2, .fork = true },
		{ .name = "huge pages shared by fork", .threads = 2, .thp = true, .fork = true },
		{ .name = "4K pages, sent as a stream", .threads = 2, .stream = true },
	};
	size_t i;

	shared = ss_begin(CGROUP);
	/* Files where the module can write directly, if there are. */
	if (chdir("/mnt/disk") < 0)
		printf("# there is no disk: files on %s\n", getcwd((char[256]){ 0 }, 256));
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		test(&shapes[i]);
	rmdir(CGROUP);
	return ss_done();
}
