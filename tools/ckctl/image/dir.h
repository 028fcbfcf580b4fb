/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The image directory as a place that others may have tampered with: every
 * access is relative to an open descriptor, follows no link, and is refused
 * where somebody else could have written.  Failures are reported (out.h).
 */
#ifndef CKCTL_IMAGE_DIR_H
#define CKCTL_IMAGE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DIR_MANIFEST	"manifest.json"
#define DIR_RECORDS	"records"
#define DIR_INDEX	"index"
#define DIR_PAGES	"pages"
/* of the image of a job */
#define DIR_LOCK	"lock"
#define DIR_RECORD	"job.json"
#define DIR_SCRIPT	"script"
#define DIR_ENVIRON	"environ"

/* "gen-<number>" */
struct dir_name {
	char text[16];
};
struct dir_name dir_generation_name(uint32_t number);
/* The number in such a name; 0 for any other name. */
uint32_t dir_generation_number(const char *name);

/* What can name an image, and a node: 1 to 240 characters, no slash, no control
 * character, no dot first. */
bool dir_name_good(const char *name);

/* "…/x.ckpt@3" is generation 3 of "…/x.ckpt", which goes to *@image, malloc()ed;
 * 0 for a path without. */
int dir_split_path(const char *path, char **image, uint32_t *number);

/* Open the directory @name under @at.  For writing it must belong to the
 * caller, unless that is root; for reading to the caller or root; nobody else
 * may have the right to write in it.  @path is for messages. */
int dir_open(int *fd, int at, const char *name, const char *path, bool writing, uid_t *owner);
/* Open the directory @name under @at, which must be the caller's own, and nobody else may
 * have the right to write in it: -1 and errno.  @flags: O_NOFOLLOW, or 0. */
int dir_open_own(int at, const char *name, int flags);
/* Open a file under @dir for reading, which must be a regular one. */
int dir_open_file(int *fd, int dir, const char *name, const char *path, uint64_t *bytes);
/* XXH64 (seed 0) of the first @bytes of a file. */
int dir_hash_file(int fd, uint64_t bytes, const char *path, const char *name, uint64_t *hash);
/* pread() of exactly @len bytes; fewer means the file was cut: CK_DAMAGED. */
int dir_read(int fd, void *buf, size_t len, uint64_t pos, const char *path, const char *name);
/* These two return -1 with errno and report nothing.  Make a directory of mode
 * 0700, whatever the umask; remove a file, or a directory with what is in it,
 * where nothing there to remove is fine. */
int dir_make(int at, const char *name);
int dir_remove(int at, const char *name);

#endif
