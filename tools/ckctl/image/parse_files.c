// SPDX-License-Identifier: GPL-2.0
/* What belongs to an open file besides its own record, and begins with its id. */
#include "parse.h"

#include <inttypes.h>
#include <stdlib.h>

#include "out.h"

static int parse_watches(const struct parse *p, const struct id_map *files,
			 const struct ckpt_record *r, struct image_file *file)
{
	const struct ckpt_rec_epoll *rec = (const void *)(r + 1);
	size_t i;

	if (r->len - sizeof(*rec) != (uint64_t)rec->nr_watches * sizeof(struct ckpt_epoll_watch))
		return bad_length(p, r);
	file->watches = (const struct ckpt_epoll_watch *)(rec + 1);
	file->watched = calloc((size_t)rec->nr_watches + 1, sizeof(*file->watched));
	if (!file->watched)
		return fail(CK_FAILED, "out of memory");
	for (i = 0; i < rec->nr_watches; i++) {
		file->watched[i] = id_map_find(files, file->watches[i].file);
		if (file->watched[i] == SIZE_MAX)
			return damaged(p, r, "an epoll watches a file that is not in the image");
	}
	file->nr_watches = rec->nr_watches;
	return CK_OK;
}

static int parse_lock(const struct parse *p, const struct ckpt_record *r, size_t file)
{
	struct image_lock *lock = grow(&p->img->locks, &p->img->nr_locks, sizeof(*lock));

	if (!lock)
		return fail(CK_FAILED, "out of memory");
	lock->rec = (const void *)(r + 1);
	lock->file = file;
	return CK_OK;
}

int parse_file_state(const struct parse *p, const struct id_map *files, const struct ckpt_record *r)
{
	static const struct {
		uint32_t kind;
		size_t len;
	} of_type[] = {
		[CKPT_REC_EVENTFD] = { CKPT_FILE_EVENTFD, sizeof(struct ckpt_rec_eventfd) },
		[CKPT_REC_TIMERFD] = { CKPT_FILE_TIMERFD, sizeof(struct ckpt_rec_timerfd) },
		[CKPT_REC_SIGNALFD] = { CKPT_FILE_SIGNALFD, sizeof(struct ckpt_rec_signalfd) },
		[CKPT_REC_EPOLL] = { CKPT_FILE_EPOLL, sizeof(struct ckpt_rec_epoll) },
		[CKPT_REC_LOCK] = { CKPT_FILE_REG, sizeof(struct ckpt_rec_lock) },
	};
	struct image_file *file;
	size_t i;

	if (r->len < of_type[r->type].len ||
	    (r->type != CKPT_REC_EPOLL && r->len != of_type[r->type].len))
		return bad_length(p, r);
	i = id_map_find(files, *(const uint64_t *)(const void *)(r + 1));
	if (i == SIZE_MAX)
		return damaged(p, r, "a record of type %" PRIu32 " for a file that is not in the image",
			       r->type);
	file = &p->img->files[i];
	if (file->rec->kind != of_type[r->type].kind)
		return damaged(p, r, "a record of type %" PRIu32 " for a file of another kind",
			       r->type);
	if (r->type == CKPT_REC_LOCK)
		return parse_lock(p, r, i);
	if (file->state)
		return damaged(p, r, "a second record of type %" PRIu32 " for the same owner", r->type);
	file->state = r + 1;
	return r->type == CKPT_REC_EPOLL ? parse_watches(p, files, r, file) : CK_OK;
}
