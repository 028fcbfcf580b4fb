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
