// SPDX-License-Identifier: GPL-2.0
/*
 * Shared memory without a file: MAP_SHARED|MAP_ANONYMOUS, memfd, System V; and
 * mapped files that were removed.  The module saves each object once, objects.c
 * adds those that are only open.  It comes back with the same contents as a
 * memfd, or as a file without a name where it was, filled before any process
 * exists and mapped by those who had it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "cred.h"
#include "mm.h"
#include "out.h"
#include "proc.h"
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
			return fail_errno(errno, "cannot clear a part of a file");
		return CK_OK;
	}
	if (lseek(fd, (off_t)run->addr, SEEK_SET) < 0)
		return fail_errno(errno, "cannot fill a file");
	while (left > 0) {
		ssize_t n = sendfile(fd, gen->page_fd, &from, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(errno, "cannot read %s/pages into a file", gen->path);
		if (n == 0)
			return fail(CK_DAMAGED, "%s/pages is shorter than its index says", gen->path);
		left -= (size_t)n;
	}
	return CK_OK;
}

bool shm_is_program(const struct image_shm *shm, const struct image_process *p)
{
	size_t len = strlen(shm->name);

	return shm->rec->flags & CKPT_SHM_FILE && strncmp(p->exe, shm->name, len) == 0 &&
	       p->exe[len] && proc_name_len(p->exe) == len;
}

/* What is open for writing cannot be executed. */
static int close_for_writing(struct restore *r, size_t i)
{
	const struct image_shm *shm = &r->image->shms[i];
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->shm_fds[i]);
	fd = restore_keep_fd(r, open(path, O_RDONLY | O_CLOEXEC));
	if (fd < 0)
		return fail_errno(errno, "cannot open the removed program %s again", shm->name);
	close(r->shm_fds[i]);
	r->shm_fds[i] = fd;
	return CK_OK;
}

/* Somebody who had it, for their rights. */
static const struct image_process *owner(const struct image *img, const struct image_shm *shm)
{
	size_t i, n;

	for (i = 0; i < img->nr_processes; i++) {
		const struct image_process *p = &img->processes[i];

		for (n = 0; n < p->nr_vmas; n++)
			if (p->vmas[n].rec->kind == CKPT_VMA_SHM &&
			    p->vmas[n].rec->object == shm->rec->id)
				return p;
		for (n = 0; n < p->nr_fds; n++) {
			const struct image_file *f = &img->files[p->fds[n].file];

			if (f->rec->kind == CKPT_FILE_OBJECT && &img->shms[f->shm] == shm)
				return p;
		}
	}
	return &img->processes[0];
}

/* Empty, without a name; -1 and errno. */
static int create(struct restore *r, const struct image_shm *shm)
{
	static const char memfd[] = "/memfd:";
	const char *slash = strrchr(shm->name, '/');
	const struct image_process *p = owner(r->image, shm);
	const char *name = "ckpt";
	char dir[PATH_MAX];
	int fd;

	if (shm->rec->flags & CKPT_SHM_FILE) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - shm->name) + (slash == shm->name),
			 shm->name);
		return cred_create(r, p, dir);
	}
	if (strncmp(shm->name, memfd, sizeof(memfd) - 1) == 0)
		name = shm->name + sizeof(memfd) - 1;
	fd = restore_keep_fd(r, memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
	/* Of the job's user, whoever restarts it. */
	if (fd >= 0 && geteuid() == 0 && fchown(fd, p->cred->fsuid, p->cred->fsgid) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int shm_fill(const struct restore *r, const struct image_shm *shm, int fd)
{
	size_t n;
	int rc = CK_OK;

	for (n = 0; n < shm->nr_pages && !rc; n++)
		rc = image_for_each_run(r->image, shm->pages[n], fill_run, &fd);
	/* It was filled by whole pages, and may end with a hole. */
	if (!rc && ftruncate(fd, (off_t)shm->rec->size) < 0)
		rc = fail_errno(errno, "cannot make %s of %s", human_bytes(shm->rec->size),
				shm->name);
	return rc;
}

static int make_object(struct restore *r, size_t i)
{
	const struct image_shm *shm = &r->image->shms[i];
	size_t n;
	int fd, rc;

	fd = r->shm_fds[i] = create(r, shm);
	if (fd < 0)
		return fail_errno(errno, "cannot make %s, which was removed, once more", shm->name);
	rc = shm_fill(r, shm, fd);
	for (n = 0; n < r->image->nr_processes; n++)
		if (shm_is_program(shm, &r->image->processes[n]))
			return rc ? rc : close_for_writing(r, i);
	return rc;
}

static int shm_prepare(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_shms && !rc; i++)
		if (!r->image->shms[i].temp)
			rc = make_object(r, i);
	return rc;
}

const struct state_ops state_shm = {
	.name = "shared memory",
	.saved = "shared anonymous memory, memfds and removed files that are mapped: once, however "
		 "many processes map it",
	.refused = "System V segments with an id that somebody may look up",
	.prepare = shm_prepare,
};
