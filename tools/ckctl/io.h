/* SPDX-License-Identifier: GPL-2.0 */
/* Reads and writes of a file that are not content with a part. */
#ifndef CKCTL_IO_H
#define CKCTL_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All of @data to @fd at @pos; 0, or -1 and errno. */
int io_write(int fd, const void *data, size_t len, uint64_t pos);
/* From @fd at @pos into @buf: how much, less than @len only at the end of the file;
 * -1 and errno. */
ssize_t io_read(int fd, void *buf, size_t len, uint64_t pos);

#endif
