// SPDX-License-Identifier: GPL-2.0
/*
 * What skeletons send: reports to the coordinator, their one request to the
 * module.  The request is the last thing that a thread does, while others of
 * its process still run and use the same thread-local storage: what
 * request_send() uses must not call into libc.
 */
#include "restart.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "../out.h"
#include "raw.h"

static void report_raw(const struct restart *r, const struct report *report)
{
	/* One write of at most PIPE_BUF is one piece; a full pipe is waited for. */
	while (raw_syscall(SYS_write, r->report_wr, (long)report, sizeof(*report), 0, 0, 0) ==
	       -EINTR)
		;
}

static void copy_text(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; i + 1 < size && from[i]; i++)
		to[i] = from[i];
	to[i] = '\0';
}

void report_send(const struct restart *r, enum report_kind kind, pid_t pid)
{
	struct report report = { .kind = (int32_t)kind, .pid = pid };

	report_raw(r, &report);
}

/* Where fail() of a skeleton puts its sentence; one thread at a time runs. */
static struct report failure = { .kind = REPORT_FAILED };

void report_capture(void)
{
	fail_capture(failure.text, sizeof(failure.text));
}

void report_failure(const struct restart *r, pid_t pid, int code)
{
	failure.pid = pid;
	failure.code = code;
	report_raw(r, &failure);
	_exit(1);	/* all threads */
}

static void put_attr(struct request *req, unsigned int type, const void *value, size_t len)
{
	struct nlattr attr = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = (uint16_t)type };

	memcpy(req->bytes + req->len, &attr, sizeof(attr));
	memcpy(req->bytes + req->len + NLA_HDRLEN, value, len);
	req->len += NLA_ALIGN(attr.nla_len);
}

void request_make(struct request *req, const struct restart *r, enum ckpt_cmd cmd,
		  const struct ckpt_plan *plan)
{
	struct genlmsghdr genl = { .cmd = (uint8_t)cmd, .version = CKPT_GENL_VERSION };
	struct nlmsghdr head = {
		.nlmsg_type = (uint16_t)r->family,
		/* No ack: only a refusal is of interest, and nobody waits. */
		.nlmsg_flags = NLM_F_REQUEST,
	};
	uint64_t addr = (uint64_t)(uintptr_t)plan;

	memset(req, 0, sizeof(*req));
	req->len = NLMSG_HDRLEN + GENL_HDRLEN;
	put_attr(req, CKPT_A_SESSION, &r->session, sizeof(r->session));
	if (plan)
		put_attr(req, CKPT_A_PLAN_ADDR, &addr, sizeof(addr));
	head.nlmsg_len = (uint32_t)req->len;
	memcpy(req->bytes, &head, sizeof(head));
	memcpy(req->bytes + NLMSG_HDRLEN, &genl, sizeof(genl));
}

int request_socket(struct restart *r, int *fd)
{
	int on = 1;

	*fd = restore_keep_fd(&r->state, socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
	if (*fd < 0)
		return fail_errno(errno, "cannot open a netlink socket");
	setsockopt(*fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(*fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return CK_OK;
}

/* The sentence in the module's refusal; NULL when there is none. */
static const char *refusal_text(const unsigned char *msg, size_t len)
{
	const struct nlmsghdr *head = (const void *)msg;
	size_t at = NLMSG_HDRLEN + sizeof(struct nlmsgerr);

	if (!(head->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	while (at + NLA_HDRLEN <= len) {
		const struct nlattr *attr = (const void *)(msg + at);

		if (attr->nla_len < NLA_HDRLEN || at + attr->nla_len > len)
			return NULL;
		/* The buffer ends with a NUL whatever the message holds. */
		if (attr->nla_type == NLMSGERR_ATTR_MSG)
			return (const char *)(msg + at + NLA_HDRLEN);
		at += NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

void request_send(const struct restart *r, int fd, const struct request *req, pid_t pid)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct report report = { .kind = REPORT_FAILED, .pid = pid, .code = CK_FAILED };
	union {
		struct nlmsghdr head;
		unsigned char bytes[1024];
	} answer;
	const char *text = NULL;
	long rc;

	rc = raw_syscall(SYS_sendto, fd, (long)req->bytes, (long)req->len, MSG_NOSIGNAL,
			 (long)&kernel, sizeof(kernel));
	/* Only what was refused comes back here. */
	if (rc >= 0) {
		rc = raw_syscall(SYS_recvfrom, fd, (long)answer.bytes, sizeof(answer) - 1,
				 MSG_DONTWAIT, 0, 0);
		if (rc >= (long)(NLMSG_HDRLEN + sizeof(struct nlmsgerr)) &&
		    answer.head.nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(&answer.head);

			answer.bytes[rc] = '\0';
			text = refusal_text(answer.bytes, (size_t)rc);
			if (error->error == -EPERM || error->error == -EACCES)
				report.code = CK_PERM;
		}
	}
	copy_text(report.text, sizeof(report.text),
		  text ? text : "the kernel module did not accept a process of the restart");
	report_raw(r, &report);
}
