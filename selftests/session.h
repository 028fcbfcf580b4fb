/* SPDX-License-Identifier: GPL-2.0 */
/* For tests that are the module's user themselves: the requests of a checkpoint, results as TAP. */
#ifndef SELFTESTS_SESSION_H
#define SELFTESTS_SESSION_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "nl.h"
#include "out.h"

#define SS_MAX	16	/* processes in one proof */

/* ---- results ---- */

static int ss_nr_tests, ss_nr_failed;
static char reason[256];

/* The first sentence wins; -1. */
static inline __attribute__((format(printf, 1, 2))) int because(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!reason[0])
		vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	return -1;
}

static inline void ss_result(int failed, const char *what, const char *detail)
{
	ss_nr_tests++;
	ss_nr_failed += !!failed;
	if (failed)
		printf("# %s\n", reason[0] ? reason : "what came before it failed");
	printf("%sok %d - %s%s\n", failed ? "not " : "", ss_nr_tests, what, detail);
	reason[0] = '\0';
	fflush(stdout);
}

/*
 * A test's first step: a page that its processes share, and its cgroup. Ends the
 * program outside of a test VM, or when it cannot be set up.
 */
static inline void *ss_begin(const char *cgroup)
{
	void *page;

	if (access("/run/vm/config", F_OK) < 0) {
		printf("1..0 # SKIP this runs only in a test VM\n");
		exit(4);
	}
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || (mkdir(cgroup, 0755) < 0 && errno != EEXIST)) {
		printf("Bail out! cannot set up: %s\n", strerror(errno));
		exit(1);
	}
	return page;
}

static inline int ss_done(void)
{
	printf("1..%d\n", ss_nr_tests);
	return ss_nr_failed ? 1 : 0;
}

/* ---- requests ---- */

static inline int ss_request(struct nl *nl, struct nl_msg *msg, enum ckpt_event want,
			     struct nl_event *ev)
{
	int rc = msg ? nl_request(nl, msg, NULL, NULL) : CK_FAILED;

	return rc ? rc : nl_wait(nl, want, 60000, NULL, ev);
}

/* How many processes the caller sees of those that are frozen, at most @room; -1. */
static inline int ss_freeze(struct nl *nl, const char *cgroup, int *pids, int room)
{
	struct nl_msg *msg = nl_new(nl, CKPT_CMD_FREEZE);
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;
	struct nl_event ev = { 0 };

	nla_put_s32(msg, CKPT_A_CGROUP_FD, fd);
	rc = ss_request(nl, msg, CKPT_EVENT_FROZEN, &ev);
	close(fd);
	if (rc)
		return because("the job cannot be frozen");
	if (ev.nr_pids > (size_t)room)
		return because("%zu processes were frozen", ev.nr_pids);
	memcpy(pids, ev.pids, ev.nr_pids * sizeof(*pids));
	return (int)ev.nr_pids;
}

/* PROVE with the files @name of these processes, which /proc shows by these numbers. */
static inline int ss_prove(struct nl *nl, const int *pids, int nr, const char *name, bool omit)
{
	struct nl_msg *msg = nl_new(nl, CKPT_CMD_PROVE);
	int fds[SS_MAX], i, rc;
	char path[64];

	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pids[i], name);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
	}
	nla_put(msg, CKPT_A_MEM_FDS, (int)((size_t)nr * sizeof(fds[0])), fds);
	if (omit)
		nla_put_flag(msg, CKPT_A_OMIT);
	rc = nl_request(nl, msg, NULL, NULL);
	for (i = 0; i < nr; i++)
		close(fds[i]);
	return rc;
}

static inline int ss_snapshot(struct nl *nl, enum ckpt_mode mode, struct nl_event *ev)
{
	struct nl_msg *msg = nl_new(nl, CKPT_CMD_SNAPSHOT);

	nla_put_u32(msg, CKPT_A_MODE, mode);
	return ss_request(nl, msg, CKPT_EVENT_SNAPPED, ev);
}

static inline int ss_thaw(struct nl *nl)
{
	struct nl_event ev = { 0 };

	return ss_request(nl, nl_new(nl, CKPT_CMD_THAW), CKPT_EVENT_THAWED, &ev) ?
	       because("the job cannot be thawed") : 0;
}

struct ss_records {
	uint8_t *data;
	size_t len;
};

static inline int ss_add_records(struct nlattr **tb, void *arg)
{
	struct ss_records *r = arg;
	size_t len;
	uint8_t *more;

	if (!tb[CKPT_A_RECORDS])
		return 0;
	len = (size_t)nla_len(tb[CKPT_A_RECORDS]);
	more = realloc(r->data, r->len + len);
	if (!more)
		return CK_FAILED;
	memcpy(more + r->len, nla_data(tb[CKPT_A_RECORDS]), len);
	r->data = more;
	r->len += len;
	return 0;
}

/* CKPT_CMD_DUMP or CKPT_CMD_DUMP_PAGES. */
static inline int ss_fetch(struct nl *nl, enum ckpt_cmd cmd, struct ss_records *r)
{
	return nl_fetch(nl, nl_new(nl, cmd), ss_add_records, r) ?
	       because("the records cannot be fetched") : 0;
}

#endif
