/* SPDX-License-Identifier: GPL-2.0 */
/* What /proc/PID/fdinfo tells of an epoll instance. */
#ifndef CKCTL_EPOLL_H
#define CKCTL_EPOLL_H

#include <stdint.h>
#include <linux/ckpt_image.h>

/* The next watch in an fdinfo, without its file but with that one's inode; where
 * to go on, or NULL when there was none. */
const char *epoll_next(const char *info, struct ckpt_epoll_watch *watch, uint64_t *ino);

#endif
