// SPDX-License-Identifier: GPL-2.0
#include "policy.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "out.h"

#define MAX_GROUPS	65536

/* ---- who ---- */

/* A number stands for itself, so that one who has no name can be named. */
static bool is_named(const char *list, const char *name, unsigned long number)
{
	static const char between[] = ", \t";
	const char *at = list + strspn(list, between);
	size_t len, own = name ? strlen(name) : 0;
	char *end;

	for (; *at; at += len, at += strspn(at, between)) {
		len = strcspn(at, between);
		if (own && len == own && memcmp(at, name, len) == 0)
			return true;
		if (strtoul(at, &end, 10) == number && *at >= '0' && *at <= '9' && end == at + len)
			return true;
	}
	return false;
}

static bool group_is_named(const char *list, gid_t gid)
{
	const struct group *gr = getgrgid(gid);

	return is_named(list, gr ? gr->gr_name : NULL, gid);
}

/* Any of those that the process has. */
static bool groups_are_named(const char *list)
{
	int nr = getgroups(0, NULL), i;
	bool named = group_is_named(list, getegid());
	gid_t *groups;

	if (nr <= 0 || nr > MAX_GROUPS)
		return named;
	groups = calloc((size_t)nr, sizeof(*groups));
	nr = groups ? getgroups(nr, groups) : 0;
	for (i = 0; i < nr && !named; i++)
		named = group_is_named(list, groups[i]);
	free(groups);
	return named;
}

int policy_allowed(void)
{
	const char *users = conf_text("allow_users"), *groups = conf_text("allow_groups");
	const struct passwd *pw;
	char number[16];

	if ((!users && !groups) || geteuid() == 0)
		return CK_OK;
	pw = getpwuid(geteuid());
	if (users && is_named(users, pw ? pw->pw_name : NULL, geteuid()))
		return CK_OK;
	if (groups && groups_are_named(groups))
		return CK_OK;
	snprintf(number, sizeof(number), "%u", geteuid());
	return fail(CK_PERM, "checkpoints are not for user %s here: %s in %s does not name them",
		    pw ? pw->pw_name : number, users && groups ? "neither allow_users nor allow_groups" :
		    users ? "allow_users" : "allow_groups", conf_path());
}

/* ---- how often, how much ---- */

int policy_interval(uint64_t seconds)
{
	uint64_t min = conf_number("min_interval", 0);

	if (!seconds || seconds >= min)
		return CK_OK;
	return fail(CK_USAGE, "the interval is shorter than %ju:%02u:%02u, the shortest here (min_interval "
		    "in %s)", (uintmax_t)(min / 3600), (unsigned int)(min / 60 % 60),
		    (unsigned int)(min % 60), conf_path());
}

int policy_image_size(const char *name, uint64_t bytes)
{
	uint64_t max = conf_number("max_image", 0);

	if (!max || bytes <= max)
		return CK_OK;
	return fail(CK_REFUSED, "the checkpoint of %s would have %s, more than the %s that an image may "
		    "have here (max_image in %s)", name, human_bytes(bytes), human_bytes(max),
		    conf_path());
}

unsigned int policy_keep(void)
{
	return (unsigned int)conf_number("keep", 1);
}

/* ---- where ---- */

static int too_long(void)
{
	return fail(CK_FAILED, "the path that default_dir in %s stands for is too long", conf_path());
}

int policy_default_dir(char *path, size_t size, uid_t uid, const char *job)
{
	const char *from = conf_text("default_dir"), *word;
	const struct passwd *pw = from ? getpwuid(uid) : NULL;
	char number[16];
	size_t len = 0;

	path[0] = '\0';
	snprintf(number, sizeof(number), "%u", uid);
	for (; from && *from; from++) {
		char one[2] = { *from, '\0' };

		word = one;
		if (*from == '%') {
			from++;
			word = *from == 'u' ? (pw ? pw->pw_name : number) : *from == 'j' ? job : "%";
		}
		if (len + strlen(word) >= size)
			return too_long();
		strcpy(path + len, word);
		len += strlen(word);
	}
	return CK_OK;
}

int policy_make_dir(const char *dir, const char *job)
{
	char path[PATH_MAX], *at;
	int rc = policy_default_dir(path, sizeof(path), geteuid(), job);

	if (rc || !*path || strcmp(path, dir) != 0)
		return rc;
	for (at = path + 1; at; *at++ = '/') {
		at = strchr(at, '/');
		if (at)
			*at = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return fail_errno(errno, "cannot make the image directory %s (default_dir in %s)",
					  path, conf_path());
		if (!at)
			break;
	}
	return CK_OK;
}
