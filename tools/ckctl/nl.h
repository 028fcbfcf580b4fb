/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one place that talks to libnl: requests to and events from ckpt.ko.
 * All functions return enum ck_exit and have reported the failure (out.h).
 */
#ifndef CKCTL_NL_H
#define CKCTL_NL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/ckpt_image.h>
#include <linux/ckpt.h>

struct nl;
struct nl_msg;
struct nlattr;

/* Connect and check CKPT_ABI; CK_NOMODULE when the module is absent or of
 * another ABI, with what to do about it.  nl_end() closes the socket, which
 * ends the session; NULL is fine.  (nl_close and nl_dump are libnl's names.) */
int nl_open(struct nl **nl);
void nl_end(struct nl *nl);
int nl_fd(const struct nl *nl);
/* Give up waiting, with CK_FAILED, as soon as @fd can be read (a signalfd); -1 for none. */
void nl_watch(struct nl *nl, int fd);

/* A new request of this command; fill it with nla_put_*() of libnl. */
struct nl_msg *nl_new(struct nl *nl, enum ckpt_cmd cmd);

/* Called for each reply message with its parsed attributes
 * (tb[0..CKPT_A_MAX]); non-zero stops and is returned. */
typedef int (*nl_reply_fn)(struct nlattr **tb, void *arg);

/* Send, consume @msg, wait for replies and the ack.  @reply may be NULL.
 * The kernel's extended-ack sentence is what the user reads on failure. */
__attribute__((warn_unused_result))
int nl_request(struct nl *nl, struct nl_msg *msg, nl_reply_fn reply, void *arg);
/* Same for a dump request (NLM_F_DUMP). */
__attribute__((warn_unused_result))
int nl_fetch(struct nl *nl, struct nl_msg *msg, nl_reply_fn reply, void *arg);

/* The event that a request promised. */
struct nl_event {
	enum ckpt_event event;
	enum ckpt_reason reason;	/* of the rest only what applies is set */
	int err;			/* positive errno */
	int pid;
	uint64_t standstill_ns;
	uint64_t nr_bytes, nr_pages, nr_zero, nr_shared, nr_copied;
	char message[CKPT_MAX_MESSAGE];
	const char *obstacles;		/* FAILED: more sentences, each with its NUL; likewise */
	size_t obstacles_len;
	const int32_t *pids;		/* FROZEN: leaders, ascending; valid until the next call */
	size_t nr_pids;
	bool was_frozen;		/* FROZEN: the job was frozen before */
};

/* Wait for @want; CKPT_EVENT_PROGRESS events go to @progress (may be NULL) and
 * stream messages (CKPT_CMD_PAGES) to @pages (may be NULL).  A FAILED event is
 * reported and returned as the exit code of its reason; CK_TIMEOUT after
 * @timeout_ms (-1 = none). @ev (may be NULL) gets the event in either case. */
struct nl_stream {
	int (*pages)(const struct ckpt_rec_pages *owner, const void *runs, size_t nr_runs,
		     const void *data, size_t len, void *arg);
	void (*progress)(uint64_t bytes, void *arg);
	void *arg;
};
__attribute__((warn_unused_result))
int nl_wait(struct nl *nl, enum ckpt_event want, int timeout_ms,
	    const struct nl_stream *stream, struct nl_event *ev);

/* What INFO says. */
struct nl_info {
	uint32_t abi, features, nr_sessions, xstate_size;
	uint64_t xfeatures;
	char version[64];
};
int nl_info(struct nl *nl, struct nl_info *info);

/* Fire-and-forget from a skeleton that shares no state with libnl: build the
 * bytes of a request now, to be sent later with a bare sendto(2) on a bare
 * netlink socket.  Returns the message length. @family from nl_family(). */
int nl_family(const struct nl *nl);

#endif
