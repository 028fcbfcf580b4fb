// SPDX-License-Identifier: GPL-2.0
/*
 * eventfd(2): the counter and EFD_SEMAPHORE.
 *
 * Kernels before 6.5 do not tell whether it is a semaphore.  There its reads do:
 * the job stands still, so that what is read can be put back unseen.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "files.h"
#include "out.h"
#include "proc.h"

/* ---- check ---- */

static int read_value(int fd, uint64_t *value)
{
	struct iovec iov = { value, sizeof(*value) };

	/* The description is the job's: not to be set to non-blocking. */
	return preadv2(fd, &iov, 1, -1, RWF_NOWAIT) == sizeof(*value) ? 0 : -1;
}

static int write_value(int fd, uint64_t value)
{
	return !value || write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -1;
}

/* What was changed must be put back: no kernel is tried on the job's own. */
static bool can_probe(void)
{
	static int can = -1;
	uint64_t value;
	int fd;

	if (can < 0) {
		fd = eventfd(0, EFD_CLOEXEC);
		can = fd >= 0 && read_value(fd, &value) < 0 && errno == EAGAIN;
		if (fd >= 0)
			close(fd);
	}
	return can;
}

/* A read takes 1 from a semaphore, and all from another: at least 2 must be there. */
static int probe(int fd, struct ckpt_rec_eventfd *rec)
{
	uint64_t missing = rec->count < 2 ? 2 - rec->count : 0, got, rest;

	if (write_value(fd, missing) < 0 || read_value(fd, &got) < 0)
		return -1;
	rec->semaphore = got == 1;
	if (!missing)
		return write_value(fd, got);
	/* Either 1 is left of 2, or nothing. */
	if (!rec->semaphore)
		return write_value(fd, rec->count);
	return rec->count ? 0 : read_value(fd, &rest);
}

static int check(struct dump *d, struct dump_file *f)
{
	struct ckpt_rec_eventfd *rec = dump_file_state(d, f, CKPT_FILE_EVENTFD, sizeof(*rec));
	uint64_t semaphore;
	int fd, rc = CK_OK;

	if (!rec)
		return CK_FAILED;
	if (!dump_info_number(f->info, "eventfd-count", 16, (uint64_t *)&rec->count))
		return fail(CK_FAILED, "pid %d: the kernel does not tell the counter of eventfd %d",
			    f->proc->pid, f->fd);
	if (dump_info_number(f->info, "eventfd-semaphore", 10, &semaphore)) {
		rec->semaphore = semaphore == 1;
		return CK_OK;
	}
	if (!can_probe())
		return dump_file_obstacle(d, f, "descriptor %d is an eventfd, of which this kernel does "
					  "not tell whether it is a semaphore; let the program close "
					  "it", f->fd);
	if (d->rehearsal)
		return CK_OK;
	fd = dump_file_get(f);
	if (fd < 0 || probe(fd, rec) < 0)
		rc = fail_errno(errno, "pid %d: cannot look into eventfd %d", f->proc->pid, f->fd);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int eventfd_check(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_files && !rc; i++)
		if (dump_file_is(d->files->files[i], "[eventfd]"))
			rc = check(d, d->files->files[i]);
	return rc;
}

static int eventfd_dump(struct dump *d)
{
	return dump_file_states(d, CKPT_FILE_EVENTFD, CKPT_REC_EVENTFD);
}

/* ---- restore ---- */

static int make(struct restore *r, size_t i)
{
	const struct ckpt_rec_eventfd *rec = r->image->files[i].state;
	int rc = restore_file_is(r, i, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK |
						  (rec->semaphore ? EFD_SEMAPHORE : 0)));

	if (!rc && write_value(r->file_fds[i], rec->count) < 0)
		rc = fail_errno(errno, "cannot set the counter of an eventfd");
	return rc;
}

static int eventfd_prepare(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_files && !rc; i++)
		if (r->image->files[i].rec->kind == CKPT_FILE_EVENTFD)
			rc = make(r, i);
	return rc;
}

const struct state_ops state_eventfd = {
	.name = "eventfd",
	.saved = "counter, flags",
	.refused = "",
	.check = eventfd_check,
	.dump = eventfd_dump,
	.prepare = eventfd_prepare,
};
