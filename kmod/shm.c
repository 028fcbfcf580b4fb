// SPDX-License-Identifier: GPL-2.0
#include "shm.h"
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/kdev_t.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include "compat/mapping.h"
#include "report.h"
#include "session.h"
#include "snapshot.h"

/**
 * struct ckpt_shm - one object
 * @node: in ckpt_session.shms
 * @file: of the first mapping met, referenced: it keeps the inode
 * @id: in the image
 */
struct ckpt_shm {
	struct list_head node;
	struct file *file;
	u64 id;
};

/**
 * ckpt_shm_id() - the id of the object behind a mapping
 * @s: the session
 * @vma: of a shmem file; its mm's lock held
 * @id: set on success
 *
 * Return: 0 or a noted failure.
 */
int ckpt_shm_id(struct ckpt_session *s, struct vm_area_struct *vma, u64 *id)
{
	struct ckpt_shm *shm;
	u64 last = 0;

	list_for_each_entry(shm, &s->shms, node) {
		last = shm->id;
		if (file_inode(shm->file) == file_inode(vma->vm_file)) {
			*id = shm->id;
			return 0;
		}
	}
	shm = kzalloc(sizeof(*shm), GFP_KERNEL_ACCOUNT);
	if (!shm)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL,
				 "no memory for a shared memory object");
	shm->file = get_file(vma->vm_file);
	shm->id = last + 1;
	list_add_tail(&shm->node, &s->shms);
	*id = shm->id;
	return 0;
}

/**
 * ckpt_shm_is_removed() - was this a file that can be made again, with its contents?
 * @file: of a mapping
 *
 * Return: true when its page cache has, or can get, all that it holds.
 */
bool ckpt_shm_is_removed(const struct file *file)
{
	const struct inode *inode = file_inode(file);

	return !inode->i_nlink && !(file->f_path.mnt->mnt_flags & MNT_INTERNAL) &&
	       file->f_mapping->a_ops->read_folio && !IS_DAX(inode);
}

/* One object, its path without what d_path() says of removed ones. */
static int dump_object(struct ckpt_session *s, const struct ckpt_shm *shm, char *buf)
{
	static const char removed[] = " (deleted)";
	const struct path *path = ckpt_user_path(shm->file);
	const char *name = d_path(path, buf, PATH_MAX);
	struct ckpt_rec_shm *rec;
	struct kstat stat;
	size_t len;
	int ret;

	if (IS_ERR(name))
		name = "";
	ret = vfs_getattr(path, &stat, STATX_BASIC_STATS, AT_STATX_DONT_SYNC);
	if (ret)
		return ckpt_fail(s, ret, CKPT_REASON_IO, NULL,
				 "the attributes of %s, which is mapped, cannot be read", name);
	len = strlen(name);
	if (len >= sizeof(removed) && !strcmp(name + len - (sizeof(removed) - 1), removed))
		len -= sizeof(removed) - 1;
	rec = ckpt_records_add(&s->records, CKPT_REC_SHM, sizeof(*rec) + len);
	if (!rec)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL,
				 "no memory for the record of a shared memory object");
	rec->id = shm->id;
	rec->size = i_size_read(file_inode(shm->file));
	rec->mode = stat.mode;
	rec->dev = new_encode_dev(stat.dev);
	rec->ino = stat.ino;
	rec->flags = path->mnt->mnt_flags & MNT_INTERNAL ? 0 : CKPT_SHM_FILE;
	rec->name_len = len;
	memcpy(rec + 1, name, len);
	return 0;
}

/**
 * ckpt_shm_dump() - record all objects met
 * @s: the session
 *
 * Return: 0 or a noted failure.
 */
int ckpt_shm_dump(struct ckpt_session *s)
{
	struct ckpt_shm *shm;
	char *buf;
	int ret = 0;

	if (list_empty(&s->shms))
		return 0;
	buf = __getname();
	if (!buf)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL,
				 "no memory for the records of shared memory objects");
	list_for_each_entry(shm, &s->shms, node) {
		ret = dump_object(s, shm, buf);
		if (ret)
			break;
	}
	__putname(buf);
	return ret;
}

/*
 * There is no copy-on-write for shared memory, nor for a file's pages: copy while everybody is frozen,
 * unless they stay so until the pages are written.
 */
static int take_page(struct ckpt_session *s, struct ckpt_pageset *set, struct file *file,
		     pgoff_t index)
{
	struct address_space *mapping = file->f_mapping;
	struct page *page, *copy;

	if (mapping->host->i_sb->s_magic == TMPFS_MAGIC)
		page = shmem_read_mapping_page_gfp(mapping, index, mapping_gfp_mask(mapping));
	else
		page = read_mapping_page(mapping, index, file);
	if (IS_ERR(page))
		return ckpt_fail(s, PTR_ERR(page), CKPT_REASON_IO, NULL,
				 "a page of shared memory cannot be read in");
	if (s->mode == CKPT_MODE_COW) {
		copy = alloc_page(GFP_HIGHUSER | __GFP_ACCOUNT);
		if (copy)
			copy_highpage(copy, page);
		put_page(page);
		if (!copy)
			return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL,
					 "no memory for a copy of shared memory");
		page = copy;
		s->snapshot->nr_copied++;
	}
	if (ckpt_pageset_reserve(set, 1)) {
		put_page(page);
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL,
				 "no memory for the list of pages");
	}
	ckpt_pageset_hold(set, index << PAGE_SHIFT, page, 1, 0);
	s->snapshot->nr_pages++;
	return 0;
}

static int take_range(struct ckpt_session *s, struct ckpt_pageset *set, struct file *file,
		      loff_t from, loff_t to)
{
	pgoff_t index;
	int ret = 0;

	for (index = from >> PAGE_SHIFT; !ret && index < DIV_ROUND_UP(to, PAGE_SIZE); index++) {
		if (ckpt_session_stopped(s))
			return -ECANCELED;
		cond_resched();
		ret = take_page(s, set, file, index);
	}
	return ret;
}

static int take_object(struct ckpt_session *s, struct ckpt_shm *shm)
{
	struct ckpt_pageset *set = ckpt_pageset_add(s, CKPT_PAGES_SHM, shm->id);
	loff_t size = i_size_read(file_inode(shm->file)), from = 0, to;
	struct file *file;
	int ret = 0;

	if (!set)
		return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for the list of pages");
	/* A file of our own: seeking must not move the job's offset. */
	file = dentry_open(&shm->file->f_path, O_RDONLY | O_LARGEFILE, shm->file->f_cred);
	if (IS_ERR(file))
		return ckpt_fail(s, PTR_ERR(file), CKPT_REASON_UNSUPPORTED, NULL,
				 "shared memory %pD cannot be opened for reading", shm->file);
	while (!ret && from < size) {
		from = vfs_llseek(file, from, SEEK_DATA);
		to = from < 0 ? from : vfs_llseek(file, from, SEEK_HOLE);
		if (to == -ENXIO)	/* there is nothing but a hole */
			break;
		if (to <= from)
			ret = ckpt_fail(s, to < 0 ? to : -EIO, CKPT_REASON_IO, NULL,
					"the file system does not tell where %pD has data", shm->file);
		else
			ret = take_range(s, set, shm->file, from, to);
		/* Blocks may be smaller than pages, which are taken whole. */
		from = round_up(to, PAGE_SIZE);
	}
	fput(file);
	return ret;
}

/**
 * ckpt_shm_take() - hold the pages of all objects met
 * @s: the session, with a snapshot begun
 *
 * Return: 0 or a noted failure.
 */
int ckpt_shm_take(struct ckpt_session *s)
{
	struct ckpt_shm *shm;
	int ret = 0;

	list_for_each_entry(shm, &s->shms, node) {
		ret = take_object(s, shm);
		if (ret)
			break;
	}
	return ret;
}

/**
 * ckpt_shm_release() - forget all objects
 * @s: the session
 */
void ckpt_shm_release(struct ckpt_session *s)
{
	struct ckpt_shm *shm, *next;

	list_for_each_entry_safe(shm, next, &s->shms, node) {
		list_del(&shm->node);
		fput(shm->file);
		kfree(shm);
	}
}
