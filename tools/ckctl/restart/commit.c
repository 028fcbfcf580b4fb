// SPDX-License-Identifier: GPL-2.0
/* All threads are parked: registers to each, then they go, at one instant. */
#include "restart.h"

#include <stdbool.h>
#include <sys/user.h>

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "../out.h"

static int set_thread(struct restart *r, const struct image_process *p,
		      const struct image_thread *t)
{
	const struct ckpt_rec_thread *rec = t->rec;
	bool ended = rec->flags & CKPT_THREAD_ENDED;
	/* Any will do for the little that it has to do. */
	const struct image_thread *with = ended ? &p->threads[1] : t;
	struct user_regs_struct regs;
	struct nl_msg *msg;
	int rc = ended ? regs_end(r, p, &regs) : regs_restart(p, t, &regs), err;

	if (rc)
		return rc;
	msg = nl_new(r->nl, CKPT_CMD_SET);
	if (!msg)
		return CK_FAILED;
	err = nla_put_s32(msg, CKPT_A_PID, rec->tid);
	err |= nla_put(msg, CKPT_A_REGS, sizeof(regs), &regs);
	err |= nla_put(msg, CKPT_A_XSTATE, (int)with->xstate_len, with->xstate);
	err |= nla_put_u64(msg, CKPT_A_SIGMASK, ended ? ~0ULL : rec->sigmask);
	if (rec->rseq_addr) {
		err |= nla_put_u64(msg, CKPT_A_RSEQ_ADDR, rec->rseq_addr);
		err |= nla_put_u32(msg, CKPT_A_RSEQ_LEN, rec->rseq_len);
		err |= nla_put_u32(msg, CKPT_A_RSEQ_SIG, rec->rseq_sig);
	}
	if (t == &p->threads[0] && p->rec->flags & CKPT_PROCESS_STOPPED)
		err |= nla_put_u32(msg, CKPT_A_STOPPED, p->rec->stop_signal);
	if (err) {
		nlmsg_free(msg);
		return fail(CK_DAMAGED, "the image's state of thread %d is too large", rec->tid);
	}
	return nl_request(r->nl, msg, NULL, NULL);
}

int commit(struct restart *r)
{
	struct nl_msg *msg;
	size_t i, t;
	int rc = CK_OK;

	for (i = 0; i < r->image->nr_processes; i++) {
		const struct image_process *p = &r->image->processes[i];

		for (t = 0; t < p->nr_threads && !rc; t++)
			rc = set_thread(r, p, &p->threads[t]);
	}
	msg = rc ? NULL : nl_new(r->nl, CKPT_CMD_COMMIT);
	if (!msg)
		return rc ? rc : CK_FAILED;
	rc = nl_request(r->nl, msg, NULL, NULL);
	return rc ? rc : nl_wait(r->nl, CKPT_EVENT_COMMITTED, -1, NULL, NULL);
}
