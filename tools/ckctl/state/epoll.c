// SPDX-License-Identifier: GPL-2.0
/*
 * epoll_create(2): what is watched, by which number, events, data.  What is
 * ready the kernel finds out again.
 *
 * A watch is on an open file description; the number by which it was added may
 * be closed, or be another file now, while the description lives on under other
 * numbers.  Such a watch is found, and made again by that very number, which is
 * part of its name for epoll_ctl(2).  It is made by a process that has both, as
 * a signalfd's signals are those of who adds it.
 *
 * Refused: watches on what no process of the job has a descriptor of.
 */
#include "epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"
#include "out.h"
#include "proc.h"

#define HOW	(EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

/* ---- check ---- */

static bool parse_line(const char *line, size_t len, struct ckpt_epoll_watch *watch, uint64_t *ino)
{
	unsigned long long data, inode;
	unsigned int events;
	char text[256];
	int fd;

	/* A copy: sscanf(3) looks for the end of the text each time. */
	if (len >= sizeof(text) || strncmp(line, "tfd:", 4) != 0)
		return false;
	memcpy(text, line, len);
	text[len] = '\0';
	if (sscanf(text, "tfd:%d events:%x data:%llx pos:%*d ino:%llx", &fd, &events, &data,
		   &inode) != 4 || fd < 0)
		return false;
	*watch = (struct ckpt_epoll_watch){ .fd = fd, .events = events, .data = data };
	*ino = inode;
	return true;
}

const char *epoll_next(const char *info, struct ckpt_epoll_watch *watch, uint64_t *ino)
{
	while (*info) {
		const char *line = info;
		size_t len = strcspn(line, "\n");

		info = line + len + (line[len] == '\n');
		if (parse_line(line, len, watch, ino))
			return info;
	}
	return NULL;
}

static bool is_target(const struct dump_file *epoll, struct kcmp_epoll_slot *slot,
		      const struct proc *p, int fd)
{
	return syscall(SYS_kcmp, p->tid, epoll->proc->tid, KCMP_EPOLL_TFD, fd, slot) == 0;
}

/* A descriptor of what is watched, wherever in the job; NULL for none. */
static const struct dump_fd *find_target(const struct dump *d, const struct dump_file *f,
					 struct kcmp_epoll_slot *slot, uint64_t ino)
{
	const struct dump_files *fs = d->files;
	const struct dump_fd *fd = dump_fd_find(d, f->proc, (int)slot->tfd);
	size_t i;

	if (fd && fd->raw.ino == ino && is_target(f, slot, fd->proc, fd->fd))
		return fd;
	for (i = 0; i < fs->nr_files; i++)
		if (fs->files[i]->rec.ino == ino && dump_file_saved(fs->files[i]) &&
		    is_target(f, slot, fs->files[i]->proc, fs->files[i]->fd))
			return dump_fd_find(d, fs->files[i]->proc, fs->files[i]->fd);
	return NULL;
}

static int by_number(const void *a, const void *b)
{
	const struct ckpt_epoll_watch *x = *(const struct ckpt_epoll_watch *const *)a;
	const struct ckpt_epoll_watch *y = *(const struct ckpt_epoll_watch *const *)b;

	if (x->fd != y->fd)
		return x->fd < y->fd ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Into each one's file, for now: how many before it were added by the same number. */
static int count_alike(struct dump *d, struct ckpt_epoll_watch *watches, size_t nr)
{
	struct ckpt_epoll_watch **order = dump_alloc(d, (nr + 1) * sizeof(struct ckpt_epoll_watch *));
	size_t i;

	if (!order)
		return CK_FAILED;
	for (i = 0; i < nr; i++)
		order[i] = &watches[i];
	qsort(order, nr, sizeof(struct ckpt_epoll_watch *), by_number);
	for (i = 1; i < nr; i++)
		if (order[i]->fd == order[i - 1]->fd)
			order[i]->file = order[i - 1]->file + 1;
	return CK_OK;
}

static int check(struct dump *d, struct dump_file *f)
{
	struct ckpt_rec_epoll *rec;
	struct ckpt_epoll_watch *watches, watch;
	const char *at;
	size_t nr = 0, n;
	uint64_t *inos, ino;

	for (at = f->info; (at = epoll_next(at, &watch, &ino)); )
		nr++;
	inos = dump_alloc(d, (nr + 1) * sizeof(*inos));
	rec = dump_file_state(d, f, CKPT_FILE_EPOLL, sizeof(*rec) + nr * sizeof(*watches));
	f->watched = dump_alloc(d, (nr + 1) * sizeof(struct dump_fd *));
	if (!inos || !rec || !f->watched)
		return CK_FAILED;
	rec->nr_watches = (uint32_t)nr;
	watches = (struct ckpt_epoll_watch *)(rec + 1);
	for (at = f->info, n = 0; n < nr; n++)
		at = epoll_next(at, &watches[n], &inos[n]);
	if (count_alike(d, watches, nr))
		return CK_FAILED;
	for (n = 0; n < nr; n++) {
		struct kcmp_epoll_slot slot = {
			.efd = (uint32_t)f->fd, .tfd = (uint32_t)watches[n].fd,
			.toff = (uint32_t)watches[n].file,
		};

		f->watched[n] = find_target(d, f, &slot, inos[n]);
		if (!f->watched[n] && !d->rehearsal)
			return dump_file_obstacle(d, f, "the epoll instance %d watches something "
						  "that was added as descriptor %d, which no process "
						  "of the job has open any more; let the program "
						  "remove it with epoll_ctl(2) before it closes it",
						  f->fd, watches[n].fd);
	}
	return CK_OK;
}

static int epoll_check(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_files && !rc; i++)
		if (dump_file_is(d->files->files[i], "[eventpoll]"))
			rc = check(d, d->files->files[i]);
	return rc;
}

static int epoll_dump(struct dump *d)
{
	size_t i, n;

	for (i = 0; i < d->files->nr_files; i++) {
		const struct dump_file *f = d->files->files[i];
		struct ckpt_rec_epoll *rec = f->state;
		struct ckpt_epoll_watch *watches;

		if (f->rec.kind != CKPT_FILE_EPOLL)
			continue;
		watches = (struct ckpt_epoll_watch *)(rec + 1);
		for (n = 0; n < rec->nr_watches; n++)
			watches[n].file = dump_fd_id(f->watched[n]);
	}
	return dump_file_states(d, CKPT_FILE_EPOLL, CKPT_REC_EPOLL);
}

/* ---- restore ---- */

/* Who adds each watch of each file; filled by the coordinator, read by skeletons. */
static const struct image_process ***adders;

static const struct image_fd *find_fd(const struct image_process *p, int number)
{
	size_t low = 0, high = p->nr_fds;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->fds[middle].rec->fd == number)
			return &p->fds[middle];
		if (p->fds[middle].rec->fd > number)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* @p has the epoll @file: it adds all that it has by the same number. */
static void find_adders(const struct image *img, const struct image_process *p, size_t file)
{
	const struct image_file *f = &img->files[file];
	size_t n;

	for (n = 0; n < f->nr_watches; n++) {
		const struct image_process *now = adders[file][n];
		const struct image_fd *fd = find_fd(p, f->watches[n].fd);

		if (now) {
			const struct image_fd *its = find_fd(now, f->watches[n].fd);

			if (its && its->file == f->watched[n])
				continue;
		}
		if (!now || (fd && fd->file == f->watched[n]))
			adders[file][n] = p;
	}
}

/* A new launch's stream may be something that cannot be watched, such as a file. */
static void check_streams(const struct restore *r, size_t file, int epoll_fd)
{
	const struct image_file *f = &r->image->files[file];
	struct epoll_event event = { .events = 0 };
	size_t n;

	for (n = 0; n < f->nr_watches; n++) {
		int fd = r->file_fds[f->watched[n]];

		if (r->image->files[f->watched[n]].rec->kind != CKPT_FILE_STDIO || fd < 0)
			continue;
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 && errno == EPERM)
			note("an epoll instance of the job does not watch the standard stream %ju "
			     "any more: what it is now cannot be watched",
			     (uintmax_t)r->image->files[f->watched[n]].rec->object);
		else
			epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, &event);
	}
}

/* In one piece: a pointer for each file, then one for each watch. */
static int make_adders(const struct image *img)
{
	size_t nr = img->nr_files + 1, i;
	const struct image_process **next;

	for (i = 0; i < img->nr_files; i++)
		nr += img->files[i].nr_watches;
	free(adders);
	adders = calloc(nr, sizeof(void *));
	if (!adders)
		return fail(CK_FAILED, "out of memory");
	next = (const struct image_process **)(adders + img->nr_files);
	for (i = 0; i < img->nr_files; i++) {
		if (img->files[i].rec->kind == CKPT_FILE_EPOLL)
			adders[i] = next;
		next += img->files[i].nr_watches;
	}
	return CK_OK;
}

static int epoll_prepare(struct restore *r)
{
	const struct image *img = r->image;
	size_t i, n;
	int rc = make_adders(img);

	for (i = 0; i < img->nr_files && !rc; i++) {
		if (img->files[i].rec->kind != CKPT_FILE_EPOLL)
			continue;
		rc = restore_file_is(r, i, epoll_create1(EPOLL_CLOEXEC));
		if (!rc)
			check_streams(r, i, r->file_fds[i]);
	}
	for (i = 0; i < img->nr_processes && !rc; i++)
		for (n = 0; n < img->processes[i].nr_fds; n++)
			if (adders[img->processes[i].fds[n].file])
				find_adders(img, &img->processes[i], img->processes[i].fds[n].file);
	return rc;
}

/*
 * A one-shot that has fired watches nothing, but can only be added as one that
 * watches for errors.  It fires again if there is anything to report right now;
 * if not, it would report an error, should one come.
 */
static int add_fired(int epoll_fd, int fd, struct epoll_event *event)
{
	uint32_t events = event->events;
	struct epoll_event got;

	event->events |= EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, event) < 0)
		return -1;
	if (epoll_wait(epoll_fd, &got, 1, 0) == 1)
		return 0;
	event->events = events;
	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, event);
}

/* At its number stands what it watches, or anything else, or nothing. */
static int add(struct restore *r, const struct image_process *p, size_t file, size_t n, bool fired)
{
	const struct image_file *f = &r->image->files[file];
	const struct ckpt_epoll_watch *w = &f->watches[n];
	const struct image_fd *there = find_fd(p, w->fd);
	bool borrowed = !there || there->file != f->watched[n];
	struct epoll_event event = { .events = w->events, .data.u64 = w->data };
	int rc, err;

	if (borrowed && dup2(r->file_fds[f->watched[n]], w->fd) < 0)
		return fail_errno(errno, "pid %d (%s): cannot put back descriptor %d for its epoll "
				  "instance", p->rec->pid, p->rec->comm, w->fd);
	rc = fired ? add_fired(r->file_fds[file], w->fd, &event) :
		     epoll_ctl(r->file_fds[file], EPOLL_CTL_ADD, w->fd, &event);
	err = errno;
	if (borrowed && there)
		dup3(r->file_fds[there->file], w->fd, there->rec->flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	else if (borrowed)
		close(w->fd);
	/* check_streams() has told. */
	if (rc == 0 || (err == EPERM && r->image->files[f->watched[n]].rec->kind == CKPT_FILE_STDIO))
		return CK_OK;
	return fail_errno(err, "pid %d (%s): cannot watch descriptor %d by its epoll instance",
			  p->rec->pid, p->rec->comm, w->fd);
}

static int add_watches(struct restore *r, const struct image_process *p, size_t file)
{
	const struct image_file *f = &r->image->files[file];
	bool alone = true;
	size_t n;
	int pass, rc;

	/* What others add at the same time is not ours to take out. */
	for (n = 0; n < f->nr_watches; n++)
		alone &= adders[file][n] == p;
	/* Those that have fired come first, so that only they can fire. */
	for (pass = 0; pass < 2; pass++)
		for (n = 0; n < f->nr_watches; n++) {
			bool fired = f->watches[n].events & EPOLLONESHOT &&
				     !(f->watches[n].events & ~(uint32_t)HOW);

			if (adders[file][n] != p || fired != (pass == 0))
				continue;
			rc = add(r, p, file, n, fired && alone);
			if (rc)
				return rc;
		}
	return CK_OK;
}

static int epoll_restore(struct restore *r, const struct image_process *p)
{
	size_t i, n;
	int rc = CK_OK;

	for (i = 0; i < p->nr_fds && !rc; i++) {
		if (!adders[p->fds[i].file])
			continue;
		for (n = 0; n < i && p->fds[n].file != p->fds[i].file; n++)
			;
		if (n == i)
			rc = add_watches(r, p, p->fds[i].file);
	}
	return rc;
}

const struct state_ops state_epoll = {
	.name = "epoll",
	.saved = "watched descriptors (closed ones, too, as long as a dup lives), events, data",
	.refused = "watches on what the job has no descriptor of any more",
	.check = epoll_check,
	.dump = epoll_dump,
	.prepare = epoll_prepare,
	.restore = epoll_restore,
};
