// SPDX-License-Identifier: GPL-2.0
/* The site's configuration: what is read, what is told of, who is believed, what it means. */
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "out.h"
#include "policy.h"
#include "tap.h"

static char dir[] = "/tmp/ckpt-test-XXXXXX", file[PATH_MAX];
static char told[4096];

static void tell(const char *sentence)
{
	size_t len = strlen(told);

	snprintf(told + len, sizeof(told) - len, "%s; ", sentence);
}

static size_t problems(void)
{
	told[0] = '\0';
	return conf_problems(tell);
}

/* A file with this text holds from now on. */
static void use(const char *text)
{
	FILE *to = fopen(file, "w");

	if (to) {
		fputs(text, to);
		fclose(to);
	}
	conf_use(file, true);
}

static void test_none(void)
{
	conf_use("/nonexistent/ckpt.conf", false);
	ok(!problems() && conf_ignored(), "a file that is not there is no problem");
	ok(conf_number("keep", 7) == 7 && !conf_text("default_dir"), "and decides nothing");
}

static void test_read(void)
{
	use("# a comment\n\n  keep=3\nlast_margin = 30   # seconds\nmax_image\t=\t10G\n"
	    "min_interval = 1:30\nrequire_module = Yes\ndefault_dir = /scratch/%u/my images/%j\n"
	    "allow_users = a, b c");
	ok(!problems(), "all kinds of settings: %s", told);
	ok(conf_number("keep", 1) == 3 && conf_number("last_margin", 1) == 30, "numbers");
	ok(conf_number("max_image", 0) == 10ULL << 30, "a size");
	ok(conf_number("min_interval", 0) == 90, "an interval");
	ok(conf_number("require_module", 0) == 1, "a switch");
	ok(strcmp(conf_text("default_dir"), "/scratch/%u/my images/%j") == 0, "a directory with a blank");
	ok(conf_setting("keep")->line == 3 && conf_setting("last_factor")->line == 0, "where from");
}

static void test_sizes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} sizes[] = {
		{ "1", 1 }, { "4096", 4096 }, { "2K", 2048 }, { "2k", 2048 }, { "3M", 3 << 20 },
		{ "1 GiB", 1 << 30 }, { "5MB", 5 << 20 }, { "7B", 7 }, { "2T", 2ULL << 40 },
	};
	static const char *const bad[] = { "", "G", "-1", "1.5G", "10X", "10iB", "1GG", "0", "99999999P" };
	char text[64];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		snprintf(text, sizeof(text), "max_image = %s\n", sizes[i].text);
		use(text);
		ok(!problems() && conf_number("max_image", 0) == sizes[i].bytes, "the size %s", sizes[i].text);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "max_image = %s\n", bad[i]);
		use(text);
		ok(problems() == 1 && conf_number("max_image", 5) == 5, "\"%s\" is no size", bad[i]);
	}
}

static void test_wrong(void)
{
	use("keep = 2\nkep = 3\n");
	ok(problems() == 1 && strstr(told, "line 2: there is no setting \"kep\"") && strstr(told, file),
	   "an unknown key is named: %s", told);
	ok(conf_number("keep", 1) == 2, "the others count");
	use("keep\n");
	ok(problems() == 1 && strstr(told, "\"keep\" is no setting"), "a line without a value");
	use("keep = 0\nkeep = 1001\nkeep = x\n");
	ok(problems() == 3 && conf_number("keep", 9) == 9, "values that cannot be: %s", told);
	use("keep = 4\nkeep = 5\n");
	ok(problems() == 1 && strstr(told, "line 1") && conf_number("keep", 9) == 5,
	   "one that comes twice: the last one counts");
	use("default_dir = images\ndefault_dir = /a/%x\ndefault_dir = /a%\n");
	ok(problems() == 3 && !conf_text("default_dir"), "directories that cannot be");
	use("require_module = 1\nmin_interval = soon\nallow_users =\n");
	ok(problems() == 3, "a switch, an interval, a list that cannot be: %s", told);
}

static void test_trust(void)
{
	use("keep = 2\n");
	if (geteuid() != 0) {
		conf_use(file, false);
		ok(conf_number("keep", 1) == 1 && problems() == 1, "a user's file is ignored, and told of");
		return;
	}
	chmod(dir, 0755);
	chmod(file, 0644);
	conf_use(file, false);
	ok(conf_number("keep", 1) == 2 && !problems(), "root's own file counts");
	chmod(file, 0666);
	conf_use(file, false);
	ok(conf_number("keep", 1) == 1 && problems() == 1 && strstr(told, "root's alone"),
	   "one that anybody may write is ignored: %s", told);
	chmod(file, 0664);
	conf_use(file, false);
	ok(conf_number("keep", 1) == 1, "one that a group may write is ignored");
	chmod(file, 0644);
	chmod(dir, 0777);
	conf_use(file, false);
	ok(conf_number("keep", 1) == 1, "one that anybody may replace is ignored");
	chmod(dir, 0755);
	if (chown(file, 65534, 0) == 0) {
		conf_use(file, false);
		ok(conf_number("keep", 1) == 1, "one that belongs to somebody is ignored");
	}
}

/* As user 65534, who has no group of root's. */
static int allowed(const char *text)
{
	char sentence[1024];
	int rc;

	use(text);
	fail_capture(sentence, sizeof(sentence));
	rc = policy_allowed();
	fail_capture(NULL, 0);
	return rc;
}

static void test_allowed(void)
{
	const struct passwd *pw;
	const struct group *gr;
	char text[256];

	ok(allowed("allow_users = nobody-here\n") == (geteuid() ? CK_PERM : CK_OK), "root always may");
	if (geteuid() == 0 && (setegid(65534) < 0 || seteuid(65534) < 0)) {
		skip("nobody else can be become");
		return;
	}
	pw = getpwuid(geteuid());
	gr = getgrgid(getegid());
	ok(allowed("") == CK_OK, "everybody may by default");
	ok(allowed("allow_users = some, others\n") == CK_PERM, "who is not named may not");
	ok(allowed("allow_groups = some, others\n") == CK_PERM, "nor whose groups are not");
	snprintf(text, sizeof(text), "allow_users = some, %s\n", pw ? pw->pw_name : "65534");
	ok(allowed(text) == CK_OK, "who is named may");
	snprintf(text, sizeof(text), "allow_users = some\nallow_groups = x, %s\n", gr ? gr->gr_name : "65534");
	ok(allowed(text) == CK_OK, "whose group is named may");
	snprintf(text, sizeof(text), "allow_users = %u\n", geteuid());
	ok(allowed(text) == CK_OK, "a number will do");
	snprintf(text, sizeof(text), "allow_users = %u0\n", geteuid());
	ok(allowed(text) == CK_PERM, "but not another one that begins so");
	if (seteuid(0) < 0 || setegid(0) < 0)
		diag("the rest runs as somebody else");
}

static void test_dirs(void)
{
	char path[PATH_MAX], text[PATH_MAX + 64], expected[PATH_MAX + 64];
	const struct passwd *pw = getpwuid(geteuid());
	struct stat st;

	use("default_dir = /a/%u/%j%%x\n");
	snprintf(expected, sizeof(expected), "/a/%s/5%%x", pw ? pw->pw_name : "0");
	ok(policy_default_dir(path, sizeof(path), geteuid(), "5") == CK_OK && strcmp(path, expected) == 0,
	   "user, job and percent sign: %s", path);
	use("");
	ok(policy_default_dir(path, sizeof(path), geteuid(), "5") == CK_OK && !*path, "none by default");
	snprintf(text, sizeof(text), "default_dir = %s/new/%%j\n", dir);
	use(text);
	snprintf(path, sizeof(path), "%s/new/5", dir);
	ok(policy_make_dir("/nonexistent/5", "5") == CK_OK && stat("/nonexistent", &st) < 0,
	   "another directory is not made");
	ok(policy_make_dir(path, "5") == CK_OK && stat(path, &st) == 0 && (st.st_mode & 0777) == 0700,
	   "the site's is made, for its user alone");
	ok(policy_make_dir(path, "5") == CK_OK, "and may be there already");
}

static void test_limits(void)
{
	char sentence[1024];

	use("min_interval = 5\nmax_image = 1M\nkeep = 3\n");
	fail_capture(sentence, sizeof(sentence));
	ok(policy_interval(0) == CK_OK && policy_interval(300) == CK_OK, "an interval that is long enough");
	ok(policy_interval(299) == CK_USAGE && strstr(sentence, "0:05:00"), "one that is not: %s", sentence);
	ok(policy_image_size("x", 1 << 20) == CK_OK && policy_image_size("x", (1 << 20) + 1) == CK_REFUSED &&
	   strstr(sentence, "1.0 MiB"), "an image that is too large: %s", sentence);
	fail_capture(NULL, 0);
	ok(policy_keep() == 3, "how many are kept");
	use("");
	ok(policy_keep() == 1 && policy_image_size("x", UINT64_MAX) == CK_OK && policy_interval(1) == CK_OK,
	   "without limits");
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir))
		return 1;
	chmod(dir, 0755);
	snprintf(file, sizeof(file), "%s/ckpt.conf", dir);
	test_none();
	test_read();
	test_sizes();
	test_wrong();
	test_limits();
	test_dirs();
	test_trust();
	/* Somebody else writes the file there. */
	chmod(dir, 0777);
	chmod(file, 0666);
	test_allowed();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) ? 1 : done();
}
