// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "out.h"
#include "parts.h"

static const char usage[] =
	"Usage: ckctl verify [--json] [-q] IMAGE[@GENERATION]\n"
	"Prove that an image is what was written: manifest, records, index and the data of\n"
	"every page, of all its generations or of one; of a whole job, of all its parts.\n"
	"IMAGE is a path, or a name looked up as NAME.ckpt in the current directory.\n";

/* What was proved. */
struct proof {
	const char *image;
	uint32_t newest;		/* its last generation, or the one that was asked for */
	size_t generations, parts;
	uint64_t bytes;
};

/* ---- the image of a cgroup ---- */

static int verify_image(const struct image *img, bool one, struct proof *proof)
{
	size_t first = one ? img->nr_generations - 1 : 0, i;
	int rc = image_verify_pages(img, 0);

	proof->image = img->path;
	proof->newest = img->generations[img->nr_generations - 1].number;
	proof->generations = img->nr_generations - first;
	for (i = first; i < img->nr_generations; i++)
		proof->bytes += img->generations[i].page_bytes + img->generations[i].index_bytes +
				img->generations[i].record_bytes;
	/* Those before the one that is open. */
	for (i = first; rc == CK_OK && i + 1 < img->nr_generations; i++) {
		struct image *older;
		char path[4500];

		snprintf(path, sizeof(path), "%s@%" PRIu32, img->path, img->generations[i].number);
		rc = image_open(&older, path);
		if (rc == CK_OK)
			rc = image_verify_pages(older, 0);
		image_close(older);
	}
	return rc;
}

/* ---- the image of a job ---- */

/* Every part as if it were the only one. */
static int verify_parts(const struct parts *p, struct proof *proof)
{
	struct proof part = { .bytes = 0 };
	size_t i;
	int rc = CK_OK;

	for (i = 0; rc == CK_OK && i < p->nr; i++)
		rc = verify_image(p->images[i], false, &part);
	proof->parts += p->nr;
	return rc;
}

static int verify_job(const struct parts *p, bool one, struct proof *proof)
{
	const struct job_image *job = p->job;
	size_t first = one ? job->nr_generations - 1 : 0, i;
	int rc = verify_parts(p, proof);

	proof->image = job->path;
	proof->newest = job->number;
	proof->generations = job->nr_generations - first;
	for (i = first; i < job->nr_generations; i++)
		proof->bytes += job->generations[i].bytes;
	for (i = first; rc == CK_OK && i + 1 < job->nr_generations; i++) {
		struct parts older;
		char path[4500];

		snprintf(path, sizeof(path), "%s@%" PRIu32, job->path, job->generations[i].number);
		rc = parts_open_job(&older, path);
		if (rc == CK_OK)
			rc = verify_parts(&older, proof);
		parts_close(&older);
	}
	return rc;
}

/* ---- */

static int report(const struct proof *proof)
{
	if (out_json)
		return json_print(json_pack("{s:o, s:b, s:I, s:I, s:o*, s:I}", "image",
					    json_text(proof->image), "valid", 1, "generation",
					    (json_int_t)proof->newest, "generations",
					    (json_int_t)proof->generations, "parts",
					    proof->parts ? json_integer((json_int_t)proof->parts) : NULL,
					    "bytes", (json_int_t)proof->bytes));
	printf("%s: %s in %zu generation%s", proof->image, human_bytes(proof->bytes),
	       proof->generations, proof->generations == 1 ? "" : "s");
	if (proof->parts)
		printf(", %zu part%s,", proof->parts, proof->parts == 1 ? "" : "s");
	printf(" proved\n");
	return CK_OK;
}

int cmd_verify(int argc, char **argv)
{
	static const struct option options[] = { CMD_OPTIONS };
	struct proof proof = { .image = NULL };
	struct parts p;
	char path[4500];
	bool one;
	int c, rc;

	while ((c = getopt_long(argc, argv, CMD_SHORT, options, NULL)) != -1) {
		rc = cmd_option(c, usage);
		if (rc != CMD_GO_ON)
			return rc;
	}
	if (argc - optind != 1)
		return cmd_usage(argv, "verify takes one image");
	rc = parts_open(&p, path, sizeof(path), argv[optind]);
	if (rc)
		return rc;
	/* One generation was asked for. */
	one = strstr(path, ".ckpt@");
	rc = p.job ? verify_job(&p, one, &proof) : verify_image(p.images[0], one, &proof);
	if (rc == CK_OK)
		rc = report(&proof);
	parts_close(&p);
	return rc;
}
