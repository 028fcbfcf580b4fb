// SPDX-License-Identifier: GPL-2.0
#include "out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

bool out_json;
bool out_quiet;
bool (*out_hear)(const char *sentence, bool done);

static struct capture capture;

/* The first sentence that somebody got to read. */
static char first[1024];

/* A bar under way must not share its line with a sentence. */
static struct progress *running;

struct progress {
	const char *what;
	uint64_t total, start_ns, last_ns;
};

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

void print_text(const char *text)
{
	for (; *text; text++)
		putchar(is_control(*text) ? '?' : *text);
}

/* One write for the whole line: skeletons and the coordinator share stderr. */
static void say(const char *prefix, const char *sentence)
{
	size_t chars = strlen(sentence), i;
	char *line = NULL, *c;
	int len = asprintf(&line, "%sckctl: %s%s\n", running ? "\r\033[K" : "", prefix, sentence);

	if (len < 0)
		return;
	for (c = line + len - 1 - chars, i = 0; i < chars; i++)
		if (is_control(c[i]))
			c[i] = '?';
	fflush(stdout);
	while (write(STDERR_FILENO, line, (size_t)len) < 0 && errno == EINTR)
		;
	free(line);
}

static void tell(const char *sentence)
{
	if (capture.buf) {
		snprintf(capture.buf, capture.size, "%s", sentence);
		return;
	}
	if (!*first)
		snprintf(first, sizeof(first), "%s", sentence);
	say("", sentence);
}

static void vtell(const char *suffix, const char *fmt, va_list ap)
{
	char *sentence = NULL, *whole = NULL;

	if (vasprintf(&sentence, fmt, ap) < 0) {
		tell("out of memory");
		return;
	}
	if (!suffix)
		tell(sentence);
	else if (asprintf(&whole, "%s: %s", sentence, suffix) < 0)
		tell("out of memory");
	else
		tell(whole);
	free(whole);
	free(sentence);
}

int fail(enum ck_exit code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vtell(NULL, fmt, ap);
	va_end(ap);
	return code;
}

int fail_errno(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vtell(strerror(err), fmt, ap);
	va_end(ap);
	return exit_from_errno(err);
}

enum ck_exit exit_from_errno(int err)
{
	switch (err) {
	case 0:
		return CK_OK;
	case EPERM:
	case EACCES:
		return CK_PERM;
	case EOPNOTSUPP:
		return CK_REFUSED;
	case ETIME:
	case ETIMEDOUT:
		return CK_TIMEOUT;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case EIO:
	case EROFS:
	case ESTALE:
		return CK_IO;
	case ENOENT:
	case ENOTDIR:
	case ESRCH:
	case EBADF:
		return CK_NOTFOUND;
	case EBUSY:
		return CK_BUSY;
	default:
		return CK_FAILED;
	}
}

struct capture fail_capture(char *buf, unsigned int size)
{
	struct capture outer = capture;

	capture = (struct capture){ buf, size };
	if (buf && size)
		buf[0] = '\0';
	return outer;
}

struct capture fail_mute(void)
{
	static char nobody[1];

	return fail_capture(nobody, sizeof(nobody));
}

void fail_restore(struct capture outer)
{
	capture = outer;
}

const char *fail_first(void)
{
	return first;
}

static void vnote(bool done, const char *fmt, va_list ap)
{
	char *sentence = NULL;

	if ((out_quiet && !out_hear) || vasprintf(&sentence, fmt, ap) < 0)
		return;
	if ((!out_hear || out_hear(sentence, done)) && !out_quiet)
		say("note: ", sentence);
	free(sentence);
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vnote(false, fmt, ap);
	va_end(ap);
}

void note_done(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vnote(true, fmt, ap);
	va_end(ap);
}

struct progress *progress_start(const char *what, uint64_t total_bytes)
{
	struct progress *p;

	if (out_quiet || out_json || running || !isatty(STDERR_FILENO))
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->what = what;
	p->total = total_bytes;
	p->start_ns = clock_ns(CLOCK_MONOTONIC);
	running = p;
	return p;
}

void progress_update(struct progress *p, uint64_t bytes)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	double seconds, rate;
	unsigned int percent;

	/* Ten times a second is enough for an eye and nothing for a CPU. */
	if (!p || now - p->last_ns < 100000000)
		return;
	p->last_ns = now;
	seconds = (double)(now - p->start_ns) / 1e9;
	rate = seconds > 0 ? (double)bytes / seconds : 0;
	if (p->total < bytes || !p->total) {
		fprintf(stderr, "\r%s  %s  %s/s\033[K", p->what, human_bytes(bytes),
			human_bytes((uint64_t)rate));
		return;
	}
	percent = (unsigned int)((double)bytes / (double)p->total * 100);
	fprintf(stderr, "\r%s  [%.*s%*s] %3u%%  %s of %s  %s/s", p->what, (int)(percent / 5),
		"####################", (int)(20 - percent / 5), "", percent, human_bytes(bytes),
		human_bytes(p->total), human_bytes((uint64_t)rate));
	if (rate > 0) {
		uint64_t left = (uint64_t)((double)(p->total - bytes) / rate + 0.5);

		fprintf(stderr, "  %ju:%02ju left", (uintmax_t)(left / 60), (uintmax_t)(left % 60));
	}
	fputs("\033[K", stderr);
}

void progress_end(struct progress *p)
{
	if (!p)
		return;
	fputs("\r\033[K", stderr);
	running = NULL;
	free(p);
}

/* Several of these fit into one printf(). */
static char *ring(size_t *size)
{
	static __thread char buf[8][32];
	static __thread unsigned int next;

	*size = sizeof(buf[0]);
	return buf[next++ % 8];
}

const char *human_bytes(uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned int unit = 0;
	size_t size;
	char *buf = ring(&size);

	if (bytes < 1024) {
		snprintf(buf, size, "%u B", (unsigned int)bytes);
		return buf;
	}
	/* 1023.95 would be printed as "1024.0". */
	for (value /= 1024; value >= 1023.95 && unit < 5; value /= 1024)
		unit++;
	snprintf(buf, size, "%.1f %s", value, units[unit]);
	return buf;
}

const char *human_ns(uint64_t ns)
{
	size_t size;
	char *buf = ring(&size);

	if (ns < 1000)
		snprintf(buf, size, "%u ns", (unsigned int)ns);
	else if (ns < 1000000)
		snprintf(buf, size, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, size, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(buf, size, "%.2f s", (double)ns / 1e9);
	return buf;
}
