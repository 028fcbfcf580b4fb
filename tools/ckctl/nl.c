// SPDX-License-Identifier: GPL-2.0
/*
 * libnl builds and sends the requests; receiving is done here, message by
 * message: events come between a request and its ack, and a stream's page data
 * lies behind the last attribute, where libnl's parser would trip over it.
 */
#include "nl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "clock.h"
#include "nl_event.h"
#include "out.h"

#define RECEIVE_BUFFER	(8 << 20)	/* several messages of a stream */
#define REQUEST_SIZE	(CKPT_MAX_XSTATE + 8192)
#define ANSWER_MS	30000		/* no request works that long */
#define PROBE_MS	10000		/* silence after which an event's sender is checked */

/* A message of the module's own that came while a request waited for its ack. */
struct queued {
	struct queued *next;
	struct nlmsghdr *msg;
};

struct nl {
	struct nl_sock *sock;
	int family;
	int stop_fd;			/* nl_watch() */
	struct queued *first, **last;
	void *pages;			/* what nl_event.pids and the runs point to */
	struct nlmsghdr *received;	/* what is freed with the next message */
};

static struct nla_policy policy[CKPT_A_MAX + 1] = {
	[CKPT_A_ABI] = { .type = NLA_U32 },
	[CKPT_A_VERSION] = { .type = NLA_STRING },
	[CKPT_A_FEATURES] = { .type = NLA_U32 },
	[CKPT_A_NR_SESSIONS] = { .type = NLA_U32 },
	[CKPT_A_XFEATURES] = { .type = NLA_U64 },
	[CKPT_A_XSTATE_SIZE] = { .type = NLA_U32 },
	[CKPT_A_EVENT] = { .type = NLA_U32 },
	[CKPT_A_REASON] = { .type = NLA_U32 },
	[CKPT_A_ERRNO] = { .type = NLA_U32 },
	[CKPT_A_MESSAGE] = { .type = NLA_STRING },
	[CKPT_A_PID] = { .type = NLA_U32 },
	[CKPT_A_STANDSTILL_NS] = { .type = NLA_U64 },
	[CKPT_A_NR_BYTES] = { .type = NLA_U64 },
	[CKPT_A_NR_PAGES] = { .type = NLA_U64 },
	[CKPT_A_NR_ZERO] = { .type = NLA_U64 },
	[CKPT_A_NR_SHARED] = { .type = NLA_U64 },
	[CKPT_A_NR_COPIED] = { .type = NLA_U64 },
	[CKPT_A_SESSION] = { .type = NLA_U32 },
};

static const char *const command_names[] = {
	[CKPT_CMD_INFO] = "INFO",
	[CKPT_CMD_FREEZE] = "FREEZE",
	[CKPT_CMD_PROVE] = "PROVE",
	[CKPT_CMD_SNAPSHOT] = "SNAPSHOT",
	[CKPT_CMD_DUMP] = "DUMP",
	[CKPT_CMD_THAW] = "THAW",
	[CKPT_CMD_WRITE] = "WRITE",
	[CKPT_CMD_OPEN] = "OPEN",
	[CKPT_CMD_PARK] = "PARK",
	[CKPT_CMD_RESTORE] = "RESTORE",
	[CKPT_CMD_SET] = "SET",
	[CKPT_CMD_COMMIT] = "COMMIT",
	[CKPT_CMD_MAX] = NULL,
};

static int no_module(void)
{
	return fail(CK_NOMODULE, "the kernel module ckpt is not loaded on this host; "
		    "load it with: modprobe ckpt");
}

/* ---- one message in ---- */

/* Wait for the socket until @deadline (of CLOCK_MONOTONIC in ms, -1 for none): 1, or 0
 * when it passed, or -errno. */
static int wait_readable(struct nl *nl, int64_t deadline)
{
	struct pollfd pfd[] = {
		{ .fd = nl_socket_get_fd(nl->sock), .events = POLLIN },
		{ .fd = nl->stop_fd, .events = POLLIN },
	};

	for (;;) {
		int64_t left = deadline < 0 ? -1 : deadline - clock_ms(CLOCK_MONOTONIC);
		int n;

		if (deadline >= 0 && left < 0)
			left = 0;
		n = poll(pfd, 2, left > INT32_MAX ? INT32_MAX : (int)left);
		if (n > 0)
			return pfd[1].revents ? -EINTR : 1;
		if (n == 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* The next datagram from the kernel, malloc()ed; CK_TIMEOUT silently. */
static int receive(struct nl *nl, int64_t deadline, struct nlmsghdr **msg, int *len)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		unsigned char *buf = NULL;
		int n = wait_readable(nl, deadline);

		if (n == 0)
			return CK_TIMEOUT;
		if (n == -EINTR)
			return fail(CK_FAILED, "interrupted");
		if (n < 0)
			return fail_errno(-n, "cannot wait for the kernel module");
		n = nl_recv(nl->sock, &from, &buf, NULL);
		if (n == -NLE_AGAIN || n == -NLE_INTR)
			continue;
		if (n < 0)
			return fail(CK_FAILED, "cannot receive from the kernel module: %s",
				    nl_geterror(n));
		/* Anybody may send to a netlink socket; only port 0 is the kernel. */
		if (n > 0 && from.nl_pid == 0) {
			*msg = (struct nlmsghdr *)buf;
			*len = n;
			return CK_OK;
		}
		free(buf);
	}
}

static bool is_ours(const struct nl *nl, const struct nlmsghdr *msg)
{
	return msg->nlmsg_type == nl->family && msg->nlmsg_len >= NLMSG_LENGTH(GENL_HDRLEN);
}

static uint8_t command_of(const struct nlmsghdr *msg)
{
	return ((const struct genlmsghdr *)NLMSG_DATA(msg))->cmd;
}

static bool is_unasked(const struct nl *nl, const struct nlmsghdr *msg)
{
	return is_ours(nl, msg) && (command_of(msg) == CKPT_CMD_EVENT ||
				    command_of(msg) == CKPT_CMD_PAGES);
}

static int enqueue(struct nl *nl, const struct nlmsghdr *msg)
{
	struct queued *q = malloc(sizeof(*q));

	if (!q)
		return fail(CK_FAILED, "out of memory");
	q->msg = malloc(msg->nlmsg_len);
	if (!q->msg) {
		free(q);
		return fail(CK_FAILED, "out of memory");
	}
	memcpy(q->msg, msg, msg->nlmsg_len);
	q->next = NULL;
	*nl->last = q;
	nl->last = &q->next;
	return CK_OK;
}

static struct nlmsghdr *dequeue(struct nl *nl)
{
	struct queued *q = nl->first;
	struct nlmsghdr *msg;

	if (!q)
		return NULL;
	msg = q->msg;
	nl->first = q->next;
	if (!nl->first)
		nl->last = &nl->first;
	free(q);
	return msg;
}

/* Attributes up to @len bytes, or up to a CKPT_A_DATA marker whose end then goes to @data. */
static int parse(const struct nlmsghdr *msg, struct nlattr **tb, const unsigned char **data,
		 size_t *data_len)
{
	struct genlmsghdr *head = NLMSG_DATA(msg);
	struct nlattr *first = genlmsg_attrdata(head, 0), *nla = first;
	int len = (int)(msg->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN)), left = len;

	*data = NULL;
	*data_len = 0;
	if (command_of(msg) == CKPT_CMD_PAGES) {
		while (nla_ok(nla, left) && nla_type(nla) != CKPT_A_DATA)
			nla = nla_next(nla, &left);
		if (!nla_ok(nla, left) || nla_len(nla) != 0)
			return nl_bad_message("page data without a marker");
		len -= left;
		*data = (const unsigned char *)nla + NLA_HDRLEN;
		*data_len = (size_t)left - NLA_HDRLEN;
	}
	if (nla_parse(tb, CKPT_A_MAX, first, len, policy) < 0)
		return nl_bad_message("a malformed message");
	return CK_OK;
}

/* ---- requests ---- */

/* The sentence of the kernel's extended ack, NUL terminated inside the message; or NULL. */
static const char *ack_message(const struct nlmsghdr *msg, size_t skip)
{
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	size_t payload = msg->nlmsg_len - NLMSG_HDRLEN;

	if (!(msg->nlmsg_flags & NLM_F_ACK_TLVS) || skip > payload)
		return NULL;
	if (nla_parse(tb, NLMSGERR_ATTR_MAX, (struct nlattr *)((char *)NLMSG_DATA(msg) + skip),
		      (int)(payload - skip), NULL) < 0)
		return NULL;
	if (!tb[NLMSGERR_ATTR_MSG] || nla_len(tb[NLMSGERR_ATTR_MSG]) < 1 ||
	    !memchr(nla_data(tb[NLMSGERR_ATTR_MSG]), '\0', (size_t)nla_len(tb[NLMSGERR_ATTR_MSG])))
		return NULL;
	return nla_get_string(tb[NLMSGERR_ATTR_MSG]);
}

static int refused(uint8_t cmd, int err, const char *sentence)
{
	const char *name = cmd <= CKPT_CMD_MAX ? command_names[cmd] : NULL;

	/* EINVAL with a sentence: not our mistake, but something that cannot be done. */
	if (sentence && *sentence)
		return fail(err == EINVAL ? CK_REFUSED : exit_from_errno(err), "%s", sentence);
	return fail_errno(err, "the kernel module refused %s", name ? name : "the request");
}

/* An NLMSG_ERROR or NLMSG_DONE message: the end of the request, 0 or an exit code. */
static int end_of_request(uint8_t cmd, const struct nlmsghdr *msg)
{
	const struct nlmsgerr *error = NLMSG_DATA(msg);
	size_t payload = msg->nlmsg_len - NLMSG_HDRLEN, skip = sizeof(int);

	if (payload < sizeof(int))
		/* DONE without a status is how old kernels end a dump. */
		return msg->nlmsg_type == NLMSG_DONE ? CK_OK : nl_bad_message("a short answer");
	if (error->error == 0)
		return CK_OK;
	if (msg->nlmsg_type == NLMSG_ERROR) {
		if (payload < sizeof(*error))
			return nl_bad_message("a short answer");
		skip = sizeof(*error);
		if (!(msg->nlmsg_flags & NLM_F_CAPPED))
			skip += NLMSG_ALIGN(error->msg.nlmsg_len) - NLMSG_HDRLEN;
	}
	return refused(cmd, -error->error, ack_message(msg, skip));
}

struct request {
	uint32_t seq;
	uint8_t cmd;
	nl_reply_fn reply;
	void *arg;
	bool done;
};

static int handle(struct nl *nl, struct request *req, const struct nlmsghdr *msg)
{
	struct nlattr *tb[CKPT_A_MAX + 1];
	const unsigned char *data;
	size_t data_len;
	int rc;

	if (is_unasked(nl, msg))
		return enqueue(nl, msg);
	if (msg->nlmsg_seq != req->seq)
		return CK_OK;
	if (msg->nlmsg_type == NLMSG_ERROR || msg->nlmsg_type == NLMSG_DONE) {
		req->done = true;
		return end_of_request(req->cmd, msg);
	}
	if (!is_ours(nl, msg) || !req->reply)
		return CK_OK;
	if (msg->nlmsg_flags & NLM_F_DUMP_INTR)
		return fail(CK_FAILED, "the records changed while they were fetched");
	rc = parse(msg, tb, &data, &data_len);
	return rc ? rc : req->reply(tb, req->arg);
}

static int request(struct nl *nl, struct nl_msg *msg, int flags, nl_reply_fn reply, void *arg)
{
	struct nlmsghdr *head = nlmsg_hdr(msg);
	struct request req = { .cmd = command_of(head), .reply = reply, .arg = arg };
	int rc, len;

	head->nlmsg_flags |= (uint16_t)flags;
	rc = nl_send_auto(nl->sock, msg);
	req.seq = head->nlmsg_seq;
	nlmsg_free(msg);
	if (rc < 0)
		return fail(CK_FAILED, "cannot send to the kernel module: %s", nl_geterror(rc));
	for (rc = CK_OK; rc == CK_OK && !req.done;) {
		struct nlmsghdr *buf, *next;

		rc = receive(nl, clock_ms(CLOCK_MONOTONIC) + ANSWER_MS, &buf, &len);
		if (rc == CK_TIMEOUT)
			return fail(CK_TIMEOUT, "the kernel module does not answer");
		if (rc)
			return rc;
		for (next = buf; rc == CK_OK && nlmsg_ok(next, len); next = nlmsg_next(next, &len))
			rc = handle(nl, &req, next);
		free(buf);
	}
	return rc;
}

int nl_request(struct nl *nl, struct nl_msg *msg, nl_reply_fn reply, void *arg)
{
	return request(nl, msg, NLM_F_REQUEST | NLM_F_ACK, reply, arg);
}

int nl_fetch(struct nl *nl, struct nl_msg *msg, nl_reply_fn reply, void *arg)
{
	return request(nl, msg, NLM_F_REQUEST | NLM_F_DUMP, reply, arg);
}

struct nl_msg *nl_new(struct nl *nl, enum ckpt_cmd cmd)
{
	struct nl_msg *msg = nlmsg_alloc_size(REQUEST_SIZE);

	if (msg && genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0, 0, (uint8_t)cmd,
			       CKPT_GENL_VERSION))
		return msg;
	nlmsg_free(msg);
	fail(CK_FAILED, "out of memory");
	return NULL;
}

/* ---- events ---- */

/* One message of the module's own; *@done when it was the event @want. */
static int take(struct nl *nl, const struct nlmsghdr *msg, enum ckpt_event want,
		const struct nl_stream *stream, struct nl_event *ev, bool *done)
{
	struct nlattr *tb[CKPT_A_MAX + 1];
	const unsigned char *data;
	size_t data_len;
	int rc = parse(msg, tb, &data, &data_len);

	if (rc)
		return rc;
	if (command_of(msg) == CKPT_CMD_PAGES)
		return nl_event_pages(tb, data, data_len, stream, &nl->pages);
	rc = nl_event_read(tb, ev, &nl->pages);
	if (rc)
		return rc;
	if (ev->event == CKPT_EVENT_FAILED)
		return nl_event_failed(ev);
	if (ev->event == CKPT_EVENT_PROGRESS && stream && stream->progress)
		stream->progress(ev->nr_bytes, stream->arg);
	*done = ev->event == want;
	return CK_OK;
}

/* The next message of the module's own into nl->received. */
static int next_unasked(struct nl *nl, int64_t deadline)
{
	free(nl->received);
	nl->received = NULL;
	for (;;) {
		int64_t probe = clock_ms(CLOCK_MONOTONIC) + PROBE_MS;
		struct nlmsghdr *buf, *next;
		int rc, len;

		nl->received = dequeue(nl);
		if (nl->received)
			return CK_OK;
		rc = receive(nl, deadline >= 0 && deadline < probe ? deadline : probe, &buf, &len);
		if (rc == CK_TIMEOUT) {
			struct nl_info info;

			if (deadline >= 0 && clock_ms(CLOCK_MONOTONIC) >= deadline)
				return CK_TIMEOUT;
			/* Long silence: are module and session still there at all? */
			rc = nl_info(nl, &info);
			if (rc == CK_OK && !info.nr_sessions && !nl->first)
				rc = fail(CK_FAILED, "the kernel module has no session any more");
			if (rc)
				return rc;
			continue;
		}
		if (rc)
			return rc;
		if (is_unasked(nl, buf) && nlmsg_ok(buf, len) && (int)NLMSG_ALIGN(buf->nlmsg_len) >= len) {
			/* The usual case, which may be a megabyte: no copy. */
			nl->received = buf;
			return CK_OK;
		}
		for (next = buf; rc == CK_OK && nlmsg_ok(next, len); next = nlmsg_next(next, &len))
			if (is_unasked(nl, next))
				rc = enqueue(nl, next);
		free(buf);
		if (rc)
			return rc;
	}
}

int nl_wait(struct nl *nl, enum ckpt_event want, int timeout_ms, const struct nl_stream *stream,
	    struct nl_event *ev)
{
	int64_t deadline = timeout_ms < 0 ? -1 : clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	struct nl_event own;
	bool done = false;
	int rc = CK_OK;

	if (!ev)
		ev = &own;
	memset(ev, 0, sizeof(*ev));
	while (rc == CK_OK && !done) {
		rc = next_unasked(nl, deadline);
		if (rc == CK_TIMEOUT)
			return fail(CK_TIMEOUT, "the kernel module did not finish within %d ms",
				    timeout_ms);
		if (rc == CK_OK)
			rc = take(nl, nl->received, want, stream, ev, &done);
	}
	return rc;
}

/* ---- the connection ---- */

static int info_reply(struct nlattr **tb, void *arg)
{
	struct nl_info *info = arg;

	if (!tb[CKPT_A_ABI] || !tb[CKPT_A_VERSION])
		return nl_bad_message("an INFO without a version");
	info->abi = nl_u32(tb[CKPT_A_ABI]);
	info->features = nl_u32(tb[CKPT_A_FEATURES]);
	info->nr_sessions = nl_u32(tb[CKPT_A_NR_SESSIONS]);
	info->xstate_size = nl_u32(tb[CKPT_A_XSTATE_SIZE]);
	info->xfeatures = nl_u64(tb[CKPT_A_XFEATURES]);
	nla_strlcpy(info->version, tb[CKPT_A_VERSION], sizeof(info->version));
	return CK_OK;
}

int nl_info(struct nl *nl, struct nl_info *info)
{
	struct nl_msg *msg = nl_new(nl, CKPT_CMD_INFO);
	int rc;

	memset(info, 0, sizeof(*info));
	if (!msg)
		return CK_FAILED;
	rc = nl_request(nl, msg, info_reply, info);
	if (rc == CK_OK && !info->abi)
		return nl_bad_message("no answer to INFO");
	return rc;
}

static int connect_family(struct nl *nl)
{
	int on = 1, size = RECEIVE_BUFFER, fd, err;

	err = genl_connect(nl->sock);
	if (err < 0)
		return fail(CK_FAILED, "cannot open a netlink socket: %s", nl_geterror(err));
	fd = nl_socket_get_fd(nl->sock);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	/* As much as we may: the limit of ordinary users serves as well, slower. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		nl_socket_set_buffer_size(nl->sock, size, 0);
	nl_socket_enable_msg_peek(nl->sock);	/* receive whole messages of any size */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	/* PROGRESS is sent without waiting for room: to lose one is no error.
	 * A session whose end was lost, next_unasked() notices. */
	setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	nl->family = genl_ctrl_resolve(nl->sock, CKPT_GENL_NAME);
	if (nl->family == -NLE_OBJ_NOTFOUND)
		return no_module();
	if (nl->family < 0)
		return fail(CK_FAILED, "cannot look for the kernel module: %s",
			    nl_geterror(nl->family));
	return CK_OK;
}

int nl_open(struct nl **out)
{
	struct nl_info info;
	struct nl *nl;
	int rc;

	*out = NULL;
	nl = calloc(1, sizeof(*nl));
	if (!nl)
		return fail(CK_FAILED, "out of memory");
	nl->last = &nl->first;
	nl->stop_fd = -1;
	nl->sock = nl_socket_alloc();
	rc = nl->sock ? connect_family(nl) : fail(CK_FAILED, "out of memory");
	if (rc == CK_OK)
		rc = nl_info(nl, &info);
	if (rc == CK_OK && info.abi != CKPT_ABI)
		rc = fail(CK_NOMODULE, "the kernel module ckpt %s speaks version %u of the protocol, "
			  "this ckctl version %u; install both from one build",
			  info.version, info.abi, CKPT_ABI);
	if (rc) {
		nl_end(nl);
		return rc;
	}
	*out = nl;
	return CK_OK;
}

void nl_end(struct nl *nl)
{
	struct nlmsghdr *msg;

	if (!nl)
		return;
	while ((msg = dequeue(nl)))
		free(msg);
	free(nl->received);
	free(nl->pages);
	nl_socket_free(nl->sock);
	free(nl);
}

void nl_watch(struct nl *nl, int fd)
{
	nl->stop_fd = fd;
}

int nl_fd(const struct nl *nl)
{
	return nl_socket_get_fd(nl->sock);
}

int nl_family(const struct nl *nl)
{
	return nl->family;
}
