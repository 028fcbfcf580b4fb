/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a site has decided: lines of key = value in one file, '#' before a
 * comment.  A file that is not there decides nothing, nor does one that anybody
 * but root could have written.  What is wrong in it is told by conf_problems();
 * a line that is wrong decides nothing.
 */
#ifndef CKCTL_CONF_H
#define CKCTL_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONF_PATH	CKPT_SYSCONFDIR "/ckpt/ckpt.conf"

enum conf_kind {
	CONF_NUMBER,
	CONF_SIZE,		/* bytes: 10G */
	CONF_INTERVAL,		/* as --checkpoint takes it */
	CONF_SWITCH,		/* yes or no */
	CONF_LIST,		/* words, with commas or blanks between them */
	CONF_DIR,		/* an absolute path, with %u and %j */
};

struct conf_setting {
	const char *name;
	enum conf_kind kind;
	uint64_t min, max;
	const char *otherwise;	/* what holds without it, for people */
	/* Of the file: */
	unsigned int line;	/* 0: it is not there */
	char *text;		/* the value as it is there */
	uint64_t number;	/* what it stands for; a switch is 0 or 1 */
};

/* The value of @key, or @otherwise. */
uint64_t conf_number(const char *key, uint64_t otherwise);
/* Its text; NULL without one. */
const char *conf_text(const char *key);

/* All settings that there are, of the file or not. */
const struct conf_setting *conf_settings(size_t *nr);
const struct conf_setting *conf_setting(const char *key);	/* NULL for no such key */
/* Why the file decides nothing, as the rest of a sentence; NULL when it does. */
const char *conf_ignored(void);
/* Call @tell for each thing that is wrong, with a sentence: how many? */
size_t conf_problems(void (*tell)(const char *sentence));

/* From now on @path instead of CONF_PATH; with @any, whoever could have written it. */
void conf_use(const char *path, bool any);
const char *conf_path(void);

#endif
