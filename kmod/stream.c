// SPDX-License-Identifier: GPL-2.0
#include "transport.h"
#include <linux/mm.h>
#include <linux/skbuff.h>
#include <net/genetlink.h>
#include <net/sock.h>
#include "netlink.h"
#include "report.h"
#include "session.h"
#include "snapshot.h"
#include "socket.h"

/* Hang the pages of a batch on @skb, MAX_SKB_FRAGS to each of a list of skbs. */
static int attach_pages(struct sk_buff *skb, const struct ckpt_batch *b)
{
	struct sk_buff *head = skb, **tail = &skb_shinfo(head)->frag_list;
	unsigned int i, len;

	for (i = 0; i < b->nr_bvecs; i++) {
		struct page *page = b->bvecs[i].bv_page;

		for (len = b->bvecs[i].bv_len; len; len -= PAGE_SIZE, page++) {
			int n = skb_shinfo(skb)->nr_frags;

			if (n == MAX_SKB_FRAGS) {
				skb = alloc_skb(0, GFP_KERNEL);
				if (!skb)
					return -ENOMEM;
				*tail = skb;
				tail = &skb->next;
				n = 0;
			}
			get_page(page);
			skb_fill_page_desc(skb, n, page, 0, PAGE_SIZE);
			skb->len += PAGE_SIZE;
			skb->data_len += PAGE_SIZE;
			skb->truesize += PAGE_SIZE;
			if (skb != head) {
				head->len += PAGE_SIZE;
				head->data_len += PAGE_SIZE;
				head->truesize += PAGE_SIZE;
			}
		}
	}
	return 0;
}

/**
 * ckpt_stream_batch() - send runs and the pages themselves to the owner
 * @s: the session
 * @batch: complete
 *
 * The pages are not copied: the message carries references to them.  Waits for
 * a slow reader; a reader that is gone ends the session.
 *
 * Return: 0 or a noted failure.
 */
int ckpt_stream_batch(struct ckpt_session *s, const struct ckpt_batch *batch)
{
	struct ckpt_rec_pages owner = batch->set->pages;
	size_t runs = batch->nr_runs * sizeof(batch->runs[0]);
	struct nlmsghdr *nlh;
	struct sk_buff *skb;
	void *head;
	int ret;

	skb = ckpt_netlink_message(CKPT_CMD_PAGES, runs + sizeof(owner) + 64, &head);
	if (!skb)
		goto err_nomem;
	nlh = nlmsg_hdr(skb);
	if (nla_put(skb, CKPT_A_PAGES, sizeof(owner), &owner) ||
	    nla_put(skb, CKPT_A_RUNS, runs, batch->runs) ||
	    nla_put_flag(skb, CKPT_A_DATA))
		goto err_skb;
	/* The attributes are padded to NLMSG_ALIGNTO: the data follows at once. */
	ret = attach_pages(skb, batch);
	if (ret)
		goto err_skb;
	nlh->nlmsg_len = skb->len;
	ret = ckpt_socket_send(s, skb, true);
	if (ret)
		return ckpt_fail(s, ret, CKPT_REASON_IO, NULL,
				 "the reader of the stream is gone (error %d)", -ret);
	return 0;

err_skb:
	nlmsg_free(skb);
err_nomem:
	return ckpt_fail(s, -ENOMEM, CKPT_REASON_NOMEM, NULL, "no memory for a message of the stream");
}
