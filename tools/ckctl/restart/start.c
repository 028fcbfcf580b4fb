// SPDX-License-Identifier: GPL-2.0
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../out.h"
#include "../state/cred.h"

#define MAX_LAYOUTS	16

/* Why ids cannot be had here; r->why points to it. */
static char why[1024];

int start_again(void)
{
	static char text[128 * 1024];
	static char *args[4096];
	const char *tried = getenv("CKCTL_LAYOUTS");
	char number[16];
	size_t nr = 0, at;
	int fd, n = tried ? atoi(tried) : 0;
	ssize_t len;

	if (n >= MAX_LAYOUTS)
		return fail(CK_REFUSED, "the vdso of the saved processes lies where ckctl itself is "
			    "mapped; is address space randomization off?");
	snprintf(number, sizeof(number), "%d", n + 1);
	setenv("CKCTL_LAYOUTS", number, 1);
	fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (len <= 0)
		return fail_errno(errno, "cannot read my own command line");
	for (at = 0; at < (size_t)len && nr + 1 < sizeof(args) / sizeof(args[0]); nr++) {
		args[nr] = text + at;
		at += strlen(text + at) + 1;
	}
	if (len == sizeof(text) || at < (size_t)len)
		return fail(CK_REFUSED, "the command line is too long for ckctl to start itself again");
	execv("/proc/self/exe", args);
	return fail_errno(errno, "cannot execute ckctl again");
}

/* Whether the ids can be had here; if not, r->why says why, where that is no failure. */
static int check_ids(struct restart *r, enum start_pidns pidns)
{
	struct capture outer;
	int rc;

	if (pidns == START_ALWAYS)
		return CK_OK;
	/* A batch system says itself when a job has ended. */
	rc = r->slot ? CK_OK : restart_check_ended(r);
	if (rc)
		return rc;
	if (pidns == START_NEVER)
		return restart_check_ids(r);
	outer = fail_capture(why, sizeof(why));
	rc = restart_check_ids(r);
	fail_restore(outer);
	if (rc) {
		r->why = why;
		r->why_code = rc;
	}
	return CK_OK;
}

bool start_is_apart(const struct restart *r, enum start_pidns pidns)
{
	return r->why || pidns == START_ALWAYS || r->state.gives_away;
}

int start_look(struct restart *r, struct image *image, enum start_pidns pidns)
{
	int rc;

	r->image = image;
	r->state.image = image;
	rc = cred_look(&r->state);
	if (!rc)
		rc = nl_open(&r->nl);
	if (!rc)
		rc = restart_check(r);
	if (!rc)
		rc = check_ids(r, pidns);
	if (!rc)
		rc = restart_layout(r);
	if (!rc)
		rc = image_verify_pages(image, 0);
	return rc || start_is_apart(r, pidns) ? rc : restart_prepare(r);
}

/* In this process; an id that turns out to be taken leads to a second try. */
static int run_here(struct restart *r, enum start_pidns pidns)
{
	struct capture outer;
	int rc;

	if (pidns != START_AUTO)
		return restart_run(r);
	outer = fail_capture(why, sizeof(why));
	rc = restart_run(r);
	fail_restore(outer);
	if (rc == CK_BUSY) {
		r->why = why;
		r->why_code = rc;
	} else if (rc) {
		fail(rc, "%s", why);
	}
	return rc;
}

static int run_apart(struct restart *r, enum start_pidns pidns, struct started *started)
{
	int rc = apart_run(r, r->why || pidns == START_ALWAYS, &started->child, &started->status_fd);

	if (!rc && r->why)
		note_done("%s: the job runs in a pid namespace of its own, where all ids are as they "
			  "were", r->why);
	return rc;
}

int start_run(struct restart *r, enum start_pidns pidns, struct started *started)
{
	int rc;

	if (start_is_apart(r, pidns))
		return run_apart(r, pidns, started);
	rc = run_here(r, pidns);
	if (!rc)
		*started = (struct started){ r->main, -1 };
	return rc && r->why ? run_apart(r, pidns, started) : rc;
}
