/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The netlink socket that a session belongs to.  Messages are addressed by its
 * number, and a number is anybody's who binds to it once the socket is closed: so
 * the socket is kept open as long as something is on its way there.
 */
#ifndef CKPT_SOCKET_H
#define CKPT_SOCKET_H

#include <linux/types.h>

struct ckpt_session;
struct sk_buff;

int ckpt_socket_send(struct ckpt_session *s, struct sk_buff *skb, bool wait);

#endif
