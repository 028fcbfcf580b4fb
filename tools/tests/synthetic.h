/* SPDX-License-Identifier: GPL-2.0 */
/* A small image of a job that never was: everything an image can hold, once. */
#ifndef TESTS_SYNTHETIC_H
#define TESTS_SYNTHETIC_H

#include <stdbool.h>
#include <stdint.h>

#include "image/jobimage.h"

#define SYNTHETIC_PID	1000	/* and its child, one higher */
#define SYNTHETIC_ANEW	(SYNTHETIC_PID + 60)	/* its child, too: one that is started anew */

/* Of its temporary file: the second object, the second file. */
#define SYNTHETIC_TEMP_SIZE	0x3800

/* A directory for this test, removed by scratch_remove(). */
const char *scratch(void);
void scratch_remove(void);
/* "<scratch>/<name>.ckpt"; static. */
const char *scratch_image(const char *name);

/* Write a checkpoint whose pages are filled from @seed; an enum ck_exit. */
int synthetic_write(const char *dir, const char *id, uint32_t seed, unsigned int keep);
/* The same in steps. */
int synthetic_fill(struct image_writer *w, uint32_t seed, struct image_meta *meta);
/* The image holds what synthetic_write(…, @seed) wrote, all pages included. */
bool synthetic_matches(const struct image *img, uint32_t seed);
/* @fd holds what its temporary file held. */
bool synthetic_is_temp(int fd, uint32_t seed);
/* Open quietly: the exit code; the sentence is in @sentence (may be NULL). */
int open_quietly(struct image **img, const char *path, char *sentence, unsigned int size);
/* Open and verify all pages quietly. */
int prove_quietly(const char *path, char *sentence, unsigned int size);

/* The image of a job of three parts, each as above: batch on n1, step 0 on n1 and n2. */
int synthetic_job_write(const char *dir, const char *id, uint32_t seed, unsigned int keep);
/* The same in steps. */
int synthetic_job_fill(struct job_image_writer *w, uint32_t seed, struct image_meta *meta);
/* All of it is proved and is what synthetic_job_write(…, @seed) wrote. */
bool synthetic_job_matches(const struct job_image *img, uint32_t seed);
int open_job_quietly(struct job_image **img, const char *path, char *sentence, unsigned int size);
/* Open, and verify all parts, quietly. */
int prove_job_quietly(const char *path, char *sentence, unsigned int size);

#endif
