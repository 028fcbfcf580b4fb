// SPDX-License-Identifier: GPL-2.0
/*
 * Credentials: ids, groups, capability sets, secure bits, no_new_privs.
 *
 * Saved: what /proc/PID/status says of the leader.  The module refuses threads
 * with credentials of their own, seccomp filters, and other namespaces than ckctl's (but for that of cgroups: what is visible of them is no
 * state of a process).
 *
 * Restored are at most the rights that the restorer has.  An image that root
 * restarts may come from anybody: unless root owns it, it may ask for nothing
 * that its owner could not get by logging in.
 */
#include "cred.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "out.h"
#include "proc.h"

#define NR(a) (sizeof(a) / sizeof((a)[0]))

static void read_ids(const char *text, uint32_t *real, uint32_t *effective, uint32_t *saved,
		     uint32_t *fs)
{
	uint32_t *const to[] = { real, effective, saved, fs };
	char *end;
	size_t i;

	for (i = 0; i < 4 && text; i++, text = end)
		*to[i] = (uint32_t)strtoul(text, &end, 10);
}

static uint64_t read_caps(const char *status, const char *key)
{
	const char *text = proc_status(status, key);

	return text ? strtoull(text, NULL, 16) : 0;
}

static int dump_one(struct dump *d, const struct proc *p)
{
	const char *nnp = proc_status(p->status, "NoNewPrivs");
	const char *text = proc_status(p->status, "Groups");
	struct ckpt_rec_cred rec = {
		.pid = p->pid,
		.no_new_privs = nnp && *nnp == '1',
		.cap_inh = read_caps(p->status, "CapInh"),
		.cap_prm = read_caps(p->status, "CapPrm"),
		.cap_eff = read_caps(p->status, "CapEff"),
		.cap_bnd = read_caps(p->status, "CapBnd"),
		.cap_amb = read_caps(p->status, "CapAmb"),
	};
	size_t len = text ? strcspn(text, "\n") : 0, i;
	uint32_t *groups;
	char *end;

	read_ids(proc_status(p->status, "Uid"), &rec.uid, &rec.euid, &rec.suid, &rec.fsuid);
	read_ids(proc_status(p->status, "Gid"), &rec.gid, &rec.egid, &rec.sgid, &rec.fsgid);
	/* A number and a blank each: there are at most half as many as characters. */
	groups = dump_alloc(d, (len / 2 + 1) * sizeof(*groups));
	if (!groups)
		return CK_FAILED;
	for (i = 0; i < len; i = (size_t)(end - text) + strspn(end, " ")) {
		groups[rec.nr_groups] = (uint32_t)strtoul(text + i, &end, 10);
		if (end == text + i)
			break;
		rec.nr_groups++;
	}
	return image_put(d->writer, CKPT_REC_CRED, &rec, sizeof(rec), groups,
			 rec.nr_groups * sizeof(*groups));
}

static int cred_dump(struct dump *d)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; i < d->nr_procs && !rc; i++)
		rc = dump_one(d, &d->procs[i]);
	return rc;
}

/* ---- restore ---- */

static bool group_among(gid_t gid, const gid_t *groups, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		if (groups[i] == gid)
			return true;
	return false;
}

/* @owner of the image, not root, may be made only what he is. */
static int check_owner(const struct image_process *p, uid_t owner, const gid_t *groups, int nr)
{
	const struct ckpt_rec_cred *c = p->cred;
	uint32_t i;

	if (c->uid != owner || c->euid != owner || c->suid != owner || c->fsuid != owner)
		return fail(CK_PERM,
			    "pid %d (%s) of the image ran as user %u, but the image belongs to "
			    "user %u; it is not restarted",
			    c->pid, p->rec->comm, c->euid != owner ? c->euid : c->uid, owner);
	if (c->cap_prm | c->cap_eff | c->cap_inh | c->cap_amb)
		return fail(CK_PERM,
			    "pid %d (%s) of the image had capabilities, but the image belongs "
			    "to user %u; it is not restarted",
			    c->pid, p->rec->comm, owner);
	/* They would outlive an exec, of a set-uid program above all. */
	if (p->rec->securebits & ~SECBIT_KEEP_CAPS)
		return fail(CK_PERM,
			    "pid %d (%s) of the image had secure bits, but the image belongs to "
			    "user %u; it is not restarted",
			    c->pid, p->rec->comm, owner);
	for (i = 0; i < c->nr_groups; i++)
		if (!group_among(p->groups[i], groups, nr))
			return fail(CK_PERM,
				    "pid %d (%s) of the image was in group %u, which user %u is "
				    "not in; it is not restarted",
				    c->pid, p->rec->comm, p->groups[i], owner);
	if (!group_among(c->gid, groups, nr) || !group_among(c->egid, groups, nr) ||
	    !group_among(c->sgid, groups, nr) || !group_among(c->fsgid, groups, nr))
		return fail(CK_PERM,
			    "pid %d (%s) of the image ran as group %u, which user %u is not in; "
			    "it is not restarted",
			    c->pid, p->rec->comm, c->egid, owner);
	return CK_OK;
}

static int check_foreign_image(const struct restore *r, uid_t owner)
{
	const struct passwd *pw = getpwuid(owner);
	gid_t groups[1024];
	int nr = NR(groups), rc = CK_OK;
	size_t i;

	if (!pw)
		return fail(CK_PERM, "the image %s belongs to user %u, who does not exist here",
			    r->image->path, owner);
	if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &nr) < 0)
		return fail(CK_FAILED, "user %s is in too many groups", pw->pw_name);
	for (i = 0; i < r->image->nr_processes && !rc; i++)
		rc = check_owner(&r->image->processes[i], owner, groups, nr);
	return rc;
}

static int cred_prepare(struct restore *r)
{
	const struct image *img = r->image;
	struct stat st;
	size_t i;

	if (stat(img->path, &st) < 0)
		return fail_errno(errno, "cannot look at %s", img->path);
	if (geteuid() == 0)
		return st.st_uid == 0 ? CK_OK : check_foreign_image(r, st.st_uid);
	for (i = 0; i < img->nr_processes; i++) {
		const struct ckpt_rec_cred *c = img->processes[i].cred;
		uid_t me = getuid();

		if (c->uid != me || c->euid != me || c->suid != me || c->fsuid != me)
			return fail(CK_PERM,
				    "pid %d (%s) of the image ran as user %u; only root can "
				    "restart it",
				    c->pid, img->processes[i].rec->comm,
				    c->euid != me ? c->euid : c->uid);
	}
	return CK_OK;
}

/* open(2) with the rights of @p. */
static int open_as(struct restore *r, const struct image_process *p, const char *path, int flags)
{
	gid_t groups[1024];
	int fd, err, nr;

	flags |= O_CLOEXEC | O_NOCTTY;
	if (geteuid() != 0 || p->cred->fsuid == 0)
		return restore_keep_fd(r, open(path, flags, 0600));
	nr = getgroups(NR(groups), groups);
	if (nr < 0 || setgroups(p->cred->nr_groups, p->groups) < 0)
		return -1;
	/* Off root's, the capabilities about files are gone until they are set back. */
	setfsgid(p->cred->fsgid);
	setfsuid(p->cred->fsuid);
	fd = open(path, flags, 0600);
	err = errno;
	setfsuid(geteuid());
	setfsgid(getegid());
	if (setgroups((size_t)nr, groups) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	errno = err;
	return restore_keep_fd(r, fd);
}

int cred_open(struct restore *r, const struct image_process *p, const char *path, int flags)
{
	return open_as(r, p, path, flags & ~(O_CREAT | O_TRUNC | O_EXCL));
}

int cred_create(struct restore *r, const struct image_process *p, const char *dir)
{
	static unsigned int nr;
	char path[PATH_MAX];
	int fd = open_as(r, p, dir, O_TMPFILE | O_RDWR), err;

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	/* A file system that cannot do that. */
	snprintf(path, sizeof(path), "%.4000s/.ckpt-%d-%u", dir, getpid(), nr++);
	fd = open_as(r, p, path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR);
	err = errno;
	if (fd >= 0 && unlink(path) < 0)
		note("cannot remove %s, which is not needed: %s", path, strerror(errno));
	errno = err;
	return fd;
}

/* Groups as saved; without the right to set them, only as they are. */
static int restore_groups(const struct image_process *p)
{
	gid_t groups[1024];
	int nr, i;

	if (setgroups(p->cred->nr_groups, p->groups) == 0)
		return CK_OK;
	if (errno != EPERM)
		return fail_errno(errno, "pid %d (%s): cannot set its groups", p->rec->pid,
				  p->rec->comm);
	nr = getgroups(NR(groups), groups);
	for (i = 0; i < nr; i++)
		if (!group_among(groups[i], (const gid_t *)p->groups, (int)p->cred->nr_groups))
			break;
	if (nr != (int)p->cred->nr_groups || i < nr)
		note("pid %d (%s) goes on with your groups of now, not with those of then",
		     p->rec->pid, p->rec->comm);
	return CK_OK;
}

static int restore_ids(const struct image_process *p)
{
	const struct ckpt_rec_cred *c = p->cred;

	if (setresgid(c->gid, c->egid, c->sgid) < 0)
		return fail_errno(errno, "pid %d (%s): cannot become group %u", p->rec->pid,
				  p->rec->comm, c->egid);
	/* Capabilities are set by their own step, whoever it becomes. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(c->uid, c->euid, c->suid) < 0)
		return fail_errno(errno, "pid %d (%s): cannot become user %u", p->rec->pid,
				  p->rec->comm, c->euid);
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	setfsgid(c->fsgid);
	setfsuid(c->fsuid);
	if ((uid_t)setfsuid((uid_t)-1) != c->fsuid || (gid_t)setfsgid((gid_t)-1) != c->fsgid)
		return fail(CK_PERM, "pid %d (%s): cannot take file system user %u", p->rec->pid,
			    p->rec->comm, c->fsuid);
	return CK_OK;
}

struct cap_sets {
	uint64_t eff, prm, inh;
};

static int get_caps(struct cap_sets *s)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		return -1;
	s->eff = data[0].effective | (uint64_t)data[1].effective << 32;
	s->prm = data[0].permitted | (uint64_t)data[1].permitted << 32;
	s->inh = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return 0;
}

static int set_caps(const struct cap_sets *s)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)s->eff, (uint32_t)s->prm, (uint32_t)s->inh },
		{ (uint32_t)(s->eff >> 32), (uint32_t)(s->prm >> 32), (uint32_t)(s->inh >> 32) },
	};

	return (int)syscall(SYS_capset, &head, data);
}

/* The bounding set shrinks while CAP_SETPCAP is still there; without it, what
 * the restorer could pass to any program of his is no gain. */
static void drop_bounding(uint64_t keep)
{
	unsigned long cap;

	for (cap = 0; cap < 64; cap++)
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static int restore_securebits(const struct ckpt_rec_process *rec)
{
	unsigned int now = (unsigned int)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

	if (now == rec->securebits)
		return 0;
	/* The only one that anybody may change. */
	if ((now ^ rec->securebits) == SECBIT_KEEP_CAPS)
		return prctl(PR_SET_KEEPCAPS, !!(rec->securebits & SECBIT_KEEP_CAPS), 0, 0, 0);
	return prctl(PR_SET_SECUREBITS, rec->securebits, 0, 0, 0);
}

/* Each set at most what was saved, and at most what is there: never more. */
static int restore_caps(const struct image_process *p)
{
	const uint64_t setpcap = 1ULL << CAP_SETPCAP;
	const struct ckpt_rec_cred *c = p->cred;
	struct cap_sets now, want, first;
	unsigned long cap;

	if (get_caps(&now) < 0)
		goto failed;
	want.prm = now.prm & c->cap_prm;
	want.eff = want.prm & c->cap_eff;
	want.inh = (now.inh | now.prm) & c->cap_inh;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Secure bits forbid more than they allow: they come late. */
	first = want;
	first.prm |= now.prm & setpcap;
	first.eff |= now.prm & setpcap;
	if (set_caps(&first) < 0)
		goto failed;
	for (cap = 0; cap < 64; cap++)
		if (c->cap_amb & want.prm & want.inh & 1ULL << cap)
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	if (restore_securebits(p->rec) < 0)
		return fail_errno(errno, "pid %d (%s): cannot set its secure bits", p->rec->pid,
				  p->rec->comm);
	if (set_caps(&want) < 0)
		goto failed;
	return CK_OK;
failed:
	return fail_errno(errno, "pid %d (%s): cannot set its capabilities", p->rec->pid,
			  p->rec->comm);
}

static int cred_restore(struct restore *r, const struct image_process *p)
{
	int rc;

	(void)r;
	drop_bounding(p->cred->cap_bnd);
	rc = restore_groups(p);
	if (!rc)
		rc = restore_ids(p);
	if (!rc)
		rc = restore_caps(p);
	if (!rc && p->cred->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = fail_errno(errno, "pid %d (%s): cannot set no_new_privs", p->rec->pid,
				p->rec->comm);
	return rc;
}

const struct state_ops state_cred = {
	.name = "cred",
	.saved = "user and group ids, groups, capabilities, secure bits, no_new_privs",
	.refused = "seccomp filters, other namespaces, threads with credentials of "
		   "their own",
	.dump = cred_dump,
	.prepare = cred_prepare,
	.restore = cred_restore,
};
