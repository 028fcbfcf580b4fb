// SPDX-License-Identifier: GPL-2.0
/*
 * The right to read what was frozen: /proc/PID/mem of each process, also of those
 * that are left out, of which the module is told so.  And the right to have what is
 * read, of whom an image belongs to that root writes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "context.h"
#include "out.h"

/* A request under way: as many files as fit. */
struct proofs {
	int fds[CKPT_MAX_FDS];
	size_t nr;
	bool omit;
};

static int flush(struct checkpoint *c, struct proofs *proofs)
{
	struct nl_msg *msg = nl_new(c->nl, CKPT_CMD_PROVE);

	if (!msg)
		return CK_FAILED;
	nla_put(msg, CKPT_A_MEM_FDS, (int)(proofs->nr * sizeof(proofs->fds[0])), proofs->fds);
	if (proofs->omit)
		nla_put_flag(msg, CKPT_A_OMIT);
	proofs->nr = 0;
	return nl_request(c->nl, msg, NULL, NULL);
}

static int add(struct checkpoint *c, struct proofs *proofs, int fd)
{
	proofs->fds[proofs->nr++] = fd;
	return proofs->nr == CKPT_MAX_FDS ? flush(c, proofs) : CK_OK;
}

static int send_saved(struct checkpoint *c)
{
	const struct dump *d = &c->dump;
	struct proofs proofs = { .nr = 0 };
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->nr_procs && !rc; i++)
		if (!d->procs[i].relaunch)
			rc = add(c, &proofs, d->procs[i].mem_fd);
	return rc || !proofs.nr ? rc : flush(c, &proofs);
}

static int send_omitted(struct checkpoint *c)
{
	const struct job_view *view = &c->req->view;
	const struct dump *d = &c->dump;
	struct proofs proofs = { .omit = true };
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->nr_procs && !rc; i++)
		if (d->procs[i].relaunch)
			rc = add(c, &proofs, d->procs[i].mem_fd);
	for (i = 0; i < d->nr_omitted && !rc; i++)
		rc = add(c, &proofs, d->omitted[i].mem_fd);
	for (i = 0; i < view->nr_outside && !rc; i++)
		rc = add(c, &proofs, view->outside[i]);
	return rc || !proofs.nr ? rc : flush(c, &proofs);
}

static int send_all(struct checkpoint *c)
{
	int rc = send_saved(c);

	return rc ? rc : send_omitted(c);
}

static bool opened(const struct proc *procs, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (procs[i].mem_fd < 0)
			return false;
	return true;
}

static int open_again(struct checkpoint *c, struct proc *procs, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		struct proc *p = &procs[i];

		int err = proc_follow(p);

		if (err)
			return checkpoint_gone(c, err, "cannot look at", p->pid);
		if (p->mem_fd >= 0)
			close(p->mem_fd);
		p->mem_fd = openat(p->dir_fd, "mem", O_RDONLY | O_CLOEXEC);
		if (p->mem_fd >= 0)
			continue;
		err = errno;
		moment_denied(c);
		return checkpoint_gone(c, err, "you may not read the memory of", p->pid);
	}
	return CK_OK;
}

/* What was opened early proves nothing for a process that has called exec since. */
int prove(struct checkpoint *c)
{
	struct dump *d = &c->dump;
	int rc;

	if (opened(d->procs, d->nr_procs) && opened(d->omitted, d->nr_omitted)) {
		rc = send_all(c);
		if (rc != CK_PERM)
			return rc;
	}
	rc = open_again(c, d->procs, d->nr_procs);
	if (!rc)
		rc = open_again(c, d->omitted, d->nr_omitted);
	return rc ? rc : send_all(c);
}

/* Where others may write, they can make an image's directory before root does. */
int prove_owner(const struct checkpoint *c)
{
	uid_t owner = c->writer ? image_writer_owner(c->writer) : 0;
	size_t i, k;

	if (geteuid() != 0 || owner == 0)
		return CK_OK;
	for (i = 0; i < c->dump.nr_procs; i++) {
		const struct proc *p = &c->dump.procs[i];
		const char *text = proc_status(p->status, "Uid");
		unsigned int uids[4] = { 0 };

		if (text)
			sscanf(text, "%u %u %u %u", &uids[0], &uids[1], &uids[2], &uids[3]);
		for (k = 0; k < 4; k++)
			if (uids[k] != owner)
				return fail(CK_PERM, "pid %d (%s) runs as user %u, but %s/%s.ckpt "
					    "belongs to user %u, who would have its memory; checkpoint "
					    "to another directory", p->pid, p->comm, uids[k],
					    c->req->image_dir, c->req->id, owner);
	}
	return CK_OK;
}
