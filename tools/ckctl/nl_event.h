/* SPDX-License-Identifier: GPL-2.0 */
/* What one message of the module's own says; for nl.c only. */
#ifndef CKCTL_NL_EVENT_H
#define CKCTL_NL_EVENT_H

#include "nl.h"

/* The number in an attribute, 0 where there is none. */
uint64_t nl_u64(struct nlattr *nla);
uint32_t nl_u32(struct nlattr *nla);

/* CKPT_CMD_EVENT.  *@kept is what @ev points to: freed and replaced. */
int nl_event_read(struct nlattr **tb, struct nl_event *ev, void **kept);
/* CKPT_CMD_PAGES, whose data follow the marker, to the caller's function; what
 * the runs promise is what must have come.  *@kept holds the runs. */
int nl_event_pages(struct nlattr **tb, const void *data, size_t len, const struct nl_stream *stream,
		   void **kept);
/* Report CKPT_EVENT_FAILED; the exit code of its reason. */
int nl_event_failed(const struct nl_event *ev);
/* Report a message that breaks the protocol: CK_NOMODULE. */
int nl_bad_message(const char *what);

#endif
