/* SPDX-License-Identifier: GPL-2.0 */
/* What the two kinds of manifest have in common below the surface.  put_*
 * return NULL when out of memory, get_* false for what cannot be. */
#ifndef CKCTL_IMAGE_MANIFEST_JSON_H
#define CKCTL_IMAGE_MANIFEST_JSON_H

#include <jansson.h>

#include "manifest.h"

json_t *put_hex64(uint64_t value);
bool get_hex64(const json_t *value, uint64_t *to);
bool get_u32(const json_t *value, uint32_t *to);
bool get_u64(const json_t *value, uint64_t *to);
json_t *put_file(const struct manifest_file *file, bool hashed);
bool get_file(const json_t *files, const char *name, struct manifest_file *file, bool hashed);

/* manifest_job.c: what a generation of an image of a job has besides number and meta. */
int put_job(json_t *object, const struct manifest_generation *g);
bool get_job(const json_t *object, struct manifest_generation *g);
void free_job(struct manifest_generation *g);

#endif
