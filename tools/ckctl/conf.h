/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a site has decided: /etc/ckpt/ckpt.conf, lines of key=value, '#' before
 * a comment.  A file that is not there, or a line that is none, decides nothing.
 */
#ifndef CKCTL_CONF_H
#define CKCTL_CONF_H

#include <stdint.h>

#define CONF_PATH	"/etc/ckpt/ckpt.conf"

/* The number that @key has, or @otherwise: also for what is none, or above @max. */
uint64_t conf_number(const char *key, uint64_t otherwise, uint64_t max);

#endif
