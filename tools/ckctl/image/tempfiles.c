// SPDX-License-Identifier: GPL-2.0
/*
 * Files that have both a path and their contents in the image: temporary files.
 * A restart may make them again by that path, whoever wrote it.
 */
#include "parse.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "out.h"

#define NSEC_PER_SEC	1000000000U

int parse_tempfile(const struct parse *p, const struct id_map *shms, const struct ckpt_record *r)
{
	const struct ckpt_rec_tempfile *rec = (const void *)(r + 1);
	size_t i;

	if (r->len != sizeof(*rec))
		return damaged(p, r, "a record of type %" PRIu32 " has a length of %" PRIu64, r->type,
			       (uint64_t)r->len);
	i = id_map_find(shms, rec->object);
	if (i == SIZE_MAX)
		return damaged(p, r, "a temporary file whose contents are not in the image");
	if (p->img->shms[i].temp)
		return damaged(p, r, "a second record of type %" PRIu32 " for the same owner", r->type);
	p->img->shms[i].temp = rec;
	return CK_OK;
}

/* As the kernel writes a path: it leads down from the root, one name after the other. */
static bool is_plain(const char *path)
{
	size_t len;

	if (*path != '/')
		return false;
	while (*path) {
		len = strcspn(++path, "/");
		if (!len || (len == 1 && path[0] == '.') || (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += len;
	}
	return true;
}

static bool makes_sense(const struct image_shm *shm)
{
	const struct ckpt_rec_tempfile *temp = shm->temp;

	if (!(shm->rec->flags & CKPT_SHM_NAMED))
		return !temp && !(shm->rec->flags & ~CKPT_SHM_FILE);
	return temp && shm->rec->flags == CKPT_SHM_NAMED && !shm->rec->pad && shm->rec->id &&
	       S_ISREG(shm->rec->mode) && is_plain(shm->name) &&
	       !(temp->flags & ~CKPT_TEMPFILE_CLOSED) && temp->mtime_nsec < NSEC_PER_SEC &&
	       temp->btime_nsec < NSEC_PER_SEC;
}

/* What is open is the very file whose contents these are. */
static bool is_of(const struct image_file *file, const struct image_shm *shm)
{
	const struct ckpt_rec_tempfile *temp = shm->temp;

	return shm->rec->flags & CKPT_SHM_NAMED && !(temp->flags & CKPT_TEMPFILE_CLOSED) &&
	       strcmp(file->path, shm->name) == 0 && file->rec->dev == shm->rec->dev &&
	       file->rec->ino == shm->rec->ino && file->rec->size == shm->rec->size &&
	       file->rec->mtime_sec == temp->mtime_sec && file->rec->mtime_nsec == temp->mtime_nsec;
}

int check_tempfiles(const struct parse *p)
{
	const struct image *img = p->img;
	size_t i;

	for (i = 0; i < img->nr_shms; i++)
		if (!makes_sense(&img->shms[i]))
			return damaged(p, img->shms[i].rec, "an object with contents makes no sense");
	for (i = 0; i < img->nr_files; i++) {
		const struct image_file *file = &img->files[i];
		bool is_object = file->rec->kind == CKPT_FILE_OBJECT;

		if (image_is_temporary(file) ? !is_of(file, &img->shms[file->shm]) :
		    is_object && img->shms[file->shm].temp)
			return damaged(p, file->rec, "an open file and its contents do not belong "
				       "together");
	}
	return CK_OK;
}
