// SPDX-License-Identifier: GPL-2.0
/*
 * umask and working directory.
 *
 * Saved: both.  Refused: another root directory than ckctl's own, a working
 * directory that was removed or is not reachable by its name.  (The module
 * refuses processes that share them by CLONE_FS.)
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cred.h"
#include "out.h"
#include "proc.h"
#include "state.h"
#include "tempfiles.h"

/* Per process, in the order of d->procs. */
struct dump_fs {
	char *cwd;
};

static int check_cwd(struct dump *d, struct proc *p, struct dump_fs *fs)
{
	struct stat there, named;
	char path[PATH_MAX];
	ssize_t len;

	len = proc_link(p, "root", path, sizeof(path));
	if (len < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/root", p->pid, p->pid);
	if (strcmp(path, "/") != 0)
		return obstacle(d, p->pid, "its root directory is %s; only processes with the root "
				"directory of ckctl itself can be saved", path);
	len = proc_link(p, "cwd", path, sizeof(path));
	if (len < 0)
		return fail_errno(errno, "pid %d: cannot read /proc/%d/cwd", p->pid, p->pid);
	if (fstatat(p->dir_fd, "cwd", &there, 0) < 0)
		return fail_errno(errno, "pid %d: cannot look at /proc/%d/cwd", p->pid, p->pid);
	if (stat(path, &named) < 0 || named.st_dev != there.st_dev || named.st_ino != there.st_ino)
		return obstacle(d, p->pid, "its working directory %s was removed, or something is "
				"mounted over it; let it change to another directory first", path);
	fs->cwd = dump_strdup(d, path, (size_t)len);
	return fs->cwd ? CK_OK : CK_FAILED;
}

static int fs_check(struct dump *d)
{
	size_t i;
	int rc;

	d->fs = dump_alloc(d, d->nr_procs * sizeof(*d->fs));
	if (!d->fs)
		return CK_FAILED;
	for (i = 0; i < d->nr_procs; i++) {
		rc = check_cwd(d, &d->procs[i], &d->fs[i]);
		if (rc)
			return rc;
	}
	return CK_OK;
}

static int fs_dump(struct dump *d)
{
	size_t i;
	int rc;

	for (i = 0; i < d->nr_procs; i++) {
		const char *mask = proc_status(d->procs[i].status, "Umask");
		struct ckpt_rec_fs rec = {
			.pid = d->procs[i].pid,
			.umask = mask ? (unsigned int)strtoul(mask, NULL, 8) & 0777 : 022,
			.cwd_len = (unsigned int)strlen(d->fs[i].cwd),
		};

		rc = image_put(d->writer, CKPT_REC_FS, &rec, sizeof(rec), d->fs[i].cwd,
			       rec.cwd_len);
		if (rc)
			return rc;
	}
	return CK_OK;
}

static int fs_prepare(struct restore *r)
{
	const struct image *img = r->image;
	size_t i;
	int fd;

	for (i = 0; i < img->nr_processes; i++) {
		const struct image_process *p = &img->processes[i];

		fd = cred_open(r, p, p->cwd, O_PATH | O_DIRECTORY);
		if (fd < 0 && errno == ENOENT && tempfiles_make_dir(r, p->cwd))
			continue;
		if (fd < 0 && errno == ENOTDIR)
			return fail(CK_REFUSED,
				    "pid %d (%s) worked in directory %s, which is no directory",
				    p->rec->pid, p->rec->comm, p->cwd);
		if (fd < 0)
			return fail_errno(errno, "pid %d (%s) worked in directory %s, which cannot be "
					  "opened", p->rec->pid, p->rec->comm, p->cwd);
		close(fd);
	}
	return CK_OK;
}

static int fs_restore(struct restore *r, const struct image_process *p)
{
	(void)r;
	if (cred_chdir(p, p->cwd) < 0)
		return fail_errno(errno, "pid %d (%s): cannot change to directory %s", p->rec->pid,
				  p->rec->comm, p->cwd);
	umask(p->fs->umask & 0777);
	return CK_OK;
}

const struct state_ops state_fs = {
	.name = "fs",
	.saved = "umask and working directory",
	.refused = "another root directory, removed working directories",
	.check = fs_check,
	.dump = fs_dump,
	.prepare = fs_prepare,
	.restore = fs_restore,
};
