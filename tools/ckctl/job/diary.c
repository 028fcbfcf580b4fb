// SPDX-License-Identifier: GPL-2.0
#include "diary.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "registry.h"

static const char *file_name(char *buf, size_t size, const char *name)
{
	snprintf(buf, size, "%s.status", name);
	return buf;
}

static json_t *time_or_null(int64_t time)
{
	return time ? json_integer(time) : json_null();
}

json_t *diary_json(const struct diary *d)
{
	json_t *last = json_null(), *failure = json_null();

	if (d->last.time)
		last = json_pack("{s:I, s:o, s:I, s:I, s:o, s:f, s:o}", "time", (json_int_t)d->last.time,
				 "image", json_text(d->last.image), "tasks",
				 (json_int_t)d->last.tasks, "bytes", (json_int_t)d->last.bytes,
				 "seconds", d->last.seconds < 0 ? json_null() :
				 json_real(d->last.seconds), "standstill_ms", d->last.standstill_ms,
				 "notes", d->last.notes ? json_incref(d->last.notes) : json_array());
	if (d->failure.time)
		failure = json_pack("{s:I, s:i, s:o}", "time", (json_int_t)d->failure.time, "count",
				    (int)d->failure.count, "sentence", json_text(d->failure.sentence));
	return json_pack("{s:o, s:i, s:o, s:I, s:o, s:o, s:o, s:o, s:o}", "node", json_text(d->node),
			 "pid", (int)d->pid, "image_dir", json_text(d->image_dir),
			 "interval", (json_int_t)d->interval_s, "started", time_or_null(d->started),
			 "next", time_or_null(d->next), "ended", time_or_null(d->ended),
			 "last", last, "failure", failure);
}

int diary_write(const char *cluster, const char *name, const struct diary *d)
{
	char file[300];

	return registry_store(cluster, file_name(file, sizeof(file), name), diary_json(d));
}

static void text(char *buf, size_t size, const json_t *root, const char *key)
{
	const char *value = json_string_value(json_object_get(root, key));

	snprintf(buf, size, "%s", value ? value : "");
}

static int64_t number(const json_t *root, const char *key)
{
	return json_integer_value(json_object_get(root, key));
}

bool diary_read(const char *cluster, const char *name, struct diary *d)
{
	const json_t *last, *failure;
	char file[300];
	json_t *root = registry_load(cluster, file_name(file, sizeof(file), name));

	if (!root)
		return false;
	memset(d, 0, sizeof(*d));
	text(d->node, sizeof(d->node), root, "node");
	d->pid = (pid_t)number(root, "pid");
	text(d->image_dir, sizeof(d->image_dir), root, "image_dir");
	d->interval_s = (uint64_t)number(root, "interval");
	d->started = number(root, "started");
	d->next = number(root, "next");
	d->ended = number(root, "ended");
	last = json_object_get(root, "last");
	d->last.time = number(last, "time");
	text(d->last.image, sizeof(d->last.image), last, "image");
	d->last.bytes = (uint64_t)number(last, "bytes");
	d->last.tasks = (uint64_t)number(last, "tasks");
	d->last.seconds = json_number_value(json_object_get(last, "seconds"));
	d->last.standstill_ms = json_number_value(json_object_get(last, "standstill_ms"));
	d->last.notes = json_incref(json_object_get(last, "notes"));
	failure = json_object_get(root, "failure");
	d->failure.time = number(failure, "time");
	d->failure.count = (unsigned int)number(failure, "count");
	text(d->failure.sentence, sizeof(d->failure.sentence), failure, "sentence");
	json_decref(root);
	return true;
}

void diary_free(struct diary *d)
{
	json_decref(d->last.notes);
	d->last.notes = NULL;
}
