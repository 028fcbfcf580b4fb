// SPDX-License-Identifier: GPL-2.0
/* Arrays that grow, and objects by id. */
#include "parse.h"

#include <stdlib.h>
#include <string.h>

#include "out.h"

void *grow(void *array, size_t *nr, size_t size)
{
	void **at = array;
	char *bigger;

	/* The capacity is the next power of two, so it need not be stored. */
	if ((*nr & (*nr - 1)) == 0) {
		bigger = realloc(*at, (*nr ? 2 * *nr : 1) * size);
		if (!bigger)
			return NULL;
		*at = bigger;
	}
	bigger = (char *)*at + *nr * size;
	memset(bigger, 0, size);
	(*nr)++;
	return bigger;
}

int id_map_add(struct id_map *map, uint64_t id, size_t index)
{
	struct id_entry *entry = grow(&map->entries, &map->nr, sizeof(*entry));

	if (!entry)
		return fail(CK_FAILED, "out of memory");
	entry->id = id;
	entry->index = index;
	return CK_OK;
}

static int compare_ids(const void *a, const void *b)
{
	const struct id_entry *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

bool id_map_sort(struct id_map *map, uint64_t *id)
{
	size_t i;

	if (map->nr)
		qsort(map->entries, map->nr, sizeof(*map->entries), compare_ids);
	for (i = 1; i < map->nr; i++)
		if (map->entries[i].id == map->entries[i - 1].id) {
			*id = map->entries[i].id;
			return false;
		}
	return true;
}

size_t id_map_find(const struct id_map *map, uint64_t id)
{
	struct id_entry key = { .id = id };
	struct id_entry *entry = NULL;

	if (map->nr)
		entry = bsearch(&key, map->entries, map->nr, sizeof(key), compare_ids);
	return entry ? entry->index : SIZE_MAX;
}

void id_map_free(struct id_map *map)
{
	free(map->entries);
	map->entries = NULL;
	map->nr = 0;
}
