// SPDX-License-Identifier: GPL-2.0
#include "socket.h"
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "compat/file.h"
#include "session.h"

#define MIN_PAUSE_US	200U
#define MAX_PAUSE_US	20000U

/* Open, for as long as we hold it; NULL when it is being closed. */
static struct file *get_file_of(struct sock *sk)
{
	struct file *file = NULL;

	read_lock_bh(&sk->sk_callback_lock);
	if (sk->sk_socket && sk->sk_socket->file && ckpt_file_get_live(sk->sk_socket->file))
		file = sk->sk_socket->file;
	read_unlock_bh(&sk->sk_callback_lock);
	return file;
}

/* With something to spare for answers: a message too much would be an error of the reader's. */
static bool is_full(const struct sock *sk)
{
	return atomic_read(&sk->sk_rmem_alloc) > READ_ONCE(sk->sk_rcvbuf) / 2;
}

/**
 * ckpt_socket_send() - a message to the owner of a session, and to nobody else
 * @s: the session
 * @skb: complete; consumed
 * @wait: for a slow reader.  The session's own worker does, for an event could be
 *	lost behind a stream's data; nobody else may
 *
 * Context: may sleep.
 *
 * Return: 0, or a negative errno: there is no reader, or no room.
 */
int ckpt_socket_send(struct ckpt_session *s, struct sk_buff *skb, bool wait)
{
	struct file *file = get_file_of(s->sk);
	unsigned int pause_us = MIN_PAUSE_US;
	int ret = -ECONNREFUSED;

	if (!file)
		goto err_skb;
	/* What netlink itself would wait for is not for us to see.  One who never reads
	 * costs little.
	 */
	while (wait && is_full(s->sk)) {
		if (file_count(file) == 1)
			goto err_file;
		usleep_range(pause_us, 2 * pause_us);
		pause_us = min(2 * pause_us, MAX_PAUSE_US);
	}
	ret = netlink_unicast(s->net->genl_sock, skb, s->portid, MSG_DONTWAIT);
	fput(file);
	return ret < 0 ? ret : 0;

err_file:
	fput(file);
err_skb:
	kfree_skb(skb);
	return ret;
}
