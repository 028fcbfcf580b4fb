/* SPDX-License-Identifier: GPL-2.0 */
/* Generic netlink: what later kernels renamed. */
#ifndef CKPT_COMPAT_NETLINK_H
#define CKPT_COMPAT_NETLINK_H

#include <linux/version.h>
#include <net/genetlink.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
/* What pre_doit and post_doit are given. */
#define genl_split_ops genl_ops
#endif

#endif
