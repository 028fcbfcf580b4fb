/* SPDX-License-Identifier: GPL-2.0 */
/* The two halves of `ckctl show`: one image of a cgroup, and that of a job. */
#ifndef CKCTL_SHOW_H
#define CKCTL_SHOW_H

#include <jansson.h>

struct image;
struct parts;

int show_image(const struct image *img);
json_t *show_image_json(const struct image *img);
int show_job(const struct parts *p);
json_t *show_job_json(const struct parts *p);

/* Local time with its zone in @buf; "-" for what is none. */
const char *show_time(int64_t seconds, char *buf, size_t size);

#endif
