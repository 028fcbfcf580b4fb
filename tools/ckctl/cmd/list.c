// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "image/image.h"
#include "json.h"
#include "out.h"

static const char usage[] =
	"Usage: ckctl list [--json] [DIR]\n"
	"List the images in DIR, by default the current directory.\n\n"
	"The state of an image is \"complete\", \"writing\" while a checkpoint is under way,\n"
	"\"empty\" when none was ever completed, \"damaged\", \"foreign\" when it is not yours to\n"
	"read, or \"unknown\" when it is of another format.  That of a whole job has its nodes\n"
	"as its host.  List reads only the manifests: \"ckctl verify\" proves an image.\n";

/* What is listed of one image. */
struct row {
	char *name;			/* without .ckpt */
	enum image_kind kind;
	struct image_meta meta;
	uint64_t bytes;
	bool writing;
	int rc;				/* of image_peek() */
	char problem[512];
};

static const char *state_of(const struct row *row)
{
	if (row->writing)
		return "writing";
	switch (row->rc) {
	case CK_OK:
		return "complete";
	case CK_DAMAGED:
		return "damaged";
	case CK_NOTFOUND:
		return "empty";
	case CK_PERM:
		return "foreign";
	default:
		return "unknown";
	}
}

static const char *age_of(int64_t time_then, char *buf, size_t size)
{
	int64_t seconds = (int64_t)time(NULL) - time_then;

	if (seconds < 0)
		snprintf(buf, size, "-");
	else if (seconds < 120)
		snprintf(buf, size, "%" PRId64 " s", seconds);
	else if (seconds < 7200)
		snprintf(buf, size, "%" PRId64 " min", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(buf, size, "%" PRId64 " h", seconds / 3600);
	else
		snprintf(buf, size, "%" PRId64 " d", seconds / 86400);
	return buf;
}

static void print_row(const struct row *row, int width)
{
	const struct image_meta *meta = &row->meta;
	char when[32] = "-", age[32] = "-";
	time_t seconds = (time_t)meta->time;
	struct tm tm;

	if (row->rc == CK_OK && localtime_r(&seconds, &tm)) {
		strftime(when, sizeof(when), "%F %T", &tm);
		age_of(meta->time, age, sizeof(age));
	}
	print_text(row->name);
	printf("%*s  %-19s  %8s  %7" PRIu64 "  %10s  %-8s  ", width - (int)strlen(row->name), "", when,
	       age, meta->nr_tasks, row->rc == CK_OK ? human_bytes(row->bytes) : "-", state_of(row));
	print_text(meta->host[0] ? meta->host : "-");
	putchar('\n');
}

static json_t *json_row(const struct row *row)
{
	const struct image_meta *meta = &row->meta;
	json_t *object = json_pack("{s:o, s:s}", "id", json_text(row->name), "state", state_of(row));

	if (row->rc == CK_OK && object)
		json_object_update_new(object, json_pack(
			"{s:s, s:I, s:I, s:I, s:I, s:o}", "kind",
			row->kind == IMAGE_JOB ? "job" : "cgroup", "time", (json_int_t)meta->time,
			"tasks", (json_int_t)meta->nr_tasks, "threads", (json_int_t)meta->nr_threads,
			"bytes", (json_int_t)row->bytes, "host", json_text(meta->host)));
	else if (object && row->problem[0])
		json_object_set_new(object, "problem", json_text(row->problem));
	return object;
}

static int is_image(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && entry->d_name[0] != '.' &&
	       strcmp(entry->d_name + len - 5, ".ckpt") == 0;
}

static int peek(const char *dir, struct dirent *entry, struct row *row)
{
	struct capture outer;
	char *path;

	if (asprintf(&path, "%s/%s", dir, entry->d_name) < 0)
		return fail(CK_FAILED, "out of memory");
	outer = fail_capture(row->problem, sizeof(row->problem));
	row->rc = image_peek(path, &row->kind, &row->meta, &row->bytes, &row->writing);
	fail_restore(outer);
	free(path);
	row->name = entry->d_name;
	entry->d_name[strlen(entry->d_name) - 5] = '\0';
	return CK_OK;
}

static int list(const char *dir)
{
	json_t *array = out_json ? json_array() : NULL;
	int width = 4, n, rc = CK_OK, i;
	struct dirent **entries;

	n = scandir(dir, &entries, is_image, versionsort);
	if (n < 0) {
		json_decref(array);
		return fail_errno(errno, "cannot list %s", dir);
	}
	for (i = 0; i < n; i++)
		if ((int)strlen(entries[i]->d_name) - 5 > width)
			width = (int)strlen(entries[i]->d_name) - 5;
	if (!out_json)
		printf("%-*s  %-19s  %8s  %7s  %10s  %-8s  %s\n", width, "NAME", "MADE", "AGE",
		       "TASKS", "SIZE", "STATE", "HOST");
	for (i = 0; i < n; i++) {
		/* One at a time: a meta is several kilobytes. */
		struct row row = { .rc = CK_OK };

		if (rc == CK_OK)
			rc = peek(dir, entries[i], &row);
		if (rc == CK_OK && out_json)
			json_array_append_new(array, json_row(&row));
		else if (rc == CK_OK)
			print_row(&row, width);
		free(entries[i]);
	}
	free(entries);
	if (out_json && rc == CK_OK)
		return json_print(array);
	json_decref(array);
	return rc;
}

int cmd_list(int argc, char **argv)
{
	static const struct option options[] = { CMD_OPTIONS };
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (argc - optind > 1)
		return cmd_usage(argv, "list takes one directory, not %d", argc - optind);
	return list(optind < argc ? argv[optind] : ".");
}
