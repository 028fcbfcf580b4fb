// SPDX-License-Identifier: GPL-2.0
/*
 * Temporary files: regular files with one name, in a place for such (places.c),
 * that the job has open, perhaps mapped as well.
 *
 * Saved: as files.c saves them, and their contents of the moment at which the job
 * stands still.  What would be too much to copy is saved by its path only, those
 * first that nobody in the job has open for writing.
 *
 * At a restart one that is there, the same and unchanged, is opened as any file.
 * One that is no more is made again, with the directories that it needs: filled
 * without a name, which it gets when all else has been looked at, and loses again
 * when the restart fails after that.  One that the job has gone on to write is
 * brought back, at the very end: one that was only mapped, too, such that the job wrote
 * it.  Another file in its place is none of these.
 */
#include "tempfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "closed.h"
#include "contents.h"
#include "cred.h"
#include "files.h"
#include "out.h"
#include "places.h"
#include "proc.h"
#include "remake.h"
#include "trail.h"

/* ---- check ---- */

static bool is_temporary(const struct dump *d, const struct dump_file *f)
{
	return f->rec.kind == CKPT_FILE_REG && dump_file_saved(f) && f->nlink == 1 &&
	       places_have(d->places, f->path, f->rec.dev);
}

static int take(struct dump *d, struct dump_file *f)
{
	struct dump_content *c = f->object->content;
	struct statx st = { 0 };

	if (!c) {
		c = f->object->content = content_add(d, f->path);
		if (!c)
			return CK_FAILED;
		content_of_file(c, f);
		c->fd = content_open(f);
		if (c->fd < 0 || statx(c->fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
				       STATX_UID | STATX_BTIME, &st) < 0)
			c->err = errno;
		if (content_has_name(d, c, &st))
			return CK_FAILED;
		c->temp->mtime_sec = f->rec.mtime_sec;
		c->temp->mtime_nsec = f->rec.mtime_nsec;
	}
	c->written |= (f->rec.flags & O_ACCMODE) != O_RDONLY;
	return CK_OK;
}

static int tempfiles_check(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	if (!d->places)
		return CK_OK;
	for (i = 0; i < d->nr_procs; i++)
		places_learn(d->places, &d->procs[i]);
	for (i = 0; i < d->files->nr_files && !rc; i++)
		if (is_temporary(d, d->files->files[i]))
			rc = take(d, d->files->files[i]);
	return rc ? rc : closed_find(d);
}

/* ---- the contents, while the job stands still ---- */

static bool is_closed(const struct dump_content *c)
{
	return c->temp->flags & CKPT_TEMPFILE_CLOSED;
}

static void capture(struct dump *d, struct dump_content *c, struct image_writer *w, bool held)
{
	uint64_t bytes = is_closed(c) ? content_bytes(c) : 0;

	/* Whether these are needed nobody knows: they do not fill the disk. */
	if (bytes > CONTENTS_MAX_COPY - d->files->contents.closed) {
		c->err = EFBIG;
		return;
	}
	d->files->contents.closed += bytes;
	switch (content_take(d, c, w, held)) {
	case CONTENT_TAKEN:
		break;
	case CONTENT_TOO_LARGE:
		c->err = EFBIG;
		break;
	case CONTENT_FAILED:
		c->err = errno;
		break;
	}
}

/* Whose turn it is first: as much as there is room for is taken. */
static unsigned int rank_of(const struct dump_content *c)
{
	return is_closed(c) ? 2 : c->written ? 0 : 1;
}

void tempfiles_capture(struct dump *d, struct image_writer *w, bool held)
{
	struct dump_files *fs = d->files;
	struct dump_content *c;
	unsigned int rank;
	size_t i;

	for (rank = 0; rank < 3; rank++)
		for (c = fs->contents.first; c; c = c->next)
			if (c->temp && !c->err && rank_of(c) == rank)
				capture(d, c, w, held);
	for (i = 0; i < fs->nr_files; i++) {
		struct ckpt_rec_file *rec = &fs->files[i]->rec;

		c = fs->files[i]->object->content;
		/* By way of another mount it has another path. */
		if (rec->kind != CKPT_FILE_REG || !c || !c->ours ||
		    strcmp(fs->files[i]->path, c->path) != 0)
			continue;
		rec->object = c->rec.id;
		/* Others may write it, and did between two looks. */
		rec->size = c->rec.size;
		rec->mtime_sec = c->temp->mtime_sec;
		rec->mtime_nsec = c->temp->mtime_nsec;
	}
}

/* ---- records ---- */

/* One sentence for all that are too large, open ones or @closed ones. */
static void tell_left(const struct dump *d, bool closed)
{
	const struct dump_content *c, *first = NULL;
	char more[64] = "";
	size_t nr = 0;

	for (c = d->files->contents.first; c; c = c->next) {
		if (!c->temp || !c->err || is_closed(c) != closed)
			continue;
		if (c->err == EFBIG) {
			first = first ? first : c;
			nr++;
			continue;
		}
		note("%s cannot be copied and is %s: %s", c->path, closed ? "not saved" :
		     "saved by its path only", strerror(c->err));
	}
	if (nr > 1)
		snprintf(more, sizeof(more), " and %zu more temporary file%s", nr - 1,
			 nr > 2 ? "s" : "");
	if (first && closed)
		note("%s (%s)%s, which nobody has open, %s not saved: at most %s of such files are",
		     first->path, human_bytes(first->rec.size), more, nr > 1 ? "are" : "is",
		     human_bytes(CONTENTS_MAX_COPY));
	else if (first)
		note("%s (%s)%s %s saved by path only: at most %s are copied while a job stands still, "
		     "all with --stop", first->path, human_bytes(first->rec.size), more,
		     nr > 1 ? "are" : "is", human_bytes(CONTENTS_MAX_COPY));
}

static int tempfiles_dump(struct dump *d)
{
	const struct dump_content *c;
	int rc = CK_OK;

	/* It waited until the job runs again. */
	tell_left(d, false);
	tell_left(d, true);
	for (c = d->files->contents.first; c && !rc; c = c->next)
		if (c->temp && c->ours)
			rc = image_put(d->writer, CKPT_REC_TEMPFILE, c->temp, sizeof(*c->temp), NULL, 0);
	return rc;
}

/* ---- restore: what became of them ---- */

enum temp_fate tempfiles_fate(const struct restore *r, size_t file)
{
	const struct image_file *f = &r->image->files[file];

	return r->temps && image_is_temporary(f) ? r->temps->files[f->shm].fate : TEMP_AS_IT_IS;
}

bool tempfiles_is_another(const struct restore *r, size_t file)
{
	const struct image_file *f = &r->image->files[file];

	return r->temps && image_is_temporary(f) && r->temps->files[f->shm].another;
}

enum temp_fate tempfiles_fate_at(const struct restore *r, const char *path)
{
	size_t i;

	for (i = 0; r->temps && i < r->image->nr_shms; i++)
		if (r->image->shms[i].temp && strcmp(r->image->shms[i].name, path) == 0)
			return r->temps->files[i].fate;
	return TEMP_AS_IT_IS;
}

bool tempfiles_make_dir(const struct restore *r, const char *path)
{
	size_t len = strlen(path), i;
	struct stat st;

	for (i = 0; r->temps && i < r->image->nr_shms; i++)
		if (r->temps->files[i].fate == TEMP_MISSING &&
		    strncmp(r->image->shms[i].name, path, len) == 0 &&
		    r->image->shms[i].name[len] == '/')
			return lstat(path, &st) < 0;
	return false;
}

static const struct image_process *find_process(const struct restore *r, size_t shm)
{
	const struct ckpt_rec_tempfile *temp = r->image->shms[shm].temp;
	const struct image_process *p = NULL;
	size_t i;

	for (i = 0; i < r->image->nr_processes && temp->flags & CKPT_TEMPFILE_CLOSED && !p; i++)
		if (r->image->processes[i].cred->fsuid == temp->uid)
			p = &r->image->processes[i];
	for (i = 0; i < r->image->nr_files && !p; i++)
		if (image_is_temporary(&r->image->files[i]) && r->image->files[i].shm == shm)
			p = restore_file_owner(r, i);
	return p;
}

/* For cred_call(). */
struct look {
	const struct image *image;
	const struct image_shm *shm;
	uid_t uid;
	bool mapped;			/* such that its time tells nothing of its contents */
	bool needed;
	struct trail trail;
	bool missing, another;
	int fd;				/* to write it by, when it has changed */
};

static bool is_same(const struct image_shm *shm, const struct statx *st)
{
	const struct ckpt_rec_tempfile *temp = shm->temp;

	return st->stx_ino == shm->rec->ino &&
	       (!temp->btime_sec || !(st->stx_mask & STATX_BTIME) ||
		(st->stx_btime.tv_sec == temp->btime_sec &&
		 st->stx_btime.tv_nsec == temp->btime_nsec));
}

static bool is_unchanged(const struct image_shm *shm, const struct statx *st)
{
	return st->stx_size == shm->rec->size && st->stx_mtime.tv_sec == shm->temp->mtime_sec &&
	       st->stx_mtime.tv_nsec == shm->temp->mtime_nsec;
}

/* Something is there; what it is to the job. */
static void look_at(struct look *l, const struct statx *st)
{
	const int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	bool changed = !is_unchanged(l->shm, st), same = is_same(l->shm, st) || !changed;
	int fd = -1;

	if (S_ISREG(st->stx_mode) && st->stx_uid == l->uid && st->stx_nlink == 1)
		fd = openat(l->trail.dir_fd, l->trail.rest, O_RDONLY | flags);
	/* One that a former restart has made is the job's, too. */
	same |= fd >= 0 && remake_is_marked(l->image, l->shm, fd);
	l->another = !same;
	if (fd < 0)
		return;
	if (same)
		remake_mark(l->image, l->shm, fd);
	if (same && (changed || l->mapped) && l->needed && !restore_is_written(fd)) {
		close(fd);
		l->fd = openat(l->trail.dir_fd, l->trail.rest, O_RDWR | flags);
		return;
	}
	close(fd);
}

static int look(void *arg)
{
	struct look *l = arg;
	struct statx st;
	struct stat there;
	int err;

	if (trail_follow(&l->trail, l->shm->name, l->uid) < 0) {
		err = errno;
		l->missing = stat(l->shm->name, &there) < 0 && errno == ENOENT;
		errno = err;
		return -1;
	}
	if (strchr(l->trail.rest, '/') ||
	    statx(l->trail.dir_fd, l->trail.rest, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS | STATX_BTIME, &st) < 0) {
		l->missing = strchr(l->trail.rest, '/') || errno == ENOENT;
	} else {
		look_at(l, &st);
	}
	trail_end(&l->trail);
	return 0;
}

static int find(struct restore *r, size_t i)
{
	struct restore_temp *t = &r->temps->files[i];
	struct look l = { .image = r->image, .shm = &r->image->shms[i], .fd = -1 };

	t->process = find_process(r, i);
	if (!t->process)
		return CK_OK;
	l.uid = t->process->cred->fsuid;
	l.mapped = restore_maps_writable(r->image, l.shm->rec->dev, l.shm->rec->ino);
	l.needed = t->needed = l.mapped || !(l.shm->temp->flags & CKPT_TEMPFILE_CLOSED);
	/* What can be reached in another way is opened, or refused, as any file. */
	if (cred_call(t->process, look, &l) < 0)
		return l.missing && l.trail.why && l.needed ?
		       remake_failed(l.shm, &l.trail, errno) : CK_OK;
	t->another = l.another;
	t->fd = restore_keep_fd(r, l.fd);
	t->fate = l.missing ? TEMP_MISSING : t->fd >= 0 ? TEMP_CHANGED : TEMP_AS_IT_IS;
	return CK_OK;
}

int tempfiles_find(struct restore *r)
{
	size_t i, nr = 0;
	int rc = CK_OK;

	tempfiles_release(r);
	for (i = 0; i < r->image->nr_shms; i++)
		nr += r->image->shms[i].temp != NULL;
	if (!nr)
		return CK_OK;
	r->temps = calloc(1, sizeof(*r->temps));
	if (r->temps)
		r->temps->files = calloc(r->image->nr_shms, sizeof(*r->temps->files));
	if (!r->temps || !r->temps->files)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < r->image->nr_shms && !rc; i++)
		if (r->image->shms[i].temp)
			rc = find(r, i);
	return rc;
}

void tempfiles_release(struct restore *r)
{
	size_t i;

	for (i = 0; r->temps && i < r->temps->nr_dirs; i++)
		free(r->temps->dirs[i].path);
	if (r->temps) {
		free(r->temps->dirs);
		free(r->temps->files);
	}
	free(r->temps);
	r->temps = NULL;
}

const struct state_ops state_tempfiles = {
	.name = "temporary files",
	.saved = "open files with one name below $TMPDIR, /tmp, /var/tmp, /dev/shm or on a tmpfs: "
		 "contents, too; made again where they are missing, brought back where the job went "
		 "on to write them",
	.refused = "at the restart: another file in its place; more than can be copied is saved by path",
	.check = tempfiles_check,
	.dump = tempfiles_dump,
	.make = remake_all,
	.undo = remake_undo,
	.commit = remake_commit,
};
