// SPDX-License-Identifier: GPL-2.0
#include "cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "image/image.h"
#include "json.h"
#include "out.h"

static const char usage[] =
	"Usage: ckctl verify [--json] [-q] IMAGE[@GENERATION]\n"
	"Prove that an image is what was written: manifest, records, index and the data of\n"
	"every page, of all its generations or of one.  IMAGE is a path, or a name looked up\n"
	"as NAME.ckpt in the current directory.\n";

/* The generations before the one that is open. */
static int verify_older(const struct image *img)
{
	size_t i;
	int rc = CK_OK;

	for (i = 0; rc == CK_OK && i + 1 < img->nr_generations; i++) {
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

static int report(const struct image *img, bool one)
{
	const struct image_generation *newest = &img->generations[img->nr_generations - 1];
	uint64_t bytes = 0;
	size_t i;

	for (i = one ? img->nr_generations - 1 : 0; i < img->nr_generations; i++)
		bytes += img->generations[i].page_bytes + img->generations[i].index_bytes +
			 img->generations[i].record_bytes;
	if (out_json)
		return json_print(json_pack("{s:o, s:b, s:I, s:I, s:I}", "image", json_text(img->path),
					    "valid", 1, "generation", (json_int_t)newest->number,
					    "generations", (json_int_t)(one ? 1 : img->nr_generations),
					    "bytes", (json_int_t)bytes));
	printf("%s: %s in %zu generation%s proved\n", img->path, human_bytes(bytes),
	       one ? 1 : img->nr_generations, one || img->nr_generations == 1 ? "" : "s");
	return CK_OK;
}

int cmd_verify(int argc, char **argv)
{
	static const struct option options[] = { CMD_OPTIONS };
	struct image *img = NULL;
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
	rc = cmd_image_open(&img, path, sizeof(path), argv[optind]);
	if (rc)
		return rc;
	/* "@<n>" was cut off: one generation was asked for. */
	one = strstr(path, ".ckpt@");
	rc = image_verify_pages(img, 0);
	if (rc == CK_OK && !one)
		rc = verify_older(img);
	if (rc == CK_OK)
		rc = report(img, one);
	image_close(img);
	return rc;
}
