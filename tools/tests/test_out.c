// SPDX-License-Identifier: GPL-2.0
/* What people and scripts read: numbers, exit codes, JSON of any bytes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "tap.h"

static void text(const char *from, const char *to)
{
	json_t *value = json_text(from);

	ok(value && strcmp(json_string_value(value), to) == 0, "JSON text \"%s\"", to);
	json_decref(value);
}

static char heard[64];

static bool hear(const char *sentence, bool done)
{
	snprintf(heard, sizeof(heard), "%s%s", sentence, done ? " (done)" : "");
	return false;
}

int main(void)
{
	char sentence[64];

	ok(strcmp(human_bytes(0), "0 B") == 0, "0 bytes");
	ok(strcmp(human_bytes(1023), "1023 B") == 0, "1023 bytes");
	ok(strcmp(human_bytes(1536), "1.5 KiB") == 0, "1.5 KiB");
	ok(strcmp(human_bytes((1 << 20) - 1), "1.0 MiB") == 0, "one byte less than 1 MiB is not 1024.0 KiB");
	ok(strcmp(human_bytes(~0ULL), "16.0 EiB") == 0, "2^64 - 1 bytes");
	ok(strcmp(human_ns(999), "999 ns") == 0, "ns");
	ok(strcmp(human_ns(12345678), "12.3 ms") == 0, "ms");
	ok(strcmp(human_ns(2500000000), "2.50 s") == 0, "s");

	fail_capture(sentence, sizeof(sentence));
	ok(fail(CK_BUSY, "x %d", 1) == CK_BUSY && strcmp(sentence, "x 1") == 0, "fail()");
	ok(fail_errno(ENOSPC, "y") == CK_IO && strcmp(sentence, "y: No space left on device") == 0,
	   "fail_errno()");
	fail(CK_FAILED, "%0100d", 1);
	ok(strlen(sentence) == sizeof(sentence) - 1, "a sentence that is too long is cut");
	fail_capture(NULL, 0);

	ok(exit_from_errno(EACCES) == CK_PERM && exit_from_errno(EPERM) == CK_PERM, "rights");
	ok(exit_from_errno(EOPNOTSUPP) == CK_REFUSED, "refused");
	ok(exit_from_errno(ETIME) == CK_TIMEOUT && exit_from_errno(ETIMEDOUT) == CK_TIMEOUT, "time");
	ok(exit_from_errno(EIO) == CK_IO && exit_from_errno(EDQUOT) == CK_IO, "I/O");
	ok(exit_from_errno(EBUSY) == CK_BUSY, "busy");
	ok(exit_from_errno(ESRCH) == CK_NOTFOUND && exit_from_errno(ENOENT) == CK_NOTFOUND &&
	   exit_from_errno(EBADF) == CK_NOTFOUND, "not found");
	ok(exit_from_errno(EINVAL) == CK_FAILED && exit_from_errno(99999) == CK_FAILED, "the rest");

	out_hear = hear;
	note("x %d", 1);
	ok(strcmp(heard, "x 1") == 0, "who listens hears a note");
	out_quiet = true;
	note_done("y");
	ok(strcmp(heard, "y (done)") == 0, "of any kind, with -q as well");
	out_hear = NULL;

	text("", "");
	text("plain", "plain");
	text("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
	text("\xff", "\xef\xbf\xbd");
	text("a\xc3", "a\xef\xbf\xbd");
	text("\xe2\x82z", "\xef\xbf\xbd\xef\xbf\xbdz");
	text("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	text("\xf4\x90\x80\x80x", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx");
	return done();
}
