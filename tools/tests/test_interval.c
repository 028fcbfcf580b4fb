// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <string.h>

#include "interval.h"
#include "out.h"
#include "tap.h"

static const struct {
	const char *text;
	uint64_t seconds;
} good[] = {
	{ "1", 60 }, { "90", 5400 }, { "007", 420 },
	{ "0:01", 1 }, { "1:30", 90 }, { "1:99", 159 }, { "90:00", 5400 },
	{ "1:00:00", 3600 }, { "0:0:5", 5 }, { "100:59:59", 363599 },
	{ "1-0", 86400 }, { "0-36", 129600 },
	{ "1-12:30", 131400 }, { "2-0:0", 172800 },
	{ "1-2:3:4", 93784 }, { "0-0:0:1", 1 },
	{ "0", 0 }, { "0:00", 0 },
	{ "24855-3:14:06", 2147483646 },
};

static const char *const bad[] = {
	"", " ", "1 ", " 1", "+1", "-1", "1h", "1m", "1:", ":1", "1::2", "1:2:3:4", "1-", "-1:00",
	"1-2:3:4:5", "1-2-3", "1:2-3", "1-:2", "1.5", "0x10", "INFINITE", "UNLIMITED", "1\n", "1-2:",
	"1-2:3:", "١", "24855-3:14:07", "99999999999999999999", "18446744073709551616",
	"9999999999-0", "213503982334602-0", "35791395", "1:2147483647",
};

int main(void)
{
	char sentence[512];
	uint64_t seconds;
	size_t i;
	int rc;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		seconds = ~0ULL;
		rc = interval_parse(good[i].text, &seconds);
		ok(rc == CK_OK && seconds == good[i].seconds, "\"%s\" is %" PRIu64 " s (%d, %" PRIu64
		   ")", good[i].text, good[i].seconds, rc, seconds);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fail_capture(sentence, sizeof(sentence));
		rc = interval_parse(bad[i], &seconds);
		fail_capture(NULL, 0);
		ok(rc == CK_USAGE && strstr(sentence, bad[i]), "refused: %zu", i);
	}
	fail_capture(sentence, sizeof(sentence));
	interval_parse("soon", &seconds);
	fail_capture(NULL, 0);
	ok(strstr(sentence, "\"soon\"") && strstr(sentence, "days-hours:minutes:seconds") &&
	   strstr(sentence, "minutes:seconds"), "the refusal names the text and the forms");
	return done();
}
