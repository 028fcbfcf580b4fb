// SPDX-License-Identifier: GPL-2.0
#include "tap.h"

#include <stdarg.h>
#include <stdio.h>

static unsigned int nr, failed;

static void line(const char *head, const char *fmt, va_list ap, const char *tail)
{
	fputs(head, stdout);
	vprintf(fmt, ap);
	fputs(tail, stdout);
	fflush(stdout);
}

bool ok(bool good, const char *fmt, ...)
{
	char head[40];
	va_list ap;

	snprintf(head, sizeof(head), "%sok %u - ", good ? "" : "not ", ++nr);
	failed += !good;
	va_start(ap, fmt);
	line(head, fmt, ap, "\n");
	va_end(ap);
	return good;
}

void skip(const char *fmt, ...)
{
	char head[40];
	va_list ap;

	snprintf(head, sizeof(head), "ok %u # SKIP ", ++nr);
	va_start(ap, fmt);
	line(head, fmt, ap, "\n");
	va_end(ap);
}

void diag(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	line("# ", fmt, ap, "\n");
	va_end(ap);
}

int done(void)
{
	printf("1..%u\n", nr);
	return failed || !nr;
}
