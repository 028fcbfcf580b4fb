// SPDX-License-Identifier: GPL-2.0
/* Can this image be continued here and now?  Asked before any process exists. */
#include "restart.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../caps.h"
#include "../job/cgroup.h"
#include "../out.h"
#include "../state/proc.h"

static int check_kernel(const struct image *image)
{
	const struct image_meta *meta = &image->meta;
	struct utsname uts;

	if (uname(&uts) < 0)
		return fail_errno(errno, "cannot tell which kernel runs here");
	if (strcmp(meta->arch, uts.machine) != 0)
		return fail(CK_REFUSED, "the image was saved on a machine of type %s, this is one of "
			    "type %s", meta->arch, uts.machine);
	return CK_OK;
}

static int check_cpu(const struct image *image, const struct nl_info *info)
{
	uint64_t missing = image->meta.xfeatures & ~info->xfeatures;

	if (missing)
		return fail(CK_REFUSED, "the image was saved on a CPU with features that this one lacks "
			    "(xstate components 0x%" PRIx64 "); restart it on a CPU like that of %s",
			    missing, image->meta.host);
	if (image->meta.xstate_size != info->xstate_size)
		return fail(CK_REFUSED, "the registers of this CPU take %u bytes, those in the image %u; "
			    "restart it on a CPU like that of %s", info->xstate_size,
			    image->meta.xstate_size, image->meta.host);
	return CK_OK;
}

/* The right to choose ids, which clone3(2) will want. */
static int check_rights(void)
{
	if (caps_have(CAP_CHECKPOINT_RESTORE) || caps_have(CAP_SYS_ADMIN))
		return CK_OK;
	return fail(CK_PERM, "ckctl lacks the capability cap_checkpoint_restore, without which no "
		    "process gets its id back; root can give it to ckctl: "
		    "setcap cap_checkpoint_restore+ep FILE");
}

static void read_comm(pid_t tid, char *comm, size_t size)
{
	proc_read(tid, "comm", comm, size);
	comm[strcspn(comm, "\n")] = '\0';
}

/* An id is taken, too, while a process group has it; of sessions only clone3(2) tells. */
static bool is_taken(pid_t id)
{
	return (kill(id, 0) == 0 || errno != ESRCH) ||
	       (id > 1 && (kill(-id, 0) == 0 || errno != ESRCH));
}

int restart_check_ended(const struct restart *r)
{
	const struct image *image = r->image;
	pid_t *pids = NULL;
	size_t nr = 0, i, n = 0;
	struct capture outer;
	char comm[64];
	int fd = open(image->meta.cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = CK_OK;

	/* Another cgroup at this path has other processes, under other names. */
	if (fd < 0)
		return CK_OK;
	outer = fail_mute();
	if (cgroup_pids(fd, &pids, &nr))
		nr = 0;		/* it is something else, or the job has ended just now */
	fail_restore(outer);
	close(fd);
	for (i = 0; i < image->nr_processes && !rc; i++) {
		const struct ckpt_rec_process *rec = image->processes[i].rec;

		for (n = 0; n < nr && pids[n] != rec->pid; n++)
			;
		if (n == nr)
			continue;
		read_comm(rec->pid, comm, sizeof(comm));
		if (strncmp(comm, rec->comm, CKPT_COMM_LEN) == 0)
			rc = fail(CK_BUSY, "the job is still running: process %d (%s) is in %s; end it "
				  "first, or start another one beside it with --pid-namespace=always",
				  rec->pid, comm, image->meta.cgroup);
	}
	free(pids);
	return rc;
}

static int check_id_free(pid_t id, const char *name)
{
	char comm[64];

	if (!is_taken(id))
		return CK_OK;
	read_comm(id, comm, sizeof(comm));
	return fail(CK_BUSY, "id %d of the job (%.15s) is in use by another process (%s)", id, name,
		    *comm ? comm : "of a process group of that id");
}

int restart_check_ids(const struct restart *r)
{
	const struct image *image = r->image;
	int rc = check_rights();
	size_t i, t;

	for (i = 0; i < image->nr_processes && !rc; i++) {
		const struct image_process *p = &image->processes[i];

		if (p->relaunch)
			rc = check_id_free(p->rec->pid, p->rec->comm);
		for (t = 0; t < p->nr_threads && !rc; t++)
			rc = check_id_free(p->threads[t].rec->tid, p->threads[t].rec->comm);
	}
	for (i = 0; i < image->nr_zombies && !rc; i++)
		rc = check_id_free(image->zombies[i]->pid, image->zombies[i]->comm);
	return rc;
}

/* There is one in every pid namespace already, the restart's own included. */
static int check_init(const struct image *image)
{
	size_t i;

	for (i = 0; i < image->nr_processes; i++)
		if (image->processes[i].rec->pid == 1)
			return fail(CK_REFUSED, "the image has the init of a pid namespace, process 1 "
				    "(%.15s), which cannot be restarted",
				    image->processes[i].rec->comm);
	return CK_OK;
}

int restart_check(struct restart *r)
{
	struct nl_info info;
	int rc = check_kernel(r->image);

	if (!rc)
		rc = vdso_old_look(&r->vdso_old, r->image);
	if (!rc)
		rc = check_init(r->image);
	if (!rc)
		rc = nl_info(r->nl, &info);
	return rc ? rc : check_cpu(r->image, &info);
}

int restart_layout(struct restart *r)
{
	size_t i, nr = 0;
	struct vdso *ranges = calloc(r->image->nr_processes, sizeof(*ranges));
	int rc = ranges ? vdso_find(&r->vdso) : fail(CK_FAILED, "out of memory");

	/* A skeleton may have no /proc to ask. */
	if (!rc)
		rc = vdso_text(&r->code);
	for (i = 0; i < r->image->nr_processes && !rc; i++) {
		const struct image_process *p = &r->image->processes[i];
		uint64_t size = p->relaunch ? 0 : p->mm->vdso_end - p->mm->vdso_start;
		struct vdso_place place;

		if (size == 0)
			continue;
		if (!r->vdso_old.used && size != r->vdso.end - r->vdso.start)
			rc = fail(CK_REFUSED, "process %d (%.15s) has a vdso of another size than this "
				  "kernel's", p->rec->pid, p->rec->comm);
		if (!rc)
			rc = vdso_old_place(&r->vdso_old, p, &r->vdso, &place);
		if (!rc)
			ranges[nr++] = place.kept;
	}
	if (!rc)
		rc = vdso_reserve(&r->vdso, ranges, nr);
	free(ranges);
	return rc;
}
