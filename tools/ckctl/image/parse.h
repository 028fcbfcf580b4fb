/* SPDX-License-Identifier: GPL-2.0 */
/* Steps of image_open(): records to structs, then every rule they must keep. */
#ifndef CKCTL_IMAGE_PARSE_H
#define CKCTL_IMAGE_PARSE_H

#include "image.h"

/* Where in the records a problem is: …/gen-<n> and the byte. */
struct parse {
	struct image *img;
	const char *path;		/* the generation's directory */
};

/* Fill @img->processes and so on from @img->records. */
int parse_records(const struct parse *p);
/* Every rule inside one record and between records that needs no index file. */
int check_records(const struct parse *p);
/* A part of that: files with a path and their contents. */
int check_tempfiles(const struct parse *p);
/* Every run of every CKPT_REC_PAGES; the generations' files are open. */
int check_runs(const struct parse *p);

/* "…/gen-1 is damaged: records, byte 123: …" for what @at points to (NULL:
 * the records as a whole). */
int damaged(const struct parse *p, const void *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Objects by id: sorted once, then searched. */
struct id_map {
	struct id_entry {
		uint64_t id;
		size_t index;
	} *entries;
	size_t nr;
};

int id_map_add(struct id_map *map, uint64_t id, size_t index);
/* False and *@id when two entries have the same id. */
bool id_map_sort(struct id_map *map, uint64_t *id);
/* The index, or SIZE_MAX. */
size_t id_map_find(const struct id_map *map, uint64_t id);
void id_map_free(struct id_map *map);

/* CK_DAMAGED: its length is not what it says itself. */
int bad_length(const struct parse *p, const struct ckpt_record *r);
/* A NUL-terminated copy of text inside a record, which may not hold a NUL itself. */
int parse_text(const struct parse *p, char **to, const void *from, size_t len);

/* @proc, new, is what a CKPT_REC_RELAUNCH says; and the rules that hold for it. */
int parse_relaunch(const struct parse *p, const struct ckpt_record *r, struct image_process *proc);
int check_relaunch(const struct parse *p, const struct image_process *proc, struct id_map *tids);

/* A record that begins with a file's id: an eventfd's and those after it. */
int parse_file_state(const struct parse *p, const struct id_map *files, const struct ckpt_record *r);
/* One that begins with the id of an object with CKPT_SHM_NAMED. */
int parse_tempfile(const struct parse *p, const struct id_map *shms, const struct ckpt_record *r);

/* What it points to. */
void image_process_free(struct image_process *p);

/* One more zeroed element at the end of an array of *@nr; NULL when out of memory. */
void *grow(void *array, size_t *nr, size_t size);

#endif
