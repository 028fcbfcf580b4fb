// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into ckctl: what the module answers to INFO says that it speaks the
 * next version of the protocol. So a test needs no second module.
 */
#include <dlfcn.h>
#include <linux/ckpt.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

static void change(unsigned char *data, size_t len)
{
	struct nlmsghdr *head = (void *)data;
	struct genlmsghdr *genl = NLMSG_DATA(head);
	size_t at = NLMSG_HDRLEN + GENL_HDRLEN;

	if (len < at || head->nlmsg_type < NLMSG_MIN_TYPE || head->nlmsg_type == GENL_ID_CTRL ||
	    genl->cmd != CKPT_CMD_INFO)
		return;
	while (at + NLA_HDRLEN + 4 <= len) {
		struct nlattr *attr = (void *)(data + at);

		if (attr->nla_type == CKPT_A_ABI)
			++*(uint32_t *)(data + at + NLA_HDRLEN);
		at += NLA_ALIGN(attr->nla_len);
		if (!attr->nla_len)
			break;
	}
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t (*real)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
	ssize_t len = real(fd, msg, flags);

	if (len > 0 && msg->msg_iovlen && !(flags & MSG_PEEK) &&
	    (size_t)len <= msg->msg_iov[0].iov_len)
		change(msg->msg_iov[0].iov_base, (size_t)len);
	return len;
}
