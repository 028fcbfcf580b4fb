// SPDX-License-Identifier: GPL-2.0
#include "state/mapped.h"
#include <linux/dcache.h>
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/kdev_t.h>
#include <linux/path.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include "compat/mapping.h"
#include "report.h"
#include "session.h"

#define FILES_BITS	8

/**
 * struct ckpt_mapped_file - a file that a mapping was recorded of
 * @dentry: of the file; pinned by the mapping for as long as everybody is frozen
 * @mnt: where it was met
 * @rec: the last mapping recorded
 *
 * Many processes map the same few files.  Path and attributes are costly, over
 * a network even more so: looked up once, then taken from the former record.
 */
struct ckpt_mapped_file {
	const struct dentry *dentry;
	const struct vfsmount *mnt;
	const struct ckpt_rec_vma *rec;
};

/**
 * ckpt_mapped_begin() - the state of all processes is about to be recorded
 * @s: the session
 */
void ckpt_mapped_begin(struct ckpt_session *s)
{
	/* Without memory for it, every file is looked up anew. */
	s->files = kcalloc(1 << FILES_BITS, sizeof(*s->files), GFP_KERNEL);
}

/**
 * ckpt_mapped_end() - it has been recorded
 * @s: the session
 */
void ckpt_mapped_end(struct ckpt_session *s)
{
	kfree(s->files);
	s->files = NULL;
}

static struct ckpt_rec_vma *add(struct ckpt_session *s, const char *path, size_t path_len)
{
	struct ckpt_rec_vma *rec;

	rec = ckpt_records_add(&s->records, CKPT_REC_VMA, sizeof(*rec) + path_len);
	if (!rec)
		return NULL;
	rec->path_len = path_len;
	memcpy(rec + 1, path, path_len);
	return rec;
}

/* As stat(2) shows it: on overlayfs and btrfs the inode itself says otherwise. */
static struct ckpt_rec_vma *look_up(struct ckpt_session *s, struct task_struct *t,
				    const struct path *path, char *buf)
{
	const char *name = d_path(path, buf, PATH_MAX);
	struct ckpt_rec_vma *rec;
	struct kstat stat;
	int ret;

	if (IS_ERR(name)) {
		ckpt_fail(s, PTR_ERR(name), CKPT_REASON_UNSUPPORTED, t,
			  "the path of a file that it has mapped is too long");
		return NULL;
	}
	ret = vfs_getattr(path, &stat, STATX_BASIC_STATS, AT_STATX_DONT_SYNC);
	if (ret) {
		ckpt_fail(s, ret, CKPT_REASON_IO, t,
			  "the attributes of %s, which it has mapped, cannot be read", name);
		return NULL;
	}
	rec = add(s, name, strlen(name));
	if (!rec)
		return NULL;
	rec->dev = new_encode_dev(stat.dev);
	rec->ino = stat.ino;
	rec->size = stat.size;
	rec->mtime_sec = stat.mtime.tv_sec;
	rec->mtime_nsec = stat.mtime.tv_nsec;
	return rec;
}

/**
 * ckpt_mapped_record() - a CKPT_REC_VMA with what is to be said of its file
 * @s: the session
 * @t: the process
 * @file: that it has mapped
 * @buf: PATH_MAX bytes
 *
 * Return: the record, or NULL: no memory, or a noted failure.
 */
struct ckpt_rec_vma *ckpt_mapped_record(struct ckpt_session *s, struct task_struct *t,
					const struct file *file, char *buf)
{
	const struct path *path = ckpt_user_path(file);
	struct ckpt_mapped_file *known = NULL;
	struct ckpt_rec_vma *rec;

	if (s->files)
		known = &s->files[hash_ptr(path->dentry, FILES_BITS)];
	if (known && known->dentry == path->dentry && known->mnt == path->mnt) {
		rec = add(s, (const char *)(known->rec + 1), known->rec->path_len);
		if (rec)
			memcpy(rec, known->rec, sizeof(*rec));
		return rec;
	}
	rec = look_up(s, t, path, buf);
	if (rec && known)
		*known = (struct ckpt_mapped_file){ path->dentry, path->mnt, rec };
	return rec;
}
