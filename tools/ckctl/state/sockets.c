// SPDX-License-Identifier: GPL-2.0
/*
 * Sockets: a standard stream of the job's launch, or refused, for what is under way in
 * one is known to the other end as well, which would not go back with the job.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "omit.h"
#include "out.h"
#include "proc.h"

/* A socket whose other end is the job's own would be lost by plugging it anew. */
int dump_file_socket(struct dump *d, struct dump_file *f)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);
	size_t i;
	int fd;

	if (f->object->roles) {
		fd = dump_file_get(f);
		if (fd < 0)
			return fail_errno(errno, "pid %d: cannot get descriptor %d", f->proc->pid,
					  f->fd);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
			peer.pid = 0;
		close(fd);
		for (i = 0; i < d->nr_procs; i++)
			if (d->procs[i].pid == peer.pid)
				return dump_file_refuse(d, f);
	}
	return dump_file_external(d, f);
}

/* ---- for a moment ---- */

static bool is_refused(const struct dump_file *f)
{
	return f->refused && f->use == DUMP_NEEDED && S_ISSOCK(f->rec.mode);
}

/* Not if its process has become one that is started anew, and makes its own. */
static bool is_still_open(const struct dump_fd *f)
{
	char name[32], path[PATH_MAX];

	snprintf(name, sizeof(name), "fd/%d", f->fd);
	return proc_link(f->proc, name, path, sizeof(path)) >= 0 &&
	       strcmp(path, f->file->path) == 0 && !omit_is_client(f->proc);
}

bool sockets_refused(const struct dump *d)
{
	size_t nr = 0, i;

	for (i = 0; d->files && i < d->files->nr_files; i++)
		nr += is_refused(d->files->files[i]);
	return nr && nr == d->nr_obstacles;
}

bool sockets_gone(const struct dump *d)
{
	size_t i;

	for (i = 0; i < d->files->nr_fds; i++)
		if (is_refused(d->files->fds[i].file) && is_still_open(&d->files->fds[i]))
			return false;
	return true;
}
