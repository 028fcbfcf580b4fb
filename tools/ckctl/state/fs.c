// SPDX-License-Identifier: GPL-2.0
/*
 * umask, working directory and root directory.
 *
 * Saved: all.  Refused: a directory that was removed or is not reachable by its
 * name.  (The module refuses processes that share them by CLONE_FS.)
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../caps.h"
#include "cred.h"
#include "out.h"
#include "proc.h"
#include "state.h"
#include "tempfiles.h"

/* Per process, in the order of d->procs. */
struct dump_fs {
	char *cwd, *root;		/* root: NULL for ckctl's own */
};

/* What /proc/PID/@link leads to, by a name that leads there from here, too; else an obstacle. */
static int check_dir(struct dump *d, struct proc *p, const char *link, const char *what, char **to)
{
	struct stat there, named;
	char path[PATH_MAX];
	ssize_t len = proc_link(p, link, path, sizeof(path));

	if (len < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/%s", p->pid, p->pid, link);
	if (fstatat(p->dir_fd, link, &there, 0) < 0)
		return fail_errno(errno, "pid %d: cannot look at /proc/%d/%s", p->pid, p->pid, link);
	if (stat(path, &named) < 0 || named.st_dev != there.st_dev || named.st_ino != there.st_ino)
		return obstacle(d, p->pid, "its %s directory %s was removed, is outside of ckctl's own "
				"root directory, or something is mounted over it; let it go to another one first",
				what, path);
	*to = dump_strdup(d, path, (size_t)len);
	return *to ? CK_OK : CK_FAILED;
}

static int check_dirs(struct dump *d, struct proc *p, struct dump_fs *fs)
{
	char root[PATH_MAX];
	int rc = check_dir(d, p, "cwd", "working", &fs->cwd);

	if (rc)
		return rc;
	if (proc_link(p, "root", root, sizeof(root)) < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/root", p->pid, p->pid);
	if (strcmp(root, "/") == 0)
		return CK_OK;
	if (p->relaunch)
		return obstacle(d, p->pid, "it is to be started anew, which its root directory %s is in "
				"the way of", root);
	return check_dir(d, p, "root", "root", &fs->root);
}

static int fs_check(struct dump *d)
{
	size_t i;
	int rc;

	d->fs = dump_alloc(d, d->nr_procs * sizeof(*d->fs));
	if (!d->fs)
		return CK_FAILED;
	for (i = 0; i < d->nr_procs; i++) {
		rc = check_dirs(d, &d->procs[i], &d->fs[i]);
		if (rc)
			return rc;
	}
	return CK_OK;
}

static int dump_one(struct dump *d, const struct proc *p, const struct dump_fs *fs)
{
	const char *mask = proc_status(p->status, "Umask");
	struct ckpt_rec_fs rec = {
		.pid = p->pid,
		.umask = mask ? (unsigned int)strtoul(mask, NULL, 8) & 0777 : 022,
		.cwd_len = (unsigned int)strlen(fs->cwd),
		.root_len = fs->root ? (unsigned int)strlen(fs->root) : 0,
	};
	char tail[2 * PATH_MAX];

	if (fs->root)
		memcpy(mempcpy(tail, fs->cwd, rec.cwd_len), fs->root, rec.root_len);
	return image_put(d->writer, CKPT_REC_FS, &rec, sizeof(rec), fs->root ? tail : fs->cwd,
			 rec.cwd_len + rec.root_len);
}

static int fs_dump(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->nr_procs && !rc; i++)
		rc = dump_one(d, &d->procs[i], &d->fs[i]);
	return rc;
}

/* The image of an ordinary user's asks for nothing that they could not do themselves. */
static int prepare_root(const struct restore *r, const struct image_process *p)
{
	struct stat st;

	if (!p->root)
		return CK_OK;
	if (p->relaunch)
		return fail(CK_REFUSED, "pid %d (%s), which is to be started anew, had the root directory "
			    "%s", p->rec->pid, p->rec->comm, p->root);
	if (r->foreign || !caps_have(CAP_SYS_CHROOT))
		return fail(CK_PERM, "pid %d (%s) had the root directory %s; only root can restart it, "
			    "from an image of root's own", p->rec->pid, p->rec->comm, p->root);
	if (stat(p->root, &st) < 0)
		return fail_errno(errno, "pid %d (%s) had the root directory %s", p->rec->pid,
				  p->rec->comm, p->root);
	return CK_OK;
}

static int prepare_cwd(struct restore *r, const struct image_process *p)
{
	int fd = cred_open(r, p, p->cwd, O_PATH | O_DIRECTORY);

	if (fd < 0 && errno == ENOENT && tempfiles_make_dir(r, p->cwd))
		return CK_OK;
	if (fd < 0 && errno == ENOTDIR)
		return fail(CK_REFUSED, "pid %d (%s) worked in directory %s, which is no directory",
			    p->rec->pid, p->rec->comm, p->cwd);
	if (fd < 0)
		return fail_errno(errno, "pid %d (%s) worked in directory %s, which cannot be opened",
				  p->rec->pid, p->rec->comm, p->cwd);
	close(fd);
	return CK_OK;
}

static int fs_prepare(struct restore *r)
{
	const struct image *img = r->image;
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < img->nr_processes && !rc; i++) {
		rc = prepare_root(r, &img->processes[i]);
		if (!rc)
			rc = prepare_cwd(r, &img->processes[i]);
	}
	return rc;
}

/* Nothing that comes later in a skeleton looks a path up. */
static int fs_restore(struct restore *r, const struct image_process *p)
{
	(void)r;
	if (cred_chdir(p, p->cwd) < 0)
		return fail_errno(errno, "pid %d (%s): cannot change to directory %s", p->rec->pid,
				  p->rec->comm, p->cwd);
	if (p->root && chroot(p->root) < 0)
		return fail_errno(errno, "pid %d (%s): cannot make %s its root directory", p->rec->pid,
				  p->rec->comm, p->root);
	umask(p->fs->umask & 0777);
	return CK_OK;
}

const struct state_ops state_fs = {
	.name = "fs",
	.saved = "umask, working directory and root directory",
	.refused = "removed working directories, root directories that are not under ckctl's own",
	.check = fs_check,
	.dump = fs_dump,
	.prepare = fs_prepare,
	.restore = fs_restore,
};
