/* SPDX-License-Identifier: GPL-2.0 */
/* Stop and go: the cgroup v2 freezer, driven through its own control file. */
#ifndef CKPT_FREEZER_H
#define CKPT_FREEZER_H

#include <linux/types.h>

struct ckpt_session;
struct netlink_ext_ack;

int ckpt_freezer_open(struct ckpt_session *s, int fd, struct netlink_ext_ack *extack);
int ckpt_freezer_freeze(struct ckpt_session *s);
int ckpt_freezer_check(struct ckpt_session *s);
int ckpt_freezer_thaw(struct ckpt_session *s, bool leave);

#endif
