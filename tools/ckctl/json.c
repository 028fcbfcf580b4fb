// SPDX-License-Identifier: GPL-2.0
#include "json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"

int json_print(json_t *value)
{
	int rc = CK_OK;

	if (!value)
		return fail(CK_FAILED, "out of memory");
	if (json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) < 0 ||
	    putchar('\n') == EOF || fflush(stdout) == EOF)
		rc = fail_errno(errno, "cannot write the results");
	json_decref(value);
	return rc;
}

/* Length of the UTF-8 sequence that a first byte announces; 1 where it cannot be one. */
static size_t sequence(unsigned char c)
{
	return c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;
}

json_t *json_text(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	json_t *value = json_string(text);
	size_t len = strlen(text), n;
	char *copy, *to;

	if (value)
		return value;
	copy = malloc(3 * len + 1);
	if (!copy)
		return NULL;
	for (to = copy; len; text += n, len -= n) {
		json_t *part;

		n = sequence((unsigned char)*text);
		/* jansson is the judge of every sequence, as it was of the whole. */
		part = n <= len ? json_stringn(text, n) : NULL;
		if (part) {
			memcpy(to, text, n);
			to += n;
		} else {
			memcpy(to, replacement, 3);
			to += 3;
			n = 1;
		}
		json_decref(part);
	}
	value = json_stringn(copy, (size_t)(to - copy));
	free(copy);
	return value;
}
