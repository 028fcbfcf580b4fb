// SPDX-License-Identifier: GPL-2.0
#include "conf.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value in a line of @key, without blanks around; NULL for another line. */
static const char *value_in(char *line, const char *key)
{
	size_t len = strlen(key);
	char *end;

	line[strcspn(line, "#\n")] = '\0';
	line += strspn(line, " \t");
	if (strncmp(line, key, len) != 0)
		return NULL;
	line += len + strspn(line + len, " \t");
	if (*line++ != '=')
		return NULL;
	line += strspn(line, " \t");
	for (end = line + strlen(line); end > line && isspace((unsigned char)end[-1]); end--)
		end[-1] = '\0';
	return line;
}

static bool is_number(const char *text, uint64_t max, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && *number <= max;
}

uint64_t conf_number(const char *key, uint64_t otherwise, uint64_t max)
{
	FILE *file = fopen(CONF_PATH, "re");
	uint64_t number, found = otherwise;
	char *line = NULL;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0) {
		const char *value = value_in(line, key);

		if (value && is_number(value, max, &number))
			found = number;
	}
	free(line);
	if (file)
		fclose(file);
	return found;
}
