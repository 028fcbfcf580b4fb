// SPDX-License-Identifier: GPL-2.0
#include "parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cmd.h"
#include "out.h"

/* Each part has two files open. */
static void raise_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

static int open_all(struct parts *p)
{
	int rc = CK_OK;

	p->images = calloc(p->job->nr_parts, sizeof(*p->images));
	if (!p->images)
		return fail(CK_FAILED, "out of memory");
	while (rc == CK_OK && p->nr < p->job->nr_parts) {
		rc = job_image_part(p->job, &p->job->parts[p->nr], &p->images[p->nr]);
		p->nr += rc == CK_OK;
	}
	return rc;
}

int parts_open_job(struct parts *p, const char *path)
{
	struct capture outer;
	char sentence[1024];
	bool again;
	int rc;

	raise_limit();
	/* A newer checkpoint may take this one away while its parts are opened. */
	do {
		memset(p, 0, sizeof(*p));
		rc = job_image_open(&p->job, path);
		if (rc)
			return rc;
		outer = fail_capture(sentence, sizeof(sentence));
		rc = open_all(p);
		fail_restore(outer);
		again = rc && job_image_replaced(p->job);
		if (rc)
			parts_close(p);
	} while (again);
	return rc ? fail(rc, "%s", sentence) : CK_OK;
}

int parts_open(struct parts *p, char *path, size_t size, const char *arg)
{
	enum image_kind kind;
	int rc = cmd_image_path(path, size, arg);

	memset(p, 0, sizeof(*p));
	if (rc == CK_OK)
		rc = image_kind_of(path, &kind);
	if (rc)
		return rc;
	if (kind == IMAGE_JOB)
		return parts_open_job(p, path);
	p->images = calloc(1, sizeof(*p->images));
	if (!p->images)
		return fail(CK_FAILED, "out of memory");
	rc = image_open(p->images, path);
	p->nr = rc == CK_OK;
	if (rc)
		parts_close(p);
	return rc;
}

void parts_close(struct parts *p)
{
	size_t i;

	for (i = 0; i < p->nr; i++)
		image_close(p->images[i]);
	free(p->images);
	job_image_close(p->job);
	memset(p, 0, sizeof(*p));
}
