// SPDX-License-Identifier: GPL-2.0
/*
 * Scheduling, of each thread: policy, nice value, real-time priority, I/O
 * priority, CPU affinity.  The module saves it; saved from here is only where
 * the job was allowed to run: a thread that may use all of that has no affinity
 * of its own.
 *
 * Restored as far as the restorer's rights and CPUs go; what does not, is told
 * once.  Not saved on purpose: NUMA policies and the autogroup.  SCHED_DEADLINE is
 * refused by the module.
 */
#include "sched.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "caps.h"
#include "out.h"

#define MASK_WORDS	(CKPT_MAX_CPUS / 64)
/* A cgroup further up decides when none below it has the controller. */
#define MAX_LEVELS	32

/* ---- where the job is allowed to run ---- */

static void mask_set(uint64_t *mask, unsigned long first, unsigned long last)
{
	for (; first <= last && first < CKPT_MAX_CPUS; first++)
		mask[first / 64] |= 1ULL << first % 64;
}

/* "0-3,8" */
static void read_list(const char *text, uint64_t *mask)
{
	unsigned long first, last;
	char *end;

	for (; *text >= '0' && *text <= '9'; text = end + (*end == ',')) {
		first = last = strtoul(text, &end, 10);
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		mask_set(mask, first, last);
	}
}

static int open_cpus(int cgroup_fd)
{
	char path[3 * MAX_LEVELS + 32];
	int level, fd;

	for (level = 0; level < MAX_LEVELS; level++) {
		snprintf(path, sizeof(path), "%.*scpuset.cpus.effective", 3 * level,
			 "../../../../../../../../../../../../../../../../"
			 "../../../../../../../../../../../../../../../../");
		fd = openat(cgroup_fd, path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
}

static int sched_dump(struct dump *d)
{
	struct ckpt_rec_cpus rec = { .cpus_len = MASK_WORDS * sizeof(uint64_t) };
	uint64_t mask[MASK_WORDS] = { 0 };
	char text[4096];
	int fd = open_cpus(d->cgroup_fd);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	/* Not known: then each affinity counts as wanted. */
	if (n <= 0)
		return CK_OK;
	text[n] = '\0';
	read_list(text, mask);
	while (rec.cpus_len && !mask[rec.cpus_len / sizeof(uint64_t) - 1])
		rec.cpus_len -= sizeof(uint64_t);
	return image_put(d->writer, CKPT_REC_CPUS, &rec, sizeof(rec), mask, rec.cpus_len);
}

/* ---- restore ---- */

/* What the restorer may use. */
static uint64_t here[MASK_WORDS];

static uint64_t word(const uint64_t *mask, size_t len, size_t i)
{
	return i < len / sizeof(*mask) ? mask[i] : 0;
}

static bool has_affinity(const struct image *img, const struct image_thread *t)
{
	const struct ckpt_rec_cpus *all = img->cpus;
	size_t i;

	for (i = 0; all && i < MASK_WORDS; i++)
		if (word((const uint64_t *)(all + 1), all->cpus_len, i) &
		    ~word(t->cpus, t->sched->cpus_len, i))
			return true;
	return !all;
}

/* The soft limit that the process will have. */
static uint64_t limit(const struct image_process *p, unsigned int which)
{
	struct rlimit now = { 0 };
	uint64_t saved = p->rlimits->limits[which].cur;

	getrlimit((int)which, &now);
	return saved < now.rlim_max ? saved : now.rlim_max;
}

struct notes {
	bool nice, realtime, io;
};

static void note_lost(const struct image_process *p, const struct image_thread *t, int now,
		      struct notes *told)
{
	const struct ckpt_rec_sched *s = t->sched;
	bool ordinary = s->policy == SCHED_NORMAL || s->policy == SCHED_BATCH;

	if (s->rt_priority > limit(p, RLIMIT_RTPRIO) && !told->realtime) {
		note("thread %d (%.15s) had the real-time priority %u, which you may not give it: it "
		     "goes on with the ordinary policy", t->rec->tid, t->rec->comm, s->rt_priority);
		told->realtime = true;
	}
	if (ordinary && s->nice < now && 20 - s->nice > (int64_t)limit(p, RLIMIT_NICE) && !told->nice) {
		note("thread %d (%.15s) had the nice value %d, which you may not give it", t->rec->tid,
		     t->rec->comm, s->nice);
		told->nice = true;
	}
	if (IOPRIO_PRIO_CLASS(s->ioprio) == IOPRIO_CLASS_RT && !told->io) {
		note("thread %d (%.15s) had a real-time I/O priority, which you may not give it",
		     t->rec->tid, t->rec->comm);
		told->io = true;
	}
}

static int sched_prepare(struct restore *r)
{
	const struct image *img = r->image;
	struct notes told = { 0 };
	int now = getpriority(PRIO_PROCESS, 0);
	size_t i, t;

	if (syscall(SYS_sched_getaffinity, 0, sizeof(here), here) < 0)
		return fail_errno(errno, "cannot read on which CPUs ckctl may run");
	for (i = 0; i < img->nr_processes && !caps_have(CAP_SYS_NICE); i++)
		for (t = 0; t < img->processes[i].nr_threads; t++)
			if (img->processes[i].threads[t].sched)
				note_lost(&img->processes[i], &img->processes[i].threads[t], now,
					  &told);
	return CK_OK;
}

/*
 * What was wanted, clipped to the CPUs here; if it was nothing special, or nothing
 * is left of it, all that are here. These are ckctl's: what is born into a
 * cgroup with CPUs of its own has got all of them instead.
 */
static int set_affinity(const struct image *img, const struct image_thread *t)
{
	uint64_t now[MASK_WORDS] = { 0 }, mask[MASK_WORDS], left = 0, more = 0, fewer = 0;
	bool own = has_affinity(img, t);
	size_t i;

	for (i = 0; i < MASK_WORDS && own; i++)
		left |= here[i] & word(t->cpus, t->sched->cpus_len, i);
	own = left;
	if (syscall(SYS_sched_getaffinity, 0, sizeof(now), now) < 0)
		goto failed;
	for (i = 0; i < MASK_WORDS; i++) {
		mask[i] = here[i] & (own ? word(t->cpus, t->sched->cpus_len, i) : ~0ULL);
		more |= now[i] & ~mask[i];
		fewer |= mask[i] & ~now[i];
	}
	if (!more && !(own && fewer))
		return CK_OK;
	/* EINVAL: the CPUs here have just changed. */
	if (syscall(SYS_sched_setaffinity, 0, sizeof(mask), mask) == 0 || errno == EINVAL)
		return CK_OK;
failed:
	return fail_errno(errno, "thread %d (%.15s): cannot set its CPU affinity", t->rec->tid,
			  t->rec->comm);
}

static int set_policy(const struct image_thread *t)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = t->sched->policy,
		.sched_flags = t->sched->flags & CKPT_SCHED_RESET_ON_FORK ?
			       SCHED_FLAG_RESET_ON_FORK : 0,
		.sched_nice = t->sched->nice,
		.sched_priority = t->sched->rt_priority,
	};

	if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
		return CK_OK;
	/* What may not be was told before: the next best. */
	if (errno == EPERM && attr.sched_priority) {
		attr.sched_policy = SCHED_NORMAL;
		attr.sched_priority = 0;
		if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
			return CK_OK;
	}
	if (errno == EPERM) {
		attr.sched_nice = getpriority(PRIO_PROCESS, 0);
		if (syscall(SYS_sched_setattr, 0, &attr, 0) == 0)
			return CK_OK;
	}
	return errno == EPERM ? CK_OK :
	       fail_errno(errno, "thread %d (%.15s): cannot set its scheduling policy",
			  t->rec->tid, t->rec->comm);
}

int sched_settle(const struct restore *r, const struct image_thread *t)
{
	int rc;

	/* It has ended, and will do so again. */
	if (!t->sched)
		return CK_OK;
	rc = set_affinity(r->image, t);
	if (!rc)
		rc = set_policy(t);
	if (!rc && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, t->sched->ioprio) < 0 &&
	    errno != EPERM)
		rc = fail_errno(errno, "thread %d (%.15s): cannot set its I/O priority", t->rec->tid,
				t->rec->comm);
	return rc;
}

const struct state_ops state_sched = {
	.name = "sched",
	.saved = "of each thread: policy, nice value, real-time and I/O priority, CPU affinity (clipped "
		 "to the CPUs of the restart)",
	.refused = "SCHED_DEADLINE",
	.dump = sched_dump,
	.prepare = sched_prepare,
};
