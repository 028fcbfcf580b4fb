// SPDX-License-Identifier: GPL-2.0
/* signalfd(2): the mask; the signals are those of whoever reads it. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"
#include "out.h"
#include "proc.h"

static int signalfd_check(struct dump *d)
{
	size_t i;

	for (i = 0; i < d->files->nr_files; i++) {
		struct dump_file *f = d->files->files[i];
		struct ckpt_rec_signalfd *rec;

		if (!dump_file_is(f, "[signalfd]"))
			continue;
		rec = dump_file_state(d, f, CKPT_FILE_SIGNALFD, sizeof(*rec));
		if (!rec)
			return CK_FAILED;
		if (!dump_info_number(f->info, "sigmask", 16, (uint64_t *)&rec->mask))
			return fail(CK_FAILED, "pid %d: the kernel does not tell the mask of signalfd %d",
				    f->proc->pid, f->fd);
	}
	return CK_OK;
}

static int signalfd_dump(struct dump *d)
{
	return dump_file_states(d, CKPT_FILE_SIGNALFD, CKPT_REC_SIGNALFD);
}

static int signalfd_prepare(struct restore *r)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_files && !rc; i++) {
		const struct ckpt_rec_signalfd *rec = r->image->files[i].state;

		/* libc's knows no flags of its own and leaves two signals out. */
		if (r->image->files[i].rec->kind == CKPT_FILE_SIGNALFD)
			rc = restore_file_is(r, i, (int)syscall(SYS_signalfd4, -1, &rec->mask,
								sizeof(rec->mask), 0));
	}
	return rc;
}

const struct state_ops state_signalfd = {
	.name = "signalfd",
	.saved = "mask, flags",
	.refused = "",
	.check = signalfd_check,
	.dump = signalfd_dump,
	.prepare = signalfd_prepare,
};
