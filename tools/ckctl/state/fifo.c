// SPDX-License-Identifier: GPL-2.0
/*
 * Named pipes.
 *
 * Saved: the path, and what is saved of any pipe (pipes.c looks at both kinds):
 * ends, capacity, bytes in flight.  It is opened again by its path; the ends of
 * others are theirs to open.  One that is a standard stream whose other end is
 * outside of the job is plugged anew (stdio.c).
 *
 * Refused, at the restart: one that somebody else has filled in the meantime.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cred.h"
#include "files.h"
#include "out.h"

/* All descriptions of it; @hold keeps both ends there, so that none of them waits. */
static int open_ends(struct restore *r, size_t pipe)
{
	size_t i;

	for (i = 0; i < r->image->nr_files; i++) {
		const struct image_process *p = restore_file_owner(r, i);
		const struct image_file *f = &r->image->files[i];
		int flags = (int)f->rec->flags & (O_ACCMODE | O_APPEND), fd;

		if (f->rec->kind != CKPT_FILE_FIFO || f->pipe != pipe || !p)
			continue;
		fd = r->file_fds[i] = cred_open(r, p, f->path, flags | O_NONBLOCK);
		if (fd < 0 || fcntl(fd, F_SETFL, f->rec->flags) < 0)
			return fail_errno(errno, "cannot open the named pipe %s, which pid %d (%s) had "
					  "open", f->path, p->rec->pid, p->rec->comm);
	}
	return CK_OK;
}

static int prepare(struct restore *r, size_t pipe, size_t end)
{
	const struct image_process *p = restore_file_owner(r, end);
	const char *path = r->image->files[end].path;
	int hold, in_it = 0, rc;
	struct stat st;

	if (!p)
		return CK_OK;
	hold = cred_open(r, p, path, O_RDWR | O_NONBLOCK);
	if (hold < 0 || fstat(hold, &st) < 0)
		rc = fail_errno(errno, "cannot open the named pipe %s, which pid %d (%s) had open",
				path, p->rec->pid, p->rec->comm);
	else if (!S_ISFIFO(st.st_mode))
		rc = fail(CK_REFUSED, "%s, which pid %d (%s) had open, is something else now", path,
			  p->rec->pid, p->rec->comm);
	else if (ioctl(hold, FIONREAD, &in_it) < 0 || in_it)
		rc = fail(CK_BUSY, "the named pipe %s of pid %d (%s) is in use: there are %d bytes in "
			  "it", path, p->rec->pid, p->rec->comm, in_it);
	else
		rc = restore_fill_pipe(&r->image->pipes[pipe], hold);
	if (!rc)
		rc = open_ends(r, pipe);
	if (hold >= 0)
		close(hold);
	return rc;
}

static int fifo_prepare(struct restore *r)
{
	size_t i, end;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_pipes && !rc; i++) {
		end = restore_pipe_end(r, i, CKPT_FILE_FIFO);
		if (end != SIZE_MAX)
			rc = prepare(r, i, end);
	}
	return rc;
}

const struct state_ops state_fifo = {
	.name = "named pipes",
	.saved = "path, ends in the job, capacity, bytes in flight",
	.refused = "at the restart: bytes of others in it",
	.prepare = fifo_prepare,
};
