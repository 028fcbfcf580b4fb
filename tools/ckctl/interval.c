// SPDX-License-Identifier: GPL-2.0
#include "interval.h"

#include <stdbool.h>
#include <string.h>

#include "out.h"

/* The six forms: 'd', 'h', 'm', 's' stand for a number each. */
static const char *const forms[] = { "m", "m:s", "h:m:s", "d-h", "d-h:m", "d-h:m:s" };

static uint64_t unit(char letter)
{
	switch (letter) {
	case 'd':
		return 86400;
	case 'h':
		return 3600;
	case 'm':
		return 60;
	default:
		return 1;
	}
}

/* A run of digits, at most INTERVAL_MAX; false when there is none. */
static bool number(const char **text, uint64_t *value)
{
	const char *at = *text;

	for (*value = 0; *at >= '0' && *at <= '9'; at++) {
		*value = *value * 10 + (uint64_t)(*at - '0');
		/* Too large already, and the sum of all stays far below 2^64. */
		if (*value > INTERVAL_MAX)
			*value = INTERVAL_MAX;
	}
	if (at == *text)
		return false;
	*text = at;
	return true;
}

static bool matches(const char *form, const char *text, uint64_t *seconds)
{
	*seconds = 0;
	for (; *form; form++) {
		uint64_t value;

		if (*form == ':' || *form == '-') {
			if (*text++ != *form)
				return false;
			continue;
		}
		if (!number(&text, &value))
			return false;
		*seconds += value * unit(*form);
	}
	return !*text;
}

int interval_parse(const char *text, uint64_t *seconds)
{
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (matches(forms[i], text, seconds))
			return *seconds < INTERVAL_MAX ? CK_OK :
			       fail(CK_USAGE, "the interval \"%s\" is longer than %d days", text,
				    INTERVAL_MAX / 86400);
	return fail(CK_USAGE, "\"%s\" is no interval; accepted are minutes, minutes:seconds, "
		    "hours:minutes:seconds, days-hours, days-hours:minutes and "
		    "days-hours:minutes:seconds", text);
}
