// SPDX-License-Identifier: GPL-2.0
#include "story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/registry.h"
#include "json.h"

static const char *file_name(char *buf, size_t size, const char *name)
{
	snprintf(buf, size, "%s.restart", name);
	return buf;
}

json_t *story_json(const struct story *s)
{
	char manifest[24];

	/* JSON's numbers are signed. */
	snprintf(manifest, sizeof(manifest), "%016" PRIx64, s->manifest);
	return json_pack("{s:I, s:o, s:o, s:I, s:s, s:b, s:I, s:o, s:o}", "time", (json_int_t)s->time, "node",
			 json_text(s->node), "image", json_text(s->image), "generation",
			 (json_int_t)s->generation, "manifest", manifest, "continued",
			 (int)s->continued, "failures", (json_int_t)s->failures, "sentence",
			 *s->sentence ? json_text(s->sentence) : json_null(), "notes",
			 s->notes ? json_incref(s->notes) : json_array());
}

int story_write(const char *cluster, const char *name, const struct story *s)
{
	char file[300];

	return registry_store(cluster, file_name(file, sizeof(file), name), story_json(s));
}

static void text(char *buf, size_t size, const json_t *root, const char *key)
{
	const char *value = json_string_value(json_object_get(root, key));

	snprintf(buf, size, "%s", value ? value : "");
}

void story_read(const char *cluster, const char *name, struct story *s)
{
	char file[300], manifest[24];
	json_t *root = registry_load(cluster, file_name(file, sizeof(file), name));

	memset(s, 0, sizeof(*s));
	if (!root)
		return;
	s->time = json_integer_value(json_object_get(root, "time"));
	text(s->node, sizeof(s->node), root, "node");
	text(s->image, sizeof(s->image), root, "image");
	s->generation = (uint32_t)json_integer_value(json_object_get(root, "generation"));
	text(manifest, sizeof(manifest), root, "manifest");
	s->manifest = strtoull(manifest, NULL, 16);
	s->continued = json_is_true(json_object_get(root, "continued"));
	s->failures = (unsigned int)json_integer_value(json_object_get(root, "failures"));
	text(s->sentence, sizeof(s->sentence), root, "sentence");
	s->notes = json_incref(json_object_get(root, "notes"));
	json_decref(root);
}

void story_free(struct story *s)
{
	json_decref(s->notes);
	s->notes = NULL;
}

void story_add(const char *cluster, const char *name, uint32_t rank, struct story *s)
{
	char task[128], file[300];

	snprintf(task, sizeof(task), "%s.%" PRIu32, name, rank);
	if (json_array_size(s->notes))
		story_write(cluster, task, s);
	else
		registry_remove(cluster, file_name(file, sizeof(file), task));
}

/* ---- of all tasks ---- */

struct gathering {
	const char *cluster, *name;
	const struct story *of;
	json_t *notes;
};

static bool has(const json_t *notes, const json_t *sentence)
{
	const json_t *item;
	size_t i;

	json_array_foreach(notes, i, item)
		if (json_equal(item, sentence))
			return true;
	return false;
}

static void gather(void *arg, const char *name)
{
	const struct gathering *g = arg;
	size_t len = strlen(g->name), i;
	struct story s;
	json_t *item;

	if (strncmp(name, g->name, len) != 0 || (name[len] && name[len] != '.'))
		return;
	story_read(g->cluster, name, &s);
	json_array_foreach(s.notes, i, item)
		if (s.manifest == g->of->manifest && s.generation == g->of->generation &&
		    !has(g->notes, item))
			json_array_append(g->notes, item);
	story_free(&s);
}

json_t *story_notes(const char *cluster, const char *name, const struct story *s)
{
	struct gathering g = {
		.cluster = cluster, .name = name, .of = s, .notes = json_array(),
	};

	registry_each(cluster, "restart", gather, &g);
	return g.notes;
}
