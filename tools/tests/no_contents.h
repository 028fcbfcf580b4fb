/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For a test that has an image_put() of its own, where records go that are looked
 * at: what else would stand in for image/write.c.
 */
#ifndef TESTS_NO_CONTENTS_H
#define TESTS_NO_CONTENTS_H

#include "image/image.h"
#include "out.h"

/* There are no contents of files. */
int image_scratch(struct image_writer *w)
{
	(void)w;
	return -1;
}

int image_content_begin(struct image_content **c, struct image_writer *w, uint64_t id)
{
	(void)c;
	(void)w;
	(void)id;
	return CK_FAILED;
}

int image_content_add(struct image_content *c, int fd, uint64_t from, uint64_t len)
{
	(void)c;
	(void)fd;
	(void)from;
	(void)len;
	return CK_FAILED;
}

int image_content_end(struct image_content *c, int rc, uint64_t *bytes)
{
	(void)c;
	(void)bytes;
	return rc;
}

#endif
