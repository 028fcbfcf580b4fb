// SPDX-License-Identifier: GPL-2.0
#include "conf.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interval.h"
#include "out.h"

#define MAX_PROBLEMS	100

#define SETTING(n, k, from, to, text) \
	{ .name = n, .kind = k, .min = from, .max = to, .otherwise = text }

static struct conf_setting settings[] = {
	SETTING("default_dir", CONF_DIR, 0, 0, "the working directory"),
	SETTING("keep", CONF_NUMBER, 1, 1000, "1"),
	SETTING("max_image", CONF_SIZE, 1, UINT64_MAX, "no limit"),
	SETTING("allow_users", CONF_LIST, 0, 0, "everybody"),
	SETTING("allow_groups", CONF_LIST, 0, 0, "everybody"),
	SETTING("min_interval", CONF_INTERVAL, 0, UINT64_MAX, "no limit"),
	SETTING("last_margin", CONF_NUMBER, 0, 86400, "60"),
	SETTING("last_factor", CONF_NUMBER, 0, 100, "3"),
	SETTING("preempt_poll", CONF_NUMBER, 0, 86400,
		"a third of the partition's GraceTime; 10 with preempt/qos"),
	SETTING("require_module", CONF_SWITCH, 0, 1, "no"),
};

#define NR_SETTINGS	(sizeof(settings) / sizeof(settings[0]))

static struct {
	const char *path;
	bool any;			/* whoever could have written it */
	bool loaded;
	char ignored[PATH_MAX + 100];	/* "" when it counts */
	char *problems[MAX_PROBLEMS];
	size_t nr_problems;
} conf = { .path = CONF_PATH };

static void problem(unsigned int line, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void problem(unsigned int line, const char *fmt, ...)
{
	char *text = NULL, *sentence = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text && conf.nr_problems < MAX_PROBLEMS &&
	    asprintf(&sentence, "%s, line %u: %s", conf.path, line, text) >= 0)
		conf.problems[conf.nr_problems++] = sentence;
	free(text);
}

/* ---- values ---- */

static bool parse_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && !errno;
}

/* 512M, 1.5 is none; K stands for 1024, with or without "iB" or "B" after it. */
static bool parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGTP";
	const char *unit;
	uint64_t factor = 1;
	char *end;

	errno = 0;
	*bytes = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || errno)
		return false;
	end += strspn(end, " \t");
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		factor <<= 10 * (unit - units + 1);
		end++;
	}
	if (*end && strcasecmp(end, "B") != 0 && (!unit || strcasecmp(end, "iB") != 0))
		return false;
	return !__builtin_mul_overflow(*bytes, factor, bytes);
}

static bool parse_switch(const char *text, uint64_t *on)
{
	*on = strcasecmp(text, "yes") == 0;
	return *on || strcasecmp(text, "no") == 0;
}

static bool parse_interval(const char *text, uint64_t *seconds)
{
	struct capture outer;
	int rc;

	outer = fail_mute();
	rc = interval_parse(text, seconds);
	fail_restore(outer);
	return rc == CK_OK;
}

static bool is_dir(const char *text)
{
	const char *at;

	for (at = strchr(text, '%'); at; at = strchr(at + 2, '%'))
		if (!at[1] || !strchr("uj%", at[1]))
			return false;
	return *text == '/' && strlen(text) < PATH_MAX / 2;
}

static const char *parse(const struct conf_setting *s, const char *text, uint64_t *number)
{
	*number = 0;
	switch (s->kind) {
	case CONF_NUMBER:
		return parse_number(text, number) ? NULL : "a number";
	case CONF_SIZE:
		return parse_size(text, number) ? NULL : "a size like 10G";
	case CONF_INTERVAL:
		return parse_interval(text, number) ? NULL : "an interval as --checkpoint takes it";
	case CONF_SWITCH:
		return parse_switch(text, number) ? NULL : "yes or no";
	case CONF_LIST:
		return *text ? NULL : "a list of names";
	case CONF_DIR:
		return is_dir(text) ? NULL : "an absolute path, in which %u stands for the user, %j for "
					     "the job and %% for a percent sign";
	}
	return NULL;
}

static void set(const char *key, const char *value, unsigned int line)
{
	struct conf_setting *s = (struct conf_setting *)conf_setting(key);
	const char *expected;
	uint64_t number;

	if (!s) {
		problem(line, "there is no setting \"%s\"", key);
		return;
	}
	expected = parse(s, value, &number);
	if (expected) {
		problem(line, "%s takes %s, not \"%s\"", key, expected, value);
		return;
	}
	if (s->max && (number < s->min || number > s->max)) {
		problem(line, "%s can be from %ju to %ju, not %s", key, (uintmax_t)s->min,
			(uintmax_t)s->max, value);
		return;
	}
	if (s->line)
		problem(line, "%s has another value already, in line %u", key, s->line);
	free(s->text);
	s->text = strdup(value);
	s->number = number;
	s->line = s->text ? line : 0;
}

/* ---- the file ---- */

static char *trim(char *text)
{
	char *end;

	text += strspn(text, " \t\r\n");
	for (end = text + strlen(text); end > text && isspace((unsigned char)end[-1]); end--)
		end[-1] = '\0';
	return text;
}

static void read_line(char *line, unsigned int number)
{
	char *equals;

	line[strcspn(line, "#")] = '\0';
	line = trim(line);
	if (!*line)
		return;
	equals = strchr(line, '=');
	if (!equals) {
		problem(number, "\"%s\" is no setting, which is KEY = VALUE", line);
		return;
	}
	*equals = '\0';
	set(trim(line), trim(equals + 1), number);
}

static void ignore(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void ignore(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(conf.ignored, sizeof(conf.ignored), fmt, ap);
	va_end(ap);
}

/* Root's, and nobody else may write there; an access list shows in the group's bits. */
static bool is_roots(int fd, const char *what)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & 022))
		return true;
	ignore("%s is not root's alone to write", what);
	return false;
}

static int open_file(void)
{
	const char *slash = strrchr(conf.path, '/');
	char dir[PATH_MAX];
	int at, fd = -1;

	if (conf.any || !slash) {
		fd = open(conf.path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			ignore("%s", strerror(errno));
		return fd;
	}
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - conf.path), conf.path);
	at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at >= 0)
		fd = openat(at, slash + 1, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		ignore(errno == ENOENT ? "there is none" : "%s", strerror(errno));
	} else if (!is_roots(at, dir) || !is_roots(fd, conf.path)) {
		close(fd);
		fd = -1;
	}
	if (at >= 0)
		close(at);
	return fd;
}

static void load(void)
{
	unsigned int number = 0;
	char *line = NULL;
	size_t room = 0;
	FILE *file;
	int fd;

	if (conf.loaded)
		return;
	conf.loaded = true;
	fd = open_file();
	file = fd < 0 ? NULL : fdopen(fd, "r");
	while (file && getline(&line, &room, file) > 0)
		read_line(line, ++number);
	free(line);
	if (file)
		fclose(file);
}

/* ---- who asks ---- */

void conf_use(const char *path, bool any)
{
	size_t i;

	for (i = 0; i < NR_SETTINGS; i++) {
		free(settings[i].text);
		settings[i].text = NULL;
		settings[i].line = 0;
	}
	while (conf.nr_problems)
		free(conf.problems[--conf.nr_problems]);
	conf.ignored[0] = '\0';
	conf.path = path;
	conf.any = any;
	conf.loaded = false;
}

const char *conf_path(void)
{
	return conf.path;
}

const struct conf_setting *conf_setting(const char *key)
{
	size_t i;

	load();
	for (i = 0; i < NR_SETTINGS; i++)
		if (strcmp(settings[i].name, key) == 0)
			return &settings[i];
	return NULL;
}

uint64_t conf_number(const char *key, uint64_t otherwise)
{
	const struct conf_setting *s = conf_setting(key);

	return s && s->line ? s->number : otherwise;
}

const char *conf_text(const char *key)
{
	const struct conf_setting *s = conf_setting(key);

	return s && s->line ? s->text : NULL;
}

const struct conf_setting *conf_settings(size_t *nr)
{
	load();
	*nr = NR_SETTINGS;
	return settings;
}

const char *conf_ignored(void)
{
	load();
	return *conf.ignored ? conf.ignored : NULL;
}

size_t conf_problems(void (*tell)(const char *sentence))
{
	char sentence[2 * PATH_MAX];
	struct stat st;
	size_t i, nr = 0;

	load();
	/* One that is not there is how it is on most machines. */
	if (*conf.ignored && (conf.any || stat(conf.path, &st) == 0 || errno != ENOENT)) {
		snprintf(sentence, sizeof(sentence), "%s does not count: %s", conf.path,
			 conf.ignored);
		tell(sentence);
		nr++;
	}
	for (i = 0; i < conf.nr_problems; i++)
		tell(conf.problems[i]);
	return nr + conf.nr_problems;
}
