// SPDX-License-Identifier: GPL-2.0
/*
 * Credentials: ids, groups, capability sets, secure bits, no_new_privs.
 *
 * Saved: what /proc/PID/status says of the leader.  The module refuses threads
 * with credentials of their own, seccomp filters, and other namespaces than ckctl's
 * (but for that of cgroups: what is visible of them is no state of a process).
 *
 * Restored are at most the rights that the restorer has; what ckctl's file lends
 * it is none of them.  An image that root restarts may come from anybody: unless
 * root owns it, it may ask for nothing that its owner could not get by logging in.
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
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../caps.h"
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
	/* Inside of a user namespace only those have numbers that are mapped into it. */
	const char *text = d->groups ? d->groups : proc_status(p->status, "Groups");
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

static int check_foreign_image(const struct restore *r)
{
	uid_t owner = r->image->owner;
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

/* An ordinary user may be made only what this process is already. */
static int check_own(const struct image_process *p)
{
	const struct ckpt_rec_cred *c = p->cred;
	gid_t gids[3];
	uid_t me = getuid();

	if (c->uid != me || c->euid != me || c->suid != me || c->fsuid != me)
		return fail(CK_PERM, "pid %d (%s) of the image ran as user %u; only root can restart it",
			    c->pid, p->rec->comm, c->euid != me ? c->euid : c->uid);
	if (c->cap_prm | c->cap_eff | c->cap_inh | c->cap_amb)
		return fail(CK_PERM, "pid %d (%s) of the image had capabilities; only root can "
			    "restart it", c->pid, p->rec->comm);
	if (getresgid(&gids[0], &gids[1], &gids[2]) < 0)
		return fail_errno(errno, "cannot tell which group this is");
	if (group_among(c->gid, gids, 3) && group_among(c->egid, gids, 3) &&
	    group_among(c->sgid, gids, 3) && group_among(c->fsgid, gids, 3))
		return CK_OK;
	return fail(CK_PERM, "pid %d (%s) of the image ran as group %u, not as your present one, %u; "
		    "start ckctl as that group: sg(1)", c->pid, p->rec->comm,
		    c->egid != gids[1] ? c->egid : c->gid, gids[1]);
}

int cred_look(struct restore *r)
{
	int nr = getgroups(0, NULL);
	bool root = geteuid() == 0;
	size_t i;

	r->foreign = root && r->image->owner != 0;
	r->gives_away = r->foreign;
	for (i = 0; i < r->image->nr_processes && root; i++) {
		const struct ckpt_rec_cred *c = r->image->processes[i].cred;

		if (c->uid || c->euid || c->suid || c->fsuid)
			r->gives_away = true;
	}
	r->groups = nr < 0 ? NULL : calloc((size_t)nr + 1, sizeof(*r->groups));
	if (r->groups)
		nr = getgroups(nr, r->groups);
	r->nr_groups = nr;
	return r->groups && nr >= 0 ? CK_OK : fail_errno(errno, "cannot read my own groups");
}

int cred_check(const struct restore *r)
{
	const struct image *img = r->image;
	int rc = CK_OK;
	size_t i;

	if (geteuid() == 0)
		return r->foreign ? check_foreign_image(r) : CK_OK;
	for (i = 0; i < img->nr_processes && !rc; i++)
		rc = check_own(&img->processes[i]);
	return rc;
}

/* ---- for a moment, no more than the process ---- */

/* What is put back afterwards. */
struct self {
	struct caps caps;
	gid_t groups[1024];
	int nr_groups;
	int pdeath_signal;
};

/*
 * The effective ids, not those of file access alone: what is in /proc asks
 * for them, and for capabilities.
 */
static int assume(const struct image_process *p, struct self *self)
{
	struct caps none;

	self->nr_groups = -1;
	if (caps_get(&self->caps) < 0 || prctl(PR_GET_PDEATHSIG, &self->pdeath_signal) < 0)
		_exit(CK_FAILED);
	if (geteuid() == 0 && p->cred->fsuid != 0) {
		self->nr_groups = getgroups(NR(self->groups), self->groups);
		if (self->nr_groups < 0 || setgroups(p->cred->nr_groups, p->groups) < 0)
			return -1;
		if (setegid(p->cred->fsgid) < 0 || seteuid(p->cred->fsuid) < 0)
			return -1;
	}
	none = self->caps;
	none.effective = 0;
	return geteuid() == 0 ? 0 : caps_set(&none);
}

/* It keeps errno; -1 when there is no way back. */
static int resume(const struct self *self)
{
	int err = errno;

	if (self->nr_groups >= 0 && seteuid(0) < 0)
		return -1;
	if (caps_set(&self->caps) < 0)
		return -1;
	if (self->nr_groups >= 0 &&
	    (setegid(getgid()) < 0 || setgroups((size_t)self->nr_groups, self->groups) < 0))
		return -1;
	/* Any change of ids takes it away. */
	prctl(PR_SET_PDEATHSIG, self->pdeath_signal, 0, 0, 0);
	errno = err;
	return 0;
}

/* open(2) with the rights of @p. */
static int open_as(struct restore *r, const struct image_process *p, const char *path, int flags)
{
	struct self self;
	int fd = -1;

	flags |= O_CLOEXEC | O_NOCTTY;
	if (assume(p, &self) == 0)
		fd = open(path, flags, 0600);
	if (resume(&self) < 0)
		_exit(CK_FAILED);	/* as somebody else there is nothing that we could do */
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

int cred_call(const struct image_process *p, int (*fn)(void *arg), void *arg)
{
	struct self self;
	int rc = -1;

	if (assume(p, &self) == 0)
		rc = fn(arg);
	if (resume(&self) < 0)
		_exit(CK_FAILED);
	return rc;
}

static int chdir_to(void *path)
{
	return chdir(path);
}

int cred_chdir(const struct image_process *p, const char *path)
{
	return cred_call(p, chdir_to, (void *)path);
}

/* ---- for good ---- */

static bool has_groups(const struct restore *r, const struct image_process *p)
{
	int i;

	for (i = 0; i < r->nr_groups; i++)
		if (!group_among(r->groups[i], (const gid_t *)p->groups, (int)p->cred->nr_groups))
			return false;
	return r->nr_groups == (int)p->cred->nr_groups;
}

/* Told once, and while there is somewhere to: skeletons have no standard error of ours. */
static int cred_prepare(struct restore *r)
{
	const struct image *img = r->image;
	size_t i;

	for (i = 0; i < img->nr_processes && !caps_have(CAP_SETGID); i++) {
		const struct image_process *p = &img->processes[i];

		if (has_groups(r, p))
			continue;
		note("pid %d (%s) goes on with your groups of now, not with those of then",
		     p->rec->pid, p->rec->comm);
		break;
	}
	return CK_OK;
}

/* Groups as saved; without the right to set them, only as they are. */
static int restore_groups(const struct restore *r, const struct image_process *p)
{
	if (setgroups(p->cred->nr_groups, p->groups) == 0)
		return CK_OK;
	/* The user's are in the image, root's must not be left to it. */
	if (errno != EPERM || r->foreign)
		return fail_errno(errno, "pid %d (%s): cannot set its groups", p->rec->pid,
				  p->rec->comm);
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
	const struct ckpt_rec_cred *c = p->cred;
	struct caps now, want, first;
	unsigned long cap;

	if (caps_get(&now) < 0)
		goto failed;
	want.permitted = now.permitted & c->cap_prm;
	want.effective = want.permitted & c->cap_eff;
	want.inheritable = (now.inheritable | now.permitted) & c->cap_inh;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Secure bits forbid more than they allow: they come late. */
	first = want;
	first.permitted |= now.permitted & CAPS_BIT(CAP_SETPCAP);
	first.effective |= now.permitted & CAPS_BIT(CAP_SETPCAP);
	if (caps_set(&first) < 0)
		goto failed;
	for (cap = 0; cap < 64; cap++)
		if (c->cap_amb & want.permitted & want.inheritable & CAPS_BIT(cap))
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	if (restore_securebits(p->rec) < 0)
		return fail_errno(errno, "pid %d (%s): cannot set its secure bits", p->rec->pid,
				  p->rec->comm);
	if (caps_set(&want) < 0)
		goto failed;
	return CK_OK;
failed:
	return fail_errno(errno, "pid %d (%s): cannot set its capabilities", p->rec->pid,
			  p->rec->comm);
}

static int cred_restore(struct restore *r, const struct image_process *p)
{
	int rc;

	drop_bounding(p->cred->cap_bnd);
	rc = restore_groups(r, p);
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
