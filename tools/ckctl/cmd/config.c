// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "conf.h"
#include "json.h"
#include "out.h"

static const char usage[] =
	"Usage: ckctl config [--json] [KEY]\n"
	"       ckctl config --check [FILE]\n"
	"Show what this site has decided about checkpoints, and where: all settings, or the value\n"
	"of one.\n\n"
	"      --check   look whether everything in the configuration file, or in FILE, is right\n"
	"      --json    all settings as JSON\n";

static void complain(const char *sentence)
{
	fail(CK_REFUSED, "%s", sentence);
}

static void remark(const char *sentence)
{
	note("%s", sentence);
}

static int check(const char *file)
{
	if (file)
		conf_use(file, true);
	if (conf_problems(complain))
		return CK_REFUSED;
	if (conf_ignored())
		printf("%s: %s\n", conf_path(), conf_ignored());
	else
		printf("%s is right\n", conf_path());
	return CK_OK;
}

static const char *value_of(const struct conf_setting *s)
{
	return s->line ? s->text : s->otherwise;
}

static json_t *setting_json(const struct conf_setting *s)
{
	bool number = s->kind == CONF_NUMBER || s->kind == CONF_SIZE || s->kind == CONF_INTERVAL;
	json_t *value = !s->line ? json_null() : s->kind == CONF_SWITCH ? json_boolean(s->number) :
			number ? json_integer((json_int_t)s->number) : json_text(s->text);

	return json_pack("{s:o, s:o, s:s}", "value", value, "line",
			 s->line ? json_integer(s->line) : json_null(), "default", s->otherwise);
}

static int show_json(void)
{
	const char *ignored = conf_ignored();
	const struct conf_setting *s;
	json_t *all = json_object();
	size_t nr, i;

	s = conf_settings(&nr);
	for (i = 0; i < nr; i++)
		json_object_set_new(all, s[i].name, setting_json(&s[i]));
	return json_print(json_pack("{s:o, s:b, s:o, s:o}", "file", json_text(conf_path()), "used",
				    !ignored, "reason", ignored ? json_text(ignored) : json_null(),
				    "settings", all));
}

static int show(void)
{
	const struct conf_setting *s;
	size_t nr, i;

	if (conf_ignored())
		printf("%-14s  %s (%s)\n", "file", conf_path(), conf_ignored());
	else
		printf("%-14s  %s\n", "file", conf_path());
	s = conf_settings(&nr);
	for (i = 0; i < nr; i++) {
		printf("%-14s  ", s[i].name);
		print_text(value_of(&s[i]));
		if (s[i].line)
			printf(" (line %u)\n", s[i].line);
		else
			printf(" (default)\n");
	}
	return CK_OK;
}

static int show_one(const char *key)
{
	const struct conf_setting *s = conf_setting(key);

	if (!s)
		return fail(CK_NOTFOUND, "there is no setting \"%s\"; \"ckctl config\" lists all", key);
	print_text(value_of(s));
	putchar('\n');
	return CK_OK;
}

void cmd_conf_notes(void)
{
	conf_problems(remark);
}

int cmd_config(int argc, char **argv)
{
	static const struct option options[] = {
		{ "check", no_argument, NULL, 'c' },
		CMD_OPTIONS
	};
	bool checking = false;
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		if (c == 'c') {
			checking = true;
			continue;
		}
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (argc - optind > 1)
		return cmd_usage(argv, "config takes one %s, or none", checking ? "FILE" : "KEY");
	if (checking)
		return check(argv[optind]);
	cmd_conf_notes();
	return optind < argc ? show_one(argv[optind]) : out_json ? show_json() : show();
}
