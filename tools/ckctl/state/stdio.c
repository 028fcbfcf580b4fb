// SPDX-License-Identifier: GPL-2.0
/*
 * Standard streams that lead out of the job: a terminal, a pipe, a socket.
 *
 * Saved: the role, 0, 1 or 2.  A restart plugs its own stream of that role in,
 * wherever else the program has dup'ed it.  What leads out of the job, stands at
 * none of these numbers in any process and was not what the job was launched
 * with (a shell moves its own out of the way for a while) is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../job/job.h"
#include "files.h"
#include "out.h"
#include "proc.h"

int dump_file_external(struct dump *d, struct dump_file *f)
{
	if (f->object->roles) {
		f->rec.kind = CKPT_FILE_STDIO;
		return CK_OK;
	}
	if (!f->is_pipe)
		return dump_file_refuse(d, f);
	return dump_file_obstacle(d, f, "descriptor %d is a pipe (%s) to a process outside of the job, "
				  "which cannot be saved; start both ends in one job, or close it",
				  f->fd, f->path);
}

unsigned int stdio_roles(const struct dump *d, const struct dump_fd *f)
{
	unsigned int roles = f->fd <= 2 ? 1U << f->fd : 0;
	const struct job_stream *stream;
	size_t i, k;

	for (i = 0; i < d->nr_streams; i++)
		for (k = 0; k < 3; k++) {
			stream = &d->streams[i].at[k];
			if (stream->ino && stream->dev == f->raw.dev && stream->ino == f->raw.ino)
				roles |= 1U << k;
		}
	return roles;
}

/* The stream that a descriptor of something outside of the job stands for. */
unsigned int stdio_role(const struct dump_fd *f)
{
	static const unsigned int preferred[3][3] = {
		[O_RDONLY] = { 0, 1, 2 }, [O_WRONLY] = { 1, 2, 0 }, [O_RDWR] = { 2, 0, 1 },
	};
	unsigned int mode = f->raw.flags & O_ACCMODE;
	const unsigned int *role = preferred[mode <= O_RDWR ? mode : O_RDWR];

	if (f->fd <= 2)
		return (unsigned int)f->fd;
	while (!(f->file->object->roles & 1U << *role))
		role++;
	return *role;
}

/* ---- restore ---- */

static int plug_in(struct restore *r, size_t i)
{
	uint64_t role = r->image->files[i].rec->object;
	int fd;

	/* A stream that the new launch was given closed. */
	fd = r->std_fds[role] >= 0 ? dup(r->std_fds[role]) : open("/dev/null", O_RDWR | O_CLOEXEC);
	r->file_fds[i] = restore_keep_fd(r, fd);
	if (r->file_fds[i] < 0)
		return fail_errno(errno, "cannot plug in the standard stream %ju", (uintmax_t)role);
	return CK_OK;
}

int stdio_prepare(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_files && !rc; i++)
		if (r->image->files[i].rec->kind == CKPT_FILE_STDIO)
			rc = plug_in(r, i);
	return rc;
}
