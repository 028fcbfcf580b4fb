// SPDX-License-Identifier: GPL-2.0
/* Some of an image's processes: what is kept for a task, and nothing that is not there. */
#include <stdio.h>
#include <string.h>

#include "image/image.h"
#include "out.h"
#include "synthetic.h"
#include "tap.h"

/* The synthetic image's second process as a task, which it is a child of the first of. */
static const pid_t both[] = { SYNTHETIC_PID, SYNTHETIC_PID + 1 };
static const pid_t child[] = { SYNTHETIC_PID + 1 };

static struct image *get(void)
{
	struct image *img;

	if (synthetic_write(scratch(), "s", 1, 1) || open_quietly(&img, scratch_image("s"), NULL, 0))
		return NULL;
	return img;
}

/* Of the second file, which is the temporary one: are these its contents? */
static bool has_its_contents(const struct image *img)
{
	const struct image_file *file = &img->files[1];

	return img->nr_files == 3 && image_is_temporary(file) && file->shm < img->nr_shms &&
	       img->shms[file->shm].temp && img->shms[file->shm].rec->id == file->rec->object;
}

/* Nobody maps the shared memory. */
static void unmap(struct image *img)
{
	size_t i, n;

	for (i = 0; i < img->nr_processes; i++)
		for (n = 0; n < img->processes[i].nr_vmas; n++)
			if (img->processes[i].vmas[n].rec->kind == CKPT_VMA_SHM)
				((struct ckpt_rec_vma *)img->processes[i].vmas[n].rec)->kind =
					CKPT_VMA_ANON;
}

static void tasks(void)
{
	struct image *img = get();

	ok(img && image_select(img, both, 2, 0) == CK_OK && img->nr_processes == 2 &&
	   img->nr_relaunched == 1 && img->nr_zombies == 1 && img->processes[0].rec->pid == SYNTHETIC_PID &&
	   img->processes[1].rec->pid == SYNTHETIC_ANEW, "a task has its descendants, but for other tasks");
	image_close(img);
	img = get();
	ok(img && image_select(img, both, 2, 1) == CK_OK && img->nr_processes == 1 && !img->nr_zombies &&
	   !img->nr_relaunched && img->processes[0].rec->pid == SYNTHETIC_PID + 1,
	   "so has one that descends from another");
	image_close(img);
	img = get();
	ok(img && image_select(img, child, 1, 0) == CK_OK && img->nr_processes == 3 &&
	   img->processes[0].rec->pid == SYNTHETIC_PID + 1, "the only one has all, and comes first");
	image_close(img);
}

static void temporary_files(void)
{
	struct image *img = get();

	ok(img && image_select(img, both, 2, 1) == CK_OK && img->nr_shms == 2 && has_its_contents(img),
	   "a temporary file has its contents");
	image_close(img);
	img = get();
	if (img)
		unmap(img);
	ok(img && image_select(img, both, 2, 1) == CK_OK && img->nr_shms == 1 && has_its_contents(img),
	   "also where others are gone");
	image_close(img);
}

/* As if nobody had it open. */
static void close_file(struct image *img)
{
	((struct ckpt_rec_file *)img->files[1].rec)->object = 0;
	((struct ckpt_rec_tempfile *)img->shms[1].temp)->flags = CKPT_TEMPFILE_CLOSED;
}

static void closed_files(void)
{
	size_t at;

	for (at = 0; at < 2; at++) {
		struct image *img = get();

		if (img)
			close_file(img);
		ok(img && image_select(img, both, 2, at) == CK_OK && img->nr_shms == 2 - at,
		   "one that nobody has open is task %zu's: %s", at, at ? "no" : "yes");
		image_close(img);
	}
}

static void wrong(void)
{
	const pid_t roots[] = { SYNTHETIC_PID + 7, SYNTHETIC_ANEW };
	char sentence[512];
	size_t at;

	for (at = 0; at < 2; at++) {
		struct image *img = get();
		int rc;

		fail_capture(sentence, sizeof(sentence));
		rc = img ? image_select(img, roots, 2, at) : CK_OK;
		fail_capture(NULL, 0);
		ok(rc == CK_DAMAGED, "a task that cannot be: %s", sentence);
		image_close(img);
	}
}

int main(void)
{
	tasks();
	temporary_files();
	closed_files();
	wrong();
	scratch_remove();
	return done();
}
