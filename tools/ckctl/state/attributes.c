// SPDX-License-Identifier: GPL-2.0
/*
 * What prctl(2) and single files of /proc/PID hold of a process: child subreaper,
 * oom_score_adj, core dump filter, whether transparent huge pages are off.  The
 * module saves it, as it does what belongs to each thread: name, timer slack,
 * parent death signal, personality, machine check policy (restart/thread.c).
 *
 * Not saved: PR_SET_TSC, speculation control and core scheduling cookies.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "caps.h"
#include "out.h"
#include "proc.h"
#include "state.h"

#define CORE_FILTER	"/proc/self/coredump_filter"
#define OOM	"/proc/self/oom_score_adj"

/* Who founds a session at a restart has no terminal there, and nobody's keys reach it. */
static int check_terminal(struct dump *d, const struct proc *p)
{
	const char *leader = proc_status(p->status, "NSsid");
	char text[1024];

	if (!leader || atoi(leader) != p->pid)
		return CK_OK;
	if (proc_text(p, -1, "stat", text, sizeof(text)) < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/stat", p->pid, p->pid);
	/* tty_nr */
	if (proc_stat_field(text, 7) == 0)
		return CK_OK;
	return obstacle(d, p->pid, "it leads the session at a terminal, as a task of srun --pty does, "
			"which cannot be saved; start it without --pty, or within a session");
}

static int attributes_check(struct dump *d)
{
	int rc = CK_OK;
	size_t i;

	for (i = 0; i < d->nr_procs && !rc; i++)
		rc = check_terminal(d, &d->procs[i]);
	return rc;
}

static int read_number(const char *path, int *number)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	int err = errno;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return fail_errno(err, "cannot read %s", path);
	*number = atoi(text);
	return CK_OK;
}

static int write_number(const struct ckpt_rec_process *rec, const char *path, const char *format,
			int number)
{
	char text[16];
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int len = snprintf(text, sizeof(text), format, number);
	ssize_t n = fd < 0 ? -1 : write(fd, text, (size_t)len);
	int err = errno;

	if (fd >= 0)
		close(fd);
	return n == len ? CK_OK :
	       fail_errno(err, "process %d (%.15s): cannot write %d to %s", rec->pid, rec->comm, number,
			  path);
}

/* Up by anybody; down, which protects from the memory killer, only for root's images. */
static bool may_lower_oom(const struct image *img)
{
	return caps_have(CAP_SYS_RESOURCE) && img->owner == 0;
}

/* Told once, not by every skeleton. */
static int attributes_prepare(struct restore *r)
{
	const struct image *img = r->image;
	int now, rc = read_number(OOM, &now);
	size_t i;

	for (i = 0; i < img->nr_processes && !rc && !may_lower_oom(img); i++) {
		const struct ckpt_rec_process *rec = img->processes[i].rec;

		if (rec->oom_score_adj >= now)
			continue;
		note("process %d (%.15s) had the oom_score_adj %d, which you may not give it: it "
		     "keeps %d", rec->pid, rec->comm, rec->oom_score_adj, now);
		break;
	}
	return rc;
}

static int restore_oom(const struct restore *r, const struct ckpt_rec_process *rec)
{
	int now, rc = read_number(OOM, &now);

	if (rc || rec->oom_score_adj == now ||
	    (rec->oom_score_adj < now && !may_lower_oom(r->image)))
		return rc;
	return write_number(rec, OOM, "%d", rec->oom_score_adj);
}

static int attributes_restore(struct restore *r, const struct image_process *p)
{
	const struct ckpt_rec_process *rec = p->rec;
	int rc;

	if (prctl(PR_SET_CHILD_SUBREAPER, !!(rec->flags & CKPT_PROCESS_CHILD_SUBREAPER), 0, 0, 0) < 0)
		return fail_errno(errno, "process %d (%.15s): cannot make it a subreaper", rec->pid,
				  rec->comm);
	/* ckctl's file capability took this away; /proc/self belongs to root without. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return fail_errno(errno, "process %d (%.15s): cannot make it dumpable", rec->pid,
				  rec->comm);
	/* The rest is its memory's. */
	if (p->relaunch)
		return restore_oom(r, rec);
	if (prctl(PR_SET_THP_DISABLE, !!(p->mm->flags & CKPT_MM_NO_THP), 0, 0, 0) < 0)
		return fail_errno(errno, "process %d (%.15s): cannot set whether it uses transparent "
				  "huge pages", rec->pid, rec->comm);
	/* A kernel that writes no core dumps has no filter for them. */
	if (access(CORE_FILTER, F_OK) == 0) {
		rc = write_number(rec, CORE_FILTER, "0x%x", (int)p->mm->coredump_filter);
		if (rc)
			return rc;
	}
	return restore_oom(r, rec);
}

const struct state_ops state_attributes = {
	.name = "attributes",
	.saved = "names of threads, personality, dumpable, child subreaper, parent death signal, "
		 "oom_score_adj, core dump filter, timer slack, transparent huge pages off, machine "
		 "check policy",
	.refused = "leading the session at a terminal (srun --pty)",
	.check = attributes_check,
	.prepare = attributes_prepare,
	.restore = attributes_restore,
};
