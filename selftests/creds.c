// SPDX-License-Identifier: GPL-2.0
/*
 * Credentials: user and group ids, supplementary groups, capability sets,
 * no_new_privs. An ordinary user's have less in them to be lost.
 */
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "workload.h"

#define MAX_GROUPS 64

struct creds {
	uid_t uid[3];
	gid_t gid[3];
	gid_t groups[MAX_GROUPS];
	int nr_groups;
	struct __user_cap_data_struct caps[2];
	uint64_t bounding, ambient;
	int no_new_privs, dumpable;
};

static void look(struct creds *c)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	memset(c, 0, sizeof(*c));
	wl_must(getresuid(&c->uid[0], &c->uid[1], &c->uid[2]));
	wl_must(getresgid(&c->gid[0], &c->gid[1], &c->gid[2]));
	c->nr_groups = wl_must(getgroups(MAX_GROUPS, c->groups));
	wl_must(syscall(SYS_capget, &head, c->caps));
	for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++) {
		c->bounding |= (uint64_t)prctl(PR_CAPBSET_READ, i) << i;
		c->ambient |= (uint64_t)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) << i;
	}
	c->no_new_privs = wl_must(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	/* Other ids make another of it, in a restart as well. */
	c->dumpable = wl_must(prctl(PR_GET_DUMPABLE));
}

/* Less than root has, and each set another. */
static void set_up(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { 0 };

	wl_must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (geteuid() != 0)
		return;
	wl_must(setresgid(11, 12, 13));
	wl_must(setresuid(0, 0, 1000));
	wl_must(setgroups(3, (gid_t[]){ 4711, 4712, 815 }));
	wl_must(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	caps[0].permitted = 1U << CAP_KILL | 1U << CAP_CHOWN | 1U << CAP_SETGID;
	caps[0].effective = 1U << CAP_KILL;
	caps[0].inheritable = 1U << CAP_CHOWN | 1U << CAP_KILL;
	wl_must(syscall(SYS_capset, &head, caps));
	wl_must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
}

static void verify(const struct creds *was)
{
	struct creds now;

	look(&now);
	wl_check(memcmp(now.uid, was->uid, sizeof(now.uid)) == 0, "the user ids are %u %u %u", now.uid[0],
		 now.uid[1], now.uid[2]);
	wl_check(memcmp(now.gid, was->gid, sizeof(now.gid)) == 0, "the group ids are %u %u %u",
		 now.gid[0], now.gid[1], now.gid[2]);
	wl_check(now.nr_groups == was->nr_groups &&
		 memcmp(now.groups, was->groups, sizeof(now.groups)) == 0,
		 "the supplementary groups changed: there are %d", now.nr_groups);
	wl_check(memcmp(now.caps, was->caps, sizeof(now.caps)) == 0,
		 "the capabilities are %#x effective, %#x permitted, %#x inheritable",
		 now.caps[0].effective, now.caps[0].permitted, now.caps[0].inheritable);
	wl_check(now.bounding == was->bounding, "the bounding set is %#jx", (uintmax_t)now.bounding);
	wl_check(now.ambient == was->ambient, "the ambient set is %#jx", (uintmax_t)now.ambient);
	wl_check(now.no_new_privs == was->no_new_privs, "no_new_privs is %d", now.no_new_privs);
	wl_check(now.dumpable == was->dumpable, "dumpable is %d", now.dumpable);
}

int main(int argc, char **argv)
{
	struct creds was;

	wl_start(argc, argv);
	set_up();
	look(&was);
	wl_ready();
	do {
		verify(&was);
		wl_pause_ms(5);
	} while (!wl_stopping());
	verify(&was);
	wl_passed();
	return 0;
}
