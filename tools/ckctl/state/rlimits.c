// SPDX-License-Identifier: GPL-2.0
/*
 * Resource limits.
 *
 * Saved: all sixteen, soft and hard.  Restored as far as allowed: a hard limit
 * that is lower where the job is restarted stays, as nobody gains a right.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "out.h"
#include "proc.h"
#include "state.h"

/* Lines of /proc/PID/limits in RLIMIT_* order. */
static const char *const names[CKPT_NR_RLIMITS] = {
	[RLIMIT_CPU] = "Max cpu time",
	[RLIMIT_FSIZE] = "Max file size",
	[RLIMIT_DATA] = "Max data size",
	[RLIMIT_STACK] = "Max stack size",
	[RLIMIT_CORE] = "Max core file size",
	[RLIMIT_RSS] = "Max resident set",
	[RLIMIT_NPROC] = "Max processes",
	[RLIMIT_NOFILE] = "Max open files",
	[RLIMIT_MEMLOCK] = "Max locked memory",
	[RLIMIT_AS] = "Max address space",
	[RLIMIT_LOCKS] = "Max file locks",
	[RLIMIT_SIGPENDING] = "Max pending signals",
	[RLIMIT_MSGQUEUE] = "Max msgqueue size",
	[RLIMIT_NICE] = "Max nice priority",
	[RLIMIT_RTPRIO] = "Max realtime priority",
	[RLIMIT_RTTIME] = "Max realtime timeout",
};

static uint64_t limit_value(const char **at)
{
	char *end;
	uint64_t value;

	*at += strspn(*at, " ");
	if (strncmp(*at, "unlimited", 9) == 0) {
		*at += 9;
		return ~0ULL;
	}
	value = strtoull(*at, &end, 10);
	*at = end;
	return value;
}

static int rlimits_check(struct dump *d)
{
	char text[4096];
	size_t i;

	d->limits = dump_alloc(d, d->nr_procs * sizeof(*d->limits));
	if (!d->limits)
		return CK_FAILED;
	for (i = 0; i < d->nr_procs; i++) {
		const struct proc *p = &d->procs[i];
		ssize_t len = proc_text(p, p->limits_fd, "limits", text, sizeof(text));

		if (len < 0)
			return fail_errno(errno, "pid %d: cannot read /proc/%d/limits", p->pid,
					  p->pid);
		d->limits[i] = dump_strdup(d, text, (size_t)len);
		if (!d->limits[i])
			return CK_FAILED;
	}
	return CK_OK;
}

static int rlimits_dump(struct dump *d)
{
	size_t i, n;
	int rc;

	for (i = 0; i < d->nr_procs; i++) {
		struct ckpt_rec_rlimits rec = { .pid = d->procs[i].pid };

		for (n = 0; n < CKPT_NR_RLIMITS; n++) {
			const char *at = strstr(d->limits[i], names[n]);

			if (!at)
				return fail(CK_FAILED, "pid %d: /proc/%d/limits has no line \"%s\"",
					    rec.pid, rec.pid, names[n]);
			at += strlen(names[n]);
			rec.limits[n].cur = limit_value(&at);
			rec.limits[n].max = limit_value(&at);
		}
		rc = image_put(d->writer, CKPT_REC_RLIMITS, &rec, sizeof(rec), NULL, 0);
		if (rc)
			return rc;
	}
	return CK_OK;
}

/* Raising a hard limit takes a capability: told once, not by every skeleton. */
static int rlimits_prepare(struct restore *r)
{
	const struct image *img = r->image;
	struct rlimit now;
	unsigned int n;
	size_t i;

	for (n = 0; n < CKPT_NR_RLIMITS; n++) {
		if (getrlimit((int)n, &now) < 0)
			return fail_errno(errno, "cannot read the resource limit \"%s\"", names[n]);
		for (i = 0; i < img->nr_processes; i++) {
			const struct ckpt_rlimit *l = &img->processes[i].rlimits->limits[n];
			struct rlimit raised = { .rlim_cur = now.rlim_cur, .rlim_max = l->max };

			if (l->cur > l->max)
				return fail(CK_DAMAGED,
					    "the image's limit \"%s\" of pid %d is not possible",
					    names[n], img->processes[i].rec->pid);
			if (l->max <= now.rlim_max)
				continue;
			if (setrlimit((int)n, &raised) == 0)
				setrlimit((int)n, &now);
			else if (l->cur > now.rlim_max)
				note("the limit \"%s\" is lower here than where the job was saved, "
				     "and stays so", names[n]);
			else
				continue;
			break;
		}
	}
	return CK_OK;
}

static int rlimits_restore(struct restore *r, const struct image_process *p)
{
	unsigned int n;

	(void)r;
	for (n = 0; n < CKPT_NR_RLIMITS; n++) {
		struct rlimit l = {
			.rlim_cur = p->rlimits->limits[n].cur,
			.rlim_max = p->rlimits->limits[n].max,
		}, now;

		if (setrlimit((int)n, &l) == 0)
			continue;
		if (errno != EPERM || getrlimit((int)n, &now) < 0)
			return fail_errno(errno, "pid %d (%s): cannot set the limit \"%s\"",
					  p->rec->pid, p->rec->comm, names[n]);
		l.rlim_max = now.rlim_max;
		if (l.rlim_cur > l.rlim_max)
			l.rlim_cur = l.rlim_max;
		if (setrlimit((int)n, &l) < 0)
			return fail_errno(errno, "pid %d (%s): cannot set the limit \"%s\"",
					  p->rec->pid, p->rec->comm, names[n]);
	}
	return CK_OK;
}

const struct state_ops state_rlimits = {
	.name = "rlimits",
	.saved = "resource limits",
	.refused = "",
	.check = rlimits_check,
	.dump = rlimits_dump,
	.prepare = rlimits_prepare,
	.restore = rlimits_restore,
};
