/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A growing list of struct ckpt_record in kernel memory: filled while the job
 * is frozen, read out by DUMP when it runs again.
 */
#ifndef CKPT_RECORDS_H
#define CKPT_RECORDS_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/ckpt_image.h>

/**
 * struct ckpt_records - the list
 * @chunks: struct ckpt_chunk, in order
 * @bytes: in all
 * @version: changes when the list is emptied: positions in it mean nothing any more
 */
struct ckpt_records {
	struct list_head chunks;
	size_t bytes;
	unsigned long version;
};

void ckpt_records_init(struct ckpt_records *r);
void ckpt_records_free(struct ckpt_records *r);

/* Room for the @len bytes of payload of a new record, zeroed; NULL when out of
 * memory or over the limit of a session.  Valid until the list is freed. */
void *ckpt_records_add(struct ckpt_records *r, u32 type, size_t len);

/* Copy whole records, as many as fit into @size, to @buf, from the record at
 * byte @pos on; returns bytes copied, 0 at the end, -EMSGSIZE when the next
 * one alone is larger than @size. */
ssize_t ckpt_records_copy(const struct ckpt_records *r, size_t pos, void *buf, size_t size);

#endif
