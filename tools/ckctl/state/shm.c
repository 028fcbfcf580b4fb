// SPDX-License-Identifier: GPL-2.0
/*
 * Shared memory without a file: MAP_SHARED|MAP_ANONYMOUS, memfd, System V.
 * The module saves each object once.  It comes back as a memfd of the same
 * contents, filled before any process exists and mapped by those who had it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "out.h"
#include "state.h"

static int fill_run(const struct ckpt_run *run, const struct image_generation *gen, void *arg)
{
	int fd = *(const int *)arg;
	size_t left = (size_t)run->nr_pages * CKPT_PAGE_SIZE;
	off_t from = (off_t)run->pos;

	if (run->flags & CKPT_RUN_ZERO) {
		/* Of an older generation there may be something. */
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)run->addr,
			      (off_t)left) < 0)
			return fail_errno(errno, "cannot clear shared memory");
		return CK_OK;
	}
	if (lseek(fd, (off_t)run->addr, SEEK_SET) < 0)
		return fail_errno(errno, "cannot fill shared memory");
	while (left > 0) {
		ssize_t n = sendfile(fd, gen->page_fd, &from, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(errno, "cannot read %s/pages into shared memory", gen->path);
		if (n == 0)
			return fail(CK_DAMAGED, "%s/pages is shorter than its index says", gen->path);
		left -= (size_t)n;
	}
	return CK_OK;
}

static int make_object(struct restore *r, size_t i)
{
	const struct image_shm *shm = &r->image->shms[i];
	size_t n;
	int fd, rc = CK_OK;

	fd = restore_keep_fd(r, memfd_create("ckpt", MFD_CLOEXEC));
	if (fd < 0)
		return fail_errno(errno, "cannot make shared memory");
	r->shm_fds[i] = fd;
	if (ftruncate(fd, (off_t)shm->rec->size) < 0)
		return fail_errno(errno, "cannot make %s of shared memory",
				  human_bytes(shm->rec->size));
	for (n = 0; n < shm->nr_pages && !rc; n++)
		rc = image_for_each_run(r->image, shm->pages[n], fill_run, &fd);
	return rc;
}

static int shm_prepare(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_shms && !rc; i++)
		rc = make_object(r, i);
	return rc;
}

const struct state_ops state_shm = {
	.name = "shared memory",
	.saved = "shared anonymous memory, memfd mappings: once, however many processes map it",
	.refused = "System V segments with an id that somebody may look up",
	.prepare = shm_prepare,
};
