// SPDX-License-Identifier: GPL-2.0
#include "nl_event.h"

#include <stdlib.h>
#include <string.h>

#include <netlink/attr.h>

#include "out.h"

int nl_bad_message(const char *what)
{
	return fail(CK_NOMODULE, "the kernel module sent %s, which this ckctl does not understand; "
		    "install module and tool of one version", what);
}

static enum ck_exit exit_from_reason(enum ckpt_reason reason, int err)
{
	switch (reason) {
	case CKPT_REASON_PERM:
		return CK_PERM;
	case CKPT_REASON_UNSUPPORTED:
	case CKPT_REASON_IMAGE:
		return CK_REFUSED;
	case CKPT_REASON_TIMEOUT:
	case CKPT_REASON_DEADLINE:
		return CK_TIMEOUT;
	case CKPT_REASON_IO:
		return CK_IO;
	case CKPT_REASON_EMPTY:
		return CK_NOTFOUND;
	case CKPT_REASON_BUSY:
		return CK_BUSY;
	case CKPT_REASON_THAWED:
	case CKPT_REASON_VANISHED:
	case CKPT_REASON_NOMEM:
		return CK_FAILED;
	case CKPT_REASON_NONE:
		break;
	}
	/* A failure is never CK_OK, whatever its errno says. */
	return err ? exit_from_errno(err) : CK_FAILED;
}

uint64_t nl_u64(struct nlattr *nla)
{
	return nla ? nla_get_u64(nla) : 0;
}

uint32_t nl_u32(struct nlattr *nla)
{
	return nla ? nla_get_u32(nla) : 0;
}

/* A copy that is aligned as its structs want to be, which attributes are not. */
static int keep_copy(struct nlattr *nla, size_t unit, void **kept)
{
	free(*kept);
	*kept = NULL;
	if ((size_t)nla_len(nla) % unit)
		return nl_bad_message("an array of a broken size");
	*kept = malloc((size_t)nla_len(nla) + 1);
	if (!*kept)
		return fail(CK_FAILED, "out of memory");
	memcpy(*kept, nla_data(nla), (size_t)nla_len(nla));
	return CK_OK;
}

static int read_pids(struct nlattr *list, struct nl_event *ev, void **kept)
{
	int rc = list ? keep_copy(list, sizeof(int32_t), kept) : CK_OK;

	if (rc || !list)
		return rc;
	ev->pids = *kept;
	ev->nr_pids = (size_t)nla_len(list) / sizeof(int32_t);
	return CK_OK;
}

static int read_obstacles(struct nlattr *list, struct nl_event *ev, void **kept)
{
	int rc = keep_copy(list, 1, kept);

	if (rc)
		return rc;
	ev->obstacles = *kept;
	ev->obstacles_len = (size_t)nla_len(list);
	if (ev->obstacles_len && ev->obstacles[ev->obstacles_len - 1])
		return nl_bad_message("a sentence without an end");
	return CK_OK;
}

int nl_event_read(struct nlattr **tb, struct nl_event *ev, void **kept)
{
	if (!tb[CKPT_A_EVENT])
		return nl_bad_message("an event without its kind");
	memset(ev, 0, sizeof(*ev));
	ev->event = nl_u32(tb[CKPT_A_EVENT]);
	ev->reason = nl_u32(tb[CKPT_A_REASON]);
	ev->err = (int)nl_u32(tb[CKPT_A_ERRNO]);
	ev->pid = (int)nl_u32(tb[CKPT_A_PID]);
	ev->standstill_ns = nl_u64(tb[CKPT_A_STANDSTILL_NS]);
	ev->nr_bytes = nl_u64(tb[CKPT_A_NR_BYTES]);
	ev->nr_pages = nl_u64(tb[CKPT_A_NR_PAGES]);
	ev->nr_zero = nl_u64(tb[CKPT_A_NR_ZERO]);
	ev->nr_shared = nl_u64(tb[CKPT_A_NR_SHARED]);
	ev->nr_copied = nl_u64(tb[CKPT_A_NR_COPIED]);
	ev->was_frozen = tb[CKPT_A_LEAVE_FROZEN] != NULL;
	if (tb[CKPT_A_MESSAGE])
		nla_strlcpy(ev->message, tb[CKPT_A_MESSAGE], sizeof(ev->message));
	/* Never both. */
	return tb[CKPT_A_OBSTACLES] ? read_obstacles(tb[CKPT_A_OBSTACLES], ev, kept) :
				      read_pids(tb[CKPT_A_PID_LIST], ev, kept);
}

int nl_event_pages(struct nlattr **tb, const void *data, size_t len, const struct nl_stream *stream,
		   void **kept)
{
	struct ckpt_rec_pages owner;
	const struct ckpt_run *runs;
	uint64_t bytes = 0;
	size_t nr, i;
	int rc;

	if (!tb[CKPT_A_PAGES] || nla_len(tb[CKPT_A_PAGES]) != sizeof(owner) || !tb[CKPT_A_RUNS])
		return nl_bad_message("page data without its owner");
	memcpy(&owner, nla_data(tb[CKPT_A_PAGES]), sizeof(owner));
	rc = keep_copy(tb[CKPT_A_RUNS], sizeof(struct ckpt_run), kept);
	if (rc)
		return rc;
	runs = *kept;
	nr = (size_t)nla_len(tb[CKPT_A_RUNS]) / sizeof(*runs);
	for (i = 0; i < nr; i++)
		if (!(runs[i].flags & CKPT_RUN_ZERO))
			bytes += (uint64_t)runs[i].nr_pages * CKPT_PAGE_SIZE;
	if (bytes != len)
		return nl_bad_message("page data of another length than announced");
	if (!stream || !stream->pages)
		return CK_OK;
	return stream->pages(&owner, runs, nr, data, len, stream->arg);
}

int nl_event_failed(const struct nl_event *ev)
{
	return fail(exit_from_reason(ev->reason, ev->err), "%s",
		    ev->message[0] ? ev->message : strerror(ev->err));
}
