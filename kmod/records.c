// SPDX-License-Identifier: GPL-2.0
#include "records.h"
#include <linux/mm.h>
#include <linux/slab.h>

/* A record must fit into one netlink attribute, a session's into memory. */
#define CKPT_RECORD_MAX		61440
#define CKPT_RECORDS_MAX	(256UL << 20)
#define CKPT_CHUNK_SIZE		(64UL << 10)

struct ckpt_chunk {
	struct list_head node;
	size_t used;
	u8 data[];
};

#define CKPT_CHUNK_ROOM		(CKPT_CHUNK_SIZE - sizeof(struct ckpt_chunk))

/**
 * ckpt_records_init() - make an empty list
 * @r: the list
 */
void ckpt_records_init(struct ckpt_records *r)
{
	INIT_LIST_HEAD(&r->chunks);
	r->bytes = 0;
	r->version = 0;
}

/**
 * ckpt_records_free() - empty the list; it can be used again
 * @r: the list
 */
void ckpt_records_free(struct ckpt_records *r)
{
	struct ckpt_chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, &r->chunks, node)
		kvfree(chunk);
	INIT_LIST_HEAD(&r->chunks);
	r->bytes = 0;
	r->version++;
}

/**
 * ckpt_records_add() - append a record
 * @r: the list
 * @type: enum ckpt_record_type
 * @len: bytes of payload
 *
 * Return: the zeroed payload, valid until the list is freed, or NULL when it
 * is too large or there is no memory.
 */
void *ckpt_records_add(struct ckpt_records *r, u32 type, size_t len)
{
	size_t size = sizeof(struct ckpt_record) + CKPT_RECORD_ALIGN(len);
	struct ckpt_chunk *chunk = NULL;
	struct ckpt_record *head;

	if (len > CKPT_RECORD_MAX || r->bytes + size > CKPT_RECORDS_MAX)
		return NULL;
	if (!list_empty(&r->chunks))
		chunk = list_last_entry(&r->chunks, struct ckpt_chunk, node);
	if (!chunk || CKPT_CHUNK_ROOM - chunk->used < size) {
		chunk = kvmalloc(CKPT_CHUNK_SIZE, GFP_KERNEL);
		if (!chunk)
			return NULL;
		chunk->used = 0;
		list_add_tail(&chunk->node, &r->chunks);
	}
	head = (struct ckpt_record *)(chunk->data + chunk->used);
	memset(head, 0, size);
	head->type = type;
	head->len = len;
	chunk->used += size;
	r->bytes += size;
	return head + 1;
}

/**
 * ckpt_records_copy() - copy out whole records
 * @r: the list
 * @pos: byte position of a record, 0 or the sum of former return values
 * @buf: where to
 * @size: bytes of room there
 *
 * Return: bytes copied, 0 at the end, -EMSGSIZE when not even one record fits.
 */
ssize_t ckpt_records_copy(const struct ckpt_records *r, size_t pos, void *buf, size_t size)
{
	const struct ckpt_chunk *chunk;
	size_t copied = 0;

	list_for_each_entry(chunk, &r->chunks, node) {
		if (pos >= chunk->used) {
			pos -= chunk->used;
			continue;
		}
		while (pos < chunk->used) {
			const struct ckpt_record *head = (const void *)(chunk->data + pos);
			size_t len = sizeof(*head) + CKPT_RECORD_ALIGN(head->len);

			if (len > size - copied)
				return copied ?: -EMSGSIZE;
			memcpy(buf + copied, head, len);
			copied += len;
			pos += len;
		}
		pos = 0;
	}
	return copied;
}
