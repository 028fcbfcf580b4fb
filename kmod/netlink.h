/* SPDX-License-Identifier: GPL-2.0 */
/* The generic netlink family: policies and handlers, which only translate. */
#ifndef CKPT_NETLINK_H
#define CKPT_NETLINK_H

#include <linux/types.h>

struct sk_buff;

int ckpt_netlink_init(void);
void ckpt_netlink_exit(void);

void *ckpt_netlink_begin(struct sk_buff *skb, u8 cmd);
struct sk_buff *ckpt_netlink_message(u8 cmd, size_t payload, void **head);

#endif
