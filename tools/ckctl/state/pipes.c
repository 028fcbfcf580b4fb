// SPDX-License-Identifier: GPL-2.0
/*
 * Pipes between the job's processes.
 *
 * Saved: both ends, who shares them, capacity, and the bytes in flight.  A pipe
 * of which the job has one end only and whose other end nobody has any more is
 * saved with that end closed: what is in it can still be read.  One whose other
 * end somebody else has leads out of the job: files.c plugs it anew by role.
 *
 * Of named pipes (fifo.c) the job may have one end only.  A removed one is like
 * one that never had a name.
 *
 * Refused: packet mode (O_DIRECT).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "out.h"
#include "proc.h"

struct dump_pipe {
	uint64_t dev, ino;
	uint32_t id;
	uint32_t capacity;
	struct dump_file *reader, *writer;	/* a description of each end, if there is one */
	bool named;
	bool external;
	bool used;
	char *data;
	uint32_t len;
};

static bool reads(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_WRONLY;
}

static bool writes(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY;
}

/* The files are in order of their inodes: those of a pipe follow each other. */
static int find_pipes(struct dump *d)
{
	struct dump_files *fs = d->files;
	struct dump_pipe *pipe = NULL;
	size_t i;

	fs->pipes = dump_alloc(d, fs->nr_files * sizeof(*fs->pipes));
	if (!fs->pipes)
		return CK_FAILED;
	for (i = 0; i < fs->nr_files; i++) {
		struct dump_file *f = fs->files[i];

		if (!f->is_pipe)
			continue;
		if (!pipe || pipe->ino != f->rec.ino || pipe->dev != f->rec.dev) {
			pipe = &fs->pipes[fs->nr_pipes++];
			pipe->dev = f->rec.dev;
			pipe->ino = f->rec.ino;
			pipe->named = f->path[0] == '/' && f->nlink;
			pipe->id = (uint32_t)fs->nr_pipes;
		}
		f->pipe = pipe;
		pipe->used |= f->use != DUMP_UNUSED;
		if (reads(f->rec.flags))
			pipe->reader = f;
		if (writes(f->rec.flags))
			pipe->writer = f;
	}
	return CK_OK;
}

/*
 * Duplicate what is in the pipe behind @fd without consuming it: tee(2) into a
 * pipe of our own with as many places, which is then read.
 */
static int read_data(struct dump *d, struct dump_pipe *pipe, int fd, int scratch[2])
{
	const struct dump_file *f = pipe->reader;
	size_t got = 0;
	ssize_t n;

	pipe->data = dump_alloc(d, pipe->len);
	if (!pipe->data)
		return CK_FAILED;
	if (scratch[0] < 0 && pipe2(scratch, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_errno(errno, "cannot make a pipe");
	if ((uint32_t)fcntl(scratch[0], F_GETPIPE_SZ) < pipe->capacity &&
	    fcntl(scratch[0], F_SETPIPE_SZ, (int)pipe->capacity) < 0)
		return fail_errno(errno, "pid %d: cannot copy the %u bytes in its pipe %s",
				  f->proc->pid, pipe->len, f->path);
	n = tee(fd, scratch[1], pipe->capacity, SPLICE_F_NONBLOCK);
	if (n != (ssize_t)pipe->len)
		return fail_errno(n < 0 ? errno : EIO,
				  "pid %d: cannot copy the %u bytes in its pipe %s", f->proc->pid,
				  pipe->len, f->path);
	while (got < pipe->len) {
		n = read(scratch[0], pipe->data + got, pipe->len - got);
		if (n <= 0)
			return fail_errno(n ? errno : EIO, "cannot read from a pipe");
		got += (size_t)n;
	}
	return CK_OK;
}

static int check_pipe(struct dump *d, struct dump_pipe *pipe, int scratch[2])
{
	struct dump_file *f = pipe->reader ? pipe->reader : pipe->writer;
	struct pollfd pfd = { .events = 0 };
	int fd, size, len = 0, rc = CK_OK;

	if (!pipe->used) {
		pipe->external = true;
		return CK_OK;
	}
	fd = dump_file_get(f);
	if (fd < 0)
		return fail_errno(errno, "pid %d: cannot get descriptor %d", f->proc->pid, f->fd);
	/* With one end here, the pipe itself tells whether anybody has the other. */
	pfd.fd = fd;
	if ((!pipe->reader || !pipe->writer) && (!pipe->named || f->object->roles) &&
	    poll(&pfd, 1, 0) >= 0 && !(pfd.revents & (POLLHUP | POLLERR))) {
		pipe->external = true;
		goto out;
	}
	size = fcntl(fd, F_GETPIPE_SZ);
	if (size < 0 || (pipe->reader && ioctl(fd, FIONREAD, &len) < 0)) {
		rc = fail_errno(errno, "pid %d: cannot look into its pipe %s", f->proc->pid,
				f->path);
		goto out;
	}
	pipe->capacity = (uint32_t)size;
	pipe->len = (uint32_t)len;
	if (len)
		rc = read_data(d, pipe, fd, scratch);
out:
	close(fd);
	return rc;
}

static int check_end(struct dump *d, struct dump_file *f)
{
	if (!dump_file_saved(f))
		return CK_OK;
	if (f->pipe->external)
		return dump_file_external(d, f);
	if (f->rec.flags & O_DIRECT)
		return dump_file_obstacle(d, f, "descriptor %d is a pipe in packet mode (O_DIRECT), "
					  "which cannot be saved", f->fd);
	f->rec.kind = f->pipe->named ? CKPT_FILE_FIFO : CKPT_FILE_PIPE;
	f->rec.object = f->pipe->id;
	return CK_OK;
}

static int pipes_check(struct dump *d)
{
	struct dump_files *fs = d->files;
	int scratch[2] = { -1, -1 };
	size_t i;
	int rc;

	rc = find_pipes(d);
	for (i = 0; i < fs->nr_pipes && !rc; i++)
		rc = check_pipe(d, &fs->pipes[i], scratch);
	for (i = 0; i < fs->nr_files && !rc; i++)
		if (fs->files[i]->is_pipe)
			rc = check_end(d, fs->files[i]);
	if (scratch[0] >= 0) {
		close(scratch[0]);
		close(scratch[1]);
	}
	return rc;
}

static int pipes_dump(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_pipes && !rc; i++) {
		const struct dump_pipe *pipe = &d->files->pipes[i];
		struct ckpt_rec_pipe rec = {
			.id = pipe->id, .capacity = pipe->capacity, .data_len = pipe->len,
		};

		if (!pipe->external)
			rc = image_put(d->writer, CKPT_REC_PIPE, &rec, sizeof(rec), pipe->data,
				       pipe->len);
	}
	return rc;
}

/* ---- restore ---- */

int restore_fill_pipe(const struct image_pipe *pipe, int fd)
{
	const char *data = pipe->data;
	size_t done = 0;
	ssize_t n;

	if (fcntl(fd, F_GETPIPE_SZ) != (int)pipe->rec->capacity &&
	    fcntl(fd, F_SETPIPE_SZ, (int)pipe->rec->capacity) < 0)
		return fail_errno(errno, "cannot make a pipe of %u bytes", pipe->rec->capacity);
	while (done < pipe->rec->data_len) {
		n = write(fd, data + done, pipe->rec->data_len - done);
		/* It is non-blocking for now: more than fits is a damaged image. */
		if (n <= 0)
			return fail_errno(errno, "cannot put %u bytes back into a pipe of %u",
					  pipe->rec->data_len, pipe->rec->capacity);
		done += (size_t)n;
	}
	return CK_OK;
}

size_t restore_pipe_end(const struct restore *r, size_t pipe, enum ckpt_file_kind kind)
{
	size_t i;

	for (i = 0; i < r->image->nr_files; i++)
		if (r->image->files[i].rec->kind == kind && r->image->files[i].pipe == pipe)
			return i;
	return SIZE_MAX;
}

/* A description of its own for each file of the image that is an end of it. */
static int open_ends(struct restore *r, size_t index, const int ends[2])
{
	char path[32];
	size_t i;

	for (i = 0; i < r->image->nr_files; i++) {
		const struct image_file *f = &r->image->files[i];
		int flags = (int)f->rec->flags & (O_ACCMODE | O_NONBLOCK | O_APPEND);

		if (f->rec->kind != CKPT_FILE_PIPE || f->pipe != index)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d",
			 ends[reads(f->rec->flags) ? 0 : 1]);
		r->file_fds[i] = restore_keep_fd(r, open(path, flags | O_CLOEXEC));
		if (r->file_fds[i] < 0)
			return fail_errno(errno, "cannot open an end of a pipe");
	}
	return CK_OK;
}

/* The inode belongs to who made it; the program may want to open it by /proc. */
static int give_to_owner(const struct restore *r, size_t index, int fd)
{
	const struct image_process *p = restore_file_owner(r, restore_pipe_end(r, index,
									       CKPT_FILE_PIPE));

	if (geteuid() != 0 || !p)
		return CK_OK;
	if (fchown(fd, p->cred->fsuid, p->cred->fsgid) < 0)
		return fail_errno(errno, "cannot give a pipe to user %u", p->cred->fsuid);
	return CK_OK;
}

static int make_pipe(struct restore *r, size_t index)
{
	const struct image_pipe *pipe = &r->image->pipes[index];
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_errno(errno, "cannot make a pipe");
	rc = restore_fill_pipe(pipe, ends[1]);
	if (!rc)
		rc = open_ends(r, index, ends);
	if (!rc)
		rc = give_to_owner(r, index, ends[0]);
	close(ends[0]);
	close(ends[1]);
	return rc;
}

/* The descriptors are put at their numbers with all others, by files.c. */
static int pipes_prepare(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_pipes && !rc; i++)
		if (restore_pipe_end(r, i, CKPT_FILE_PIPE) != SIZE_MAX)
			rc = make_pipe(r, i);
	return rc;
}

const struct state_ops state_pipes = {
	.name = "pipes",
	.saved = "pipes between the job's processes: ends, capacity, bytes in flight",
	.refused = "pipes in packet mode, pipes to other processes except as standard streams",
	.check = pipes_check,
	.dump = pipes_dump,
	.prepare = pipes_prepare,
};
