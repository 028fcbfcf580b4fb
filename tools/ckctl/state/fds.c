// SPDX-License-Identifier: GPL-2.0
/*
 * Descriptors: numbers, close-on-exec, and who shares an open file description
 * with whom, within a process and between processes.  What a description is
 * open on is the business of stdio.c and of the rows that follow: files.c, pipes.c …
 *
 * Refused: what none of these rows knows, signal-driven I/O.
 */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "objects.h"
#include "out.h"
#include "proc.h"

/* ---- reading, while the job stands still ---- */

static struct dump_fd *new_fd(struct dump *d)
{
	struct dump_files *fs = d->files;
	struct dump_fd *more;

	if (fs->nr_fds == fs->size) {
		fs->size = fs->size ? 2 * fs->size : 64;
		more = dump_alloc(d, fs->size * sizeof(*more));
		if (!more)
			return NULL;
		if (fs->nr_fds)
			memcpy(more, fs->fds, fs->nr_fds * sizeof(*more));
		fs->fds = more;
	}
	return &fs->fds[fs->nr_fds++];
}

static int read_stat(struct dump_fd *f)
{
	struct ckpt_rec_file *raw = &f->raw;
	char name[32];
	struct statx st;

	snprintf(name, sizeof(name), "fd/%d", f->fd);
	/* A hung file server must not make the job stand still: what is known here. */
	if (statx(f->proc->dir_fd, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
		  &st) < 0)
		return fail_errno(errno, "pid %d: cannot look at descriptor %d", f->proc->pid,
				  f->fd);
	raw->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	raw->rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	raw->ino = st.stx_ino;
	raw->mode = st.stx_mode;
	raw->size = st.stx_size;
	f->nlink = st.stx_nlink;
	raw->mtime_sec = st.stx_mtime.tv_sec;
	raw->mtime_nsec = st.stx_mtime.tv_nsec;
	return CK_OK;
}

/*
 * Children inherit: the neighbour in the list of processes often has the very
 * same file at the very same number, and asking for that is cheaper than stat.
 */
static bool same_as_neighbour(const struct dump_files *fs, const struct proc *neighbour,
			      struct dump_fd *f, size_t *at)
{
	const struct dump_fd *other;
	size_t end;

	if (!neighbour)
		return false;
	end = neighbour->first_fd + neighbour->nr_fds;
	while (*at < end && fs->fds[*at].fd < f->fd)
		(*at)++;
	if (*at == end || fs->fds[*at].fd != f->fd ||
	    syscall(SYS_kcmp, neighbour->tid, f->proc->tid, KCMP_FILE, f->fd, f->fd) != 0)
		return false;
	other = &fs->fds[*at];
	f->raw = other->raw;
	f->nlink = other->nlink;
	f->same = *at + 1;
	return true;
}

/* The whole text, however long an epoll's is; in memory of @d. */
static int keep_info(struct dump *d, struct dump_fd *f, const char *text, size_t size)
{
	size_t len = strlen(text);
	char *more = NULL;

	for (; len == size - 1; len = strlen(more)) {
		size *= 4;
		more = dump_alloc(d, size);
		if (!more)
			return CK_FAILED;
		if (proc_fdinfo(f->proc, f->fd, more, size) < 0)
			return fail_errno(errno, "pid %d: cannot read /proc/%d/fdinfo/%d",
					  f->proc->pid, f->proc->pid, f->fd);
	}
	f->info = more ? more : dump_strdup(d, text, len);
	return f->info ? CK_OK : CK_FAILED;
}

bool dump_info_number(const char *info, const char *key, int base, uint64_t *value)
{
	const char *text = proc_status(info, key);
	char *end;

	if (!text)
		return false;
	errno = 0;
	*value = strtoull(text, &end, base);
	return end != text && !errno;
}

static int read_fdinfo(struct dump *d, struct dump_fd *f)
{
	struct ckpt_rec_file *raw = &f->raw;
	static char text[16384];
	uint64_t value;
	int rc;

	if (proc_fdinfo(f->proc, f->fd, text, sizeof(text)) < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/fdinfo/%d", f->proc->pid,
				  f->proc->pid, f->fd);
	raw->pos = dump_info_number(text, "pos", 10, &value) ? (int64_t)value : 0;
	raw->flags = dump_info_number(text, "flags", 8, &value) ? (uint32_t)value : 0;
	f->cloexec = raw->flags & O_CLOEXEC;
	raw->flags &= ~(uint32_t)O_CLOEXEC;
	if (proc_status(text, "lock")) {
		rc = keep_info(d, f, text, sizeof(text));
		f->locks = f->info;
		return rc;
	}
	return raw->mode & S_IFMT || f->same ? CK_OK : keep_info(d, f, text, sizeof(text));
}

static int read_fds(struct dump *d, struct proc *p, const struct proc *neighbour)
{
	size_t nr, i, at = neighbour ? neighbour->first_fd : 0;
	struct dump_fd *f;
	int *list;
	int rc;

	rc = proc_numbers(d, p, p->fd_fd, "fd", &list, &nr);
	if (rc)
		return rc;
	if (d->early_room)
		d->early_room = proc_keep_fdinfo(p, list, nr, d->early_room);
	p->first_fd = d->files->nr_fds;
	p->nr_fds = nr;
	for (i = 0; i < nr; i++) {
		f = new_fd(d);
		if (!f)
			return CK_FAILED;
		f->proc = p;
		f->fd = list[i];
		rc = same_as_neighbour(d->files, neighbour, f, &at) ? CK_OK : read_stat(f);
		if (!rc)
			rc = read_fdinfo(d, f);
		if (rc)
			return rc;
	}
	return CK_OK;
}

const struct dump_fd *dump_fd_find(const struct dump *d, const struct proc *p, int number)
{
	size_t low = p->first_fd, high = p->first_fd + p->nr_fds;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct dump_fd *f = &d->files->fds[middle];

		if (f->fd == number)
			return f;
		if (f->fd > number)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

int dump_file_get(const struct dump_file *f)
{
	char name[32];

	if (f->proc->pid_fd >= 0)
		return (int)syscall(SYS_pidfd_getfd, f->proc->pid_fd, f->fd, 0);
	/* Its first thread has ended, and the kernel has no such descriptor for another. */
	snprintf(name, sizeof(name), "fd/%d", f->fd);
	return openat(f->proc->dir_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/* ---- which descriptors share one description ---- */

#define COMPARE(a, b) if ((a) != (b)) return (a) < (b) ? -1 : 1

static int by_object(const struct ckpt_rec_file *a, const struct ckpt_rec_file *b)
{
	COMPARE(a->dev, b->dev);
	COMPARE(a->ino, b->ino);
	return 0;
}

static int by_key(const void *va, const void *vb)
{
	const struct dump_fd *const *pa = va, *const *pb = vb;
	const struct ckpt_rec_file *a = &(*pa)->raw, *b = &(*pb)->raw;
	int order = by_object(a, b);

	if (order)
		return order;
	COMPARE(a->flags, b->flags);
	COMPARE(a->pos, b->pos);
	/* The order of processes and numbers, so that the result is always the same. */
	COMPARE(*pa, *pb);
	return 0;
}

/* The kernel's order of open file descriptions, as strcmp(3). */
static int compare_descriptions(const struct dump_fd *a, const struct dump_file *b)
{
	/* Where it has no state, only its flags could be shared, and these are alike. */
	if (S_ISCHR(a->raw.mode) || S_ISBLK(a->raw.mode))
		return 0;
	switch (syscall(SYS_kcmp, a->proc->tid, b->proc->tid, KCMP_FILE, a->fd, b->fd)) {
	case 0:
		return 0;
	case 1:
		return -1;
	}
	return 1;
}

static enum dump_use use_of(const struct dump_fd *f)
{
	if (!f->proc->relaunch || f->fd <= 2)
		return DUMP_NEEDED;
	return f->cloexec ? DUMP_UNUSED : DUMP_WANTED;
}

/* A new description, at @at of those found so far. */
static struct dump_file *new_file(struct dump *d, const struct dump_fd *f,
				  struct dump_object *object, size_t at)
{
	struct dump_files *fs = d->files;
	struct dump_file *file = dump_alloc(d, sizeof(*file));

	if (!file)
		return NULL;
	file->rec = f->raw;
	file->nlink = f->nlink;
	file->info = f->info;
	file->proc = f->proc;
	file->fd = f->fd;
	file->object = object;
	memmove(fs->files + at + 1, fs->files + at, (fs->nr_files - at) * sizeof(*fs->files));
	fs->files[at] = file;
	fs->nr_files++;
	return file;
}

/* The description of @f, among those from @first on that are like it, in their
 * order: all eventfds of a job are alike, and there may be thousands. */
static struct dump_file *find_file(struct dump *d, const struct dump_fd *f,
				   struct dump_object *object, size_t first)
{
	struct dump_files *fs = d->files;
	size_t low = first, high = fs->nr_files;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_descriptions(f, fs->files[middle]);

		if (order == 0)
			return fs->files[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return new_file(d, f, object, low);
}

static int group_fds(struct dump *d)
{
	struct dump_files *fs = d->files;
	struct dump_object *object = NULL;
	struct dump_fd **order;
	size_t i, first = 0;

	order = dump_alloc(d, fs->nr_fds * sizeof(struct dump_fd *));
	fs->files = dump_alloc(d, fs->nr_fds * sizeof(struct dump_file *));
	if (!order || !fs->files)
		return CK_FAILED;
	for (i = 0; i < fs->nr_fds; i++)
		order[i] = &fs->fds[i];
	qsort(order, fs->nr_fds, sizeof(*order), by_key);
	for (i = 0; i < fs->nr_fds; i++) {
		struct dump_fd *f = order[i], *before = i ? order[i - 1] : NULL;

		if (!before || by_object(&before->raw, &f->raw) != 0) {
			object = dump_alloc(d, sizeof(*object));
			if (!object)
				return CK_FAILED;
		}
		if (!before || by_object(&before->raw, &f->raw) != 0 ||
		    before->raw.flags != f->raw.flags || before->raw.pos != f->raw.pos)
			first = fs->nr_files;
		/* The same is before it in this order, too, and has its file already. */
		f->file = f->same ? fs->fds[f->same - 1].file : NULL;
		if (!f->file)
			f->file = find_file(d, f, object, first);
		if (!f->file)
			return CK_FAILED;
		if (use_of(f) > f->file->use)
			f->file->use = use_of(f);
		object->roles |= stdio_roles(d, f);
	}
	return CK_OK;
}

/* ---- what can be saved ---- */

/* Anonymous inodes: those with a row of their own, and what others are called. */
static const struct {
	const char *name, *type;
	bool saved;
} anonymous[] = {
	{ "[eventfd]", "an eventfd", true },
	{ "[eventpoll]", "an epoll instance", true },
	{ "[timerfd]", "a timerfd", true },
	{ "[signalfd]", "a signalfd", true },
	{ "inotify", "an inotify instance", false },
	{ "[fanotify]", "a fanotify group", false },
	{ "[io_uring]", "an io_uring", false },
	{ "[pidfd]", "a pidfd", false },
	{ "[userfaultfd]", "a userfaultfd", false },
	{ "[perf_event]", "a perf event", false },
	{ "bpf-map", "a BPF map", false },
	{ "bpf-prog", "a BPF program", false },
};

#define NR_ANONYMOUS	(sizeof(anonymous) / sizeof(anonymous[0]))

bool dump_file_is(const struct dump_file *f, const char *name)
{
	/* What is started anew makes its own. */
	return f->info && !f->refused && f->use == DUMP_NEEDED && strncmp(f->path, "anon_inode:", 11) == 0 &&
	       strcmp(f->path + 11, name) == 0;
}

static bool is_saved_by_its_row(const struct dump_file *f)
{
	size_t i;

	for (i = 0; i < NR_ANONYMOUS; i++)
		if (anonymous[i].saved && dump_file_is(f, anonymous[i].name))
			return true;
	return f->is_pipe;
}

static const char *type_of(const struct dump_file *f)
{
	size_t i;

	if (S_ISSOCK(f->rec.mode))
		return "a socket";
	if (S_ISBLK(f->rec.mode) || S_ISCHR(f->rec.mode))
		return "a device with a state of its own";
	for (i = 0; i < NR_ANONYMOUS; i++)
		if (dump_file_is(f, anonymous[i].name))
			return anonymous[i].type;
	return "of an unknown kind";
}

int dump_file_obstacle(struct dump *d, struct dump_file *f, const char *fmt, ...)
{
	va_list ap;
	int rc = CK_OK;

	f->refused = true;
	va_start(ap, fmt);
	if (f->use == DUMP_NEEDED)
		rc = vobstacle(d, f->proc->pid, fmt, ap);
	va_end(ap);
	return rc;
}

int dump_file_refuse(struct dump *d, struct dump_file *f)
{
	return dump_file_obstacle(d, f, "descriptor %d is %s (%s), which cannot be saved; let the "
				  "program close it before a checkpoint", f->fd, type_of(f), f->path);
}

bool dump_file_saved(const struct dump_file *f)
{
	return f->use != DUMP_UNUSED && !f->refused;
}

static int check_file(struct dump *d, struct dump_file *f)
{
	char name[32], path[PATH_MAX];
	ssize_t len;

	snprintf(name, sizeof(name), "fd/%d", f->fd);
	len = proc_link(f->proc, name, path, sizeof(path));
	if (len < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/%s", f->proc->pid,
				  f->proc->pid, name);
	f->path = dump_strdup(d, path, (size_t)len);
	if (!f->path)
		return CK_FAILED;
	f->is_pipe = S_ISFIFO(f->rec.mode) && !(f->rec.flags & O_PATH);
	/* Of an unused pipe the other end may not be. */
	if (f->use == DUMP_UNUSED)
		return CK_OK;
	if (f->rec.flags & O_ASYNC)
		return dump_file_obstacle(d, f, "descriptor %d (%s) is set to signal-driven I/O "
					  "(O_ASYNC), which cannot be saved; let the program switch "
					  "it off", f->fd, path);
	if (object_is(f))
		return CK_OK;
	if (dump_file_has_path(f))
		return dump_file_named(d, f);
	if (S_ISCHR(f->rec.mode))
		return dump_file_external(d, f);
	if (S_ISSOCK(f->rec.mode))
		return dump_file_socket(d, f);
	/* Its row goes on from here. */
	return is_saved_by_its_row(f) ? CK_OK : dump_file_refuse(d, f);
}

static int fds_check(struct dump *d)
{
	size_t i;
	int rc;

	d->files = dump_alloc(d, sizeof(*d->files));
	if (!d->files)
		return CK_FAILED;
	for (i = 0; i < d->nr_procs; i++) {
		rc = read_fds(d, &d->procs[i], i ? &d->procs[i - 1] : NULL);
		if (rc)
			return rc;
	}
	rc = group_fds(d);
	for (i = 0; i < d->files->nr_files && !rc; i++)
		rc = check_file(d, d->files->files[i]);
	return rc;
}

/* ---- records ---- */

static int put_file(struct dump *d, struct dump_file *f, uint64_t id)
{
	f->rec.id = id;
	f->rec.path_len = (uint32_t)strlen(f->path);
	return image_put(d->writer, CKPT_REC_FILE, &f->rec, sizeof(f->rec), f->path,
			 f->rec.path_len);
}

void *dump_file_state(struct dump *d, struct dump_file *f, enum ckpt_file_kind kind, size_t len)
{
	f->state = dump_alloc(d, len);
	f->state_len = len;
	f->rec.kind = kind;
	return f->state;
}

int dump_file_states(struct dump *d, enum ckpt_file_kind kind, uint32_t type)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_files && !rc; i++) {
		const struct dump_file *f = d->files->files[i];

		if (f->rec.kind != kind)
			continue;
		memcpy(f->state, &f->rec.id, sizeof(f->rec.id));
		rc = image_put(d->writer, type, f->state, f->state_len, NULL, 0);
	}
	return rc;
}

/* A terminal may be one description at 0, 1 and 2, but is three streams. */
static __u64 *id_of(const struct dump_fd *f)
{
	return f->file->rec.kind == CKPT_FILE_STDIO ? &f->file->stdio_ids[stdio_role(f)] :
						      &f->file->rec.id;
}

uint64_t dump_fd_id(const struct dump_fd *f)
{
	return *id_of(f);
}

static int put_fd(struct dump *d, const struct dump_fd *f, uint64_t *next_id)
{
	struct ckpt_rec_fd rec = { .pid = f->proc->pid, .fd = f->fd,
				   .flags = f->cloexec ? FD_CLOEXEC : 0 };
	struct dump_file *file = f->file;
	__u64 *id = id_of(f);
	int rc;

	if (file->rec.kind == CKPT_FILE_STDIO)
		file->rec.object = stdio_role(f);
	if (!*id) {
		*id = (*next_id)++;
		rc = put_file(d, file, *id);
		if (rc)
			return rc;
	}
	rec.file = *id;
	return image_put(d->writer, CKPT_REC_FD, &rec, sizeof(rec), NULL, 0);
}

static int fds_dump(struct dump *d)
{
	uint64_t next_id = 1;
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->files->nr_fds && !rc; i++)
		if (use_of(&d->files->fds[i]) != DUMP_UNUSED && dump_file_saved(d->files->fds[i].file))
			rc = put_fd(d, &d->files->fds[i], &next_id);
	return rc;
}

/* ---- restore ---- */

int restore_file_is(struct restore *r, size_t file, int fd)
{
	const struct image_file *f = &r->image->files[file];

	r->file_fds[file] = fd = restore_keep_fd(r, fd);
	if (fd < 0 || fcntl(fd, F_SETFL, f->rec->flags) < 0)
		return fail_errno(errno, "cannot open %s again", f->path);
	return CK_OK;
}

static int fds_restore(struct restore *r, const struct image_process *p)
{
	unsigned int next = 0;
	size_t i;

	for (i = 0; i < p->nr_fds; i++) {
		const struct image_fd *f = &p->fds[i];
		unsigned int fd = (unsigned int)f->rec->fd;
		int from = r->file_fds[f->file];

		if (f->rec->fd < 0 || f->rec->fd >= r->fd_base || fd < next || from < 0)
			return fail(CK_DAMAGED,
				    "the image has an impossible descriptor %d of pid %d",
				    f->rec->fd, p->rec->pid);
		if (fd > next)
			close_range(next, fd - 1, 0);
		if (dup3(from, f->rec->fd, f->rec->flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
			return fail_errno(errno, "pid %d (%s): cannot put back descriptor %d",
					  p->rec->pid, p->rec->comm, f->rec->fd);
		next = fd + 1;
	}
	if (next < (unsigned int)r->fd_base)
		close_range(next, (unsigned int)r->fd_base - 1, 0);
	return CK_OK;
}


const struct state_ops state_fds = {
	.name = "descriptors",
	.saved = "numbers, close-on-exec, descriptions shared by dup(2) or between processes; standard "
		 "streams that lead out of the job (terminal, pipe, named pipe, socket) by role",
	.refused = "sockets and outer pipes at other numbers, signal-driven I/O, "
		   "inotify, io_uring, pidfd, and what no row below names",
	.check = fds_check,
	.dump = fds_dump,
	.prepare = stdio_prepare,
	.restore = fds_restore,
};
