// SPDX-License-Identifier: GPL-2.0
/*
 * Processes that are started anew (omit.h): the clients of job steps.
 *
 * Saved: program, arguments, the environment that it was executed with, its mark,
 * which signals it blocks and ignores, nice value and oom_score_adj; and, by
 * their own rows, credentials, limits, working directory, umask, and of its descriptors the
 * standard streams and what it would pass on by exec: files, directories, pipes.
 * Not saved: memory, threads, all else that it holds, and that it was stopped.
 *
 * Refused: a seccomp filter and other namespaces than ckctl's, which it would not
 * get back.  The first process of a job cannot be one (omit.c).
 *
 * Restored by restart/relaunch.c, when all others are there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cred.h"
#include "files.h"
#include "job/environ.h"
#include "out.h"
#include "proc.h"

/* Strings, each with its NUL. */
struct strings {
	char *text;
	size_t len;
};

/* Per process, in the order of d->procs; of those that are saved, nothing. */
struct dump_relaunch {
	struct ckpt_rec_relaunch rec;
	const char *exe, *mark;
	struct strings args, env;
};

/* ---- check ---- */

static int read_numbers(const struct proc *p, struct ckpt_rec_relaunch *rec)
{
	char text[1024];
	const char *mask;

	if (proc_text(p, -1, "stat", text, sizeof(text)) < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/stat", p->pid, p->pid);
	rec->pid = p->pid;
	rec->ppid = (int)proc_stat_field(text, 4);
	rec->pgid = (int)proc_stat_field(text, 5);
	rec->sid = (int)proc_stat_field(text, 6);
	rec->nice = (int)proc_stat_field(text, 19);
	rec->exit_signal = (int)proc_stat_field(text, 38);
	/* A thread has none, should its first one have ended. */
	if (rec->exit_signal < 0)
		rec->exit_signal = SIGCHLD;
	if (proc_text(p, -1, "oom_score_adj", text, sizeof(text)) < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/oom_score_adj", p->pid, p->pid);
	rec->oom_score_adj = atoi(text);
	mask = proc_status(p->status, "SigBlk");
	rec->blocked = mask ? strtoull(mask, NULL, 16) : 0;
	mask = proc_status(p->status, "SigIgn");
	rec->ignored = mask ? strtoull(mask, NULL, 16) : 0;
	memcpy(rec->comm, p->comm, sizeof(rec->comm));
	return CK_OK;
}

/* All of "cmdline" or "environ", with a NUL at the end whatever the program did to it. */
static int read_strings(struct dump *d, const struct proc *p, const char *name, struct strings *s)
{
	size_t size = 32768;
	char *buf = NULL, *more;
	ssize_t len = -1;
	int rc = CK_OK;

	do {
		size *= 2;
		more = realloc(buf, size);
		if (!more) {
			rc = fail(CK_FAILED, "out of memory");
			goto out;
		}
		buf = more;
		len = proc_text(p, -1, name, buf, size);
	} while (len < 0 && errno == EFBIG && size < CKPT_MAX_ARGS);
	if (len < 0 && errno == EFBIG)
		rc = obstacle(d, p->pid, "its %s takes more than %s, which cannot be saved", name,
			      human_bytes(CKPT_MAX_ARGS));
	else if (len < 0)
		rc = fail_errno(errno, "pid %d: cannot read /proc/%d/%s", p->pid, p->pid, name);
	if (len <= 0)
		goto out;
	s->len = (size_t)len + (buf[len - 1] != '\0');
	s->text = dump_strdup(d, buf, (size_t)len);
	rc = s->text ? CK_OK : CK_FAILED;
out:
	free(buf);
	return rc;
}

static int read_exe(struct dump *d, const struct proc *p, struct dump_relaunch *r)
{
	char path[PATH_MAX];

	if (proc_link(p, "exe", path, sizeof(path)) < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/exe", p->pid, p->pid);
	/* What has taken its place is as good; a restart looks whether anything has. */
	r->exe = dump_strdup(d, path, proc_name_len(path));
	if (!r->exe)
		return CK_FAILED;
	/* One that was executed without any. */
	if (!r->args.len) {
		r->args.text = (char *)r->exe;
		r->args.len = strlen(r->exe) + 1;
	}
	return CK_OK;
}

/* Where the kernel has nothing to say, it has no such namespaces. */
static bool same_namespaces(const struct proc *p)
{
	static const char *const names[] = {
		"ns/user", "ns/pid", "ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/time",
	};
	char theirs[64], ours[64], own[32];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ssize_t n;

		snprintf(own, sizeof(own), "/proc/self/%s", names[i]);
		n = readlink(own, ours, sizeof(ours));
		if (n > 0 && (readlinkat(p->dir_fd, names[i], theirs, sizeof(theirs)) != n ||
			      memcmp(ours, theirs, (size_t)n) != 0))
			return false;
	}
	return true;
}

static const char *find_mark(const struct dump *d, const struct proc *p)
{
	static const char memfd[] = "/memfd:", mark[] = "/memfd:" CKPT_MARK_STEP;
	size_t i;

	for (i = p->first_fd; i < p->first_fd + p->nr_fds; i++) {
		const char *path = d->files->fds[i].file->path;

		if (strncmp(path, mark, sizeof(mark) - 1) == 0)
			return path + sizeof(memfd) - 1;
	}
	return "";
}

/* It was told by its last restart what to continue from, and has not come to it yet: that
 * would be lost. */
static bool is_to_continue(const struct dump_relaunch *r)
{
	return !*r->mark && environ_get(r->env.text, r->env.len, "SLURM_RESTART_DIR");
}

static int check_one(struct dump *d, const struct proc *p, struct dump_relaunch *r)
{
	const char *seccomp = proc_status(p->status, "Seccomp");
	int rc = read_numbers(p, &r->rec);

	r->env.text = (char *)"";
	if (!rc)
		rc = read_strings(d, p, "cmdline", &r->args);
	if (!rc)
		rc = read_strings(d, p, "environ", &r->env);
	if (!rc)
		rc = read_exe(d, p, r);
	if (!rc && seccomp && *seccomp != '0')
		rc = obstacle(d, p->pid, "it has a seccomp filter, which it would not get back when it "
			      "is started anew");
	if (!rc && !same_namespaces(p))
		rc = obstacle(d, p->pid, "it lives in other namespaces than the tool, which it would "
			      "not get back when it is started anew");
	r->mark = find_mark(d, p);
	if (!rc && is_to_continue(r))
		rc = obstacle(d, p->pid, "its step, which is to continue from an image, does not run "
			      "yet; try again in a moment");
	return rc;
}

static int relaunch_check(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->nr_procs && !rc; i++) {
		if (!d->procs[i].relaunch)
			continue;
		if (!d->relaunched)
			d->relaunched = dump_alloc(d, d->nr_procs * sizeof(*d->relaunched));
		rc = d->relaunched ? check_one(d, &d->procs[i], &d->relaunched[i]) : CK_FAILED;
	}
	return rc;
}

/* ---- dump ---- */

static int dump_one(struct dump *d, struct dump_relaunch *r)
{
	struct ckpt_rec_relaunch *rec = &r->rec;
	char *tail, *at;

	rec->exe_len = (uint32_t)strlen(r->exe);
	rec->mark_len = (uint32_t)proc_name_len(r->mark);
	rec->args_len = (uint32_t)r->args.len;
	rec->env_len = (uint32_t)r->env.len;
	tail = dump_alloc(d, (size_t)rec->exe_len + rec->mark_len + rec->args_len + rec->env_len);
	if (!tail)
		return CK_FAILED;
	at = mempcpy(tail, r->exe, rec->exe_len);
	at = mempcpy(at, r->mark, rec->mark_len);
	at = mempcpy(at, r->args.text, rec->args_len);
	at = mempcpy(at, r->env.text, rec->env_len);
	return image_put(d->writer, CKPT_REC_RELAUNCH, rec, sizeof(*rec), tail, (size_t)(at - tail));
}

static int relaunch_dump(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->nr_procs && !rc; i++)
		if (d->procs[i].relaunch)
			rc = dump_one(d, &d->relaunched[i]);
	return rc;
}

/* ---- restore ---- */

/* Before any process exists: is there something to be run? */
static int relaunch_prepare(struct restore *r)
{
	const struct image *img = r->image;
	size_t i;

	for (i = img->nr_processes - img->nr_relaunched; i < img->nr_processes; i++) {
		const struct image_process *p = &img->processes[i];
		int fd = cred_open(r, p, p->exe, O_PATH);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0)
			return fail_errno(errno, "cannot find %s, which is to be started anew as "
					  "process %d", p->exe, p->rec->pid);
		close(fd);
		if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
			return fail(CK_REFUSED, "%s, which is to be started anew as process %d, is no "
				    "program any more", p->exe, p->rec->pid);
	}
	return CK_OK;
}

const struct state_ops state_relaunch = {
	.name = "clients of job steps",
	.saved = "srun, srun_cr, ckctl create self: how it was started, ids, environment, signals blocked and ignored, standard streams, "
		 "open files and pipes that it would pass on; it is started anew at the restart, with "
		 "its id, for whoever waits for it",
	.refused = "as the first process of a job; seccomp filters, other namespaces",
	.check = relaunch_check,
	.dump = relaunch_dump,
	.prepare = relaunch_prepare,
};
