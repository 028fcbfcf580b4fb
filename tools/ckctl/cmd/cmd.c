// SPDX-License-Identifier: GPL-2.0
/* What the command lines of all commands have in common. */
#include "cmd.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "job/job.h"
#include "job/target.h"
#include "out.h"

int cmd_option(int c, const char *usage)
{
	switch (c) {
	case CMD_JSON:
		out_json = true;
		return CMD_GO_ON;
	case 'q':
		out_quiet = true;
		return CMD_GO_ON;
	case 'h':
		fputs(usage, stdout);
		return CK_OK;
	default:
		return CK_USAGE;
	}
}

int cmd_usage(char **argv, const char *fmt, ...)
{
	char *sentence = NULL;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	if (vasprintf(&sentence, fmt, ap) < 0)
		sentence = NULL;
	va_end(ap);
	rc = fail(CK_USAGE, "%s; see \"%s --help\"", sentence ? sentence : "out of memory", argv[0]);
	free(sentence);
	return rc;
}

/* Something that image_open() takes is there: a directory, perhaps "@<n>" of it. */
static bool exists(const char *path)
{
	const char *at = strrchr(path, '@');
	char image[4400];

	if (access(path, F_OK) == 0)
		return true;
	if (!at)
		return false;
	snprintf(image, sizeof(image), "%.*s", (int)(at - path), path);
	return access(image, F_OK) == 0;
}

int cmd_image_path(char *buf, size_t size, const char *arg)
{
	const char *generation = strrchr(arg, '@');
	char name[4400];
	size_t len;
	int rc;

	if (!*arg)
		return fail(CK_USAGE, "an empty text names no image");
	if (strchr(arg, '/') || exists(arg) || strstr(arg, ".ckpt@") ||
	    (strlen(arg) > 5 && strcmp(arg + strlen(arg) - 5, ".ckpt") == 0)) {
		if (strlen(arg) >= size)
			return fail(CK_USAGE, "the path of the image is too long");
		strcpy(buf, arg);
		return CK_OK;
	}
	/* "job@3" is generation 3 of job.ckpt, unless the job has that name. */
	rc = image_path(buf, size, ".", arg);
	if (rc || exists(buf) || !generation)
		return rc;
	snprintf(name, sizeof(name), "%.*s", (int)(generation - arg), arg);
	rc = image_path(buf, size, ".", name);
	len = strlen(buf);
	if (rc == CK_OK && len + strlen(generation) < size)
		strcpy(buf + len, generation);
	return rc;
}

int cmd_target(int argc, char **argv, const char *usage, struct target *t, struct job *job,
	       bool *over)
{
	static const struct option options[] = { CMD_TARGET_OPTIONS };
	int c, rc;

	*over = true;
	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		if (c == 'c') {
			t->cgroup = optarg;
			continue;
		}
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	for (; optind < argc; optind++)
		if (target_operand(t, argv[optind]))
			return CK_USAGE;
	rc = target_find(t, job);
	*over = rc != CK_OK;
	return rc;
}

void cmd_request(struct checkpoint_request *req, const struct target *t, const struct job *job)
{
	req->cgroup = job->cgroup;
	req->streams = &job->streams;
	req->nr_streams = 1;
	req->id = job->id;
	req->max_wait_ms = t->max_wait_ms;
}
