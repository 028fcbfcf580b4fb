/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who may checkpoint what.  Freezing needs the caller's uid on every task of
 * the cgroup, or CAP_SYS_ADMIN; reading a process needs the proof that the
 * kernel itself judged: a file that the caller opened from /proc/PID/mem.
 * Restarted into are only descendants of the one who opened the session, with
 * that one's uid or, when it has CAP_SYS_ADMIN, anybody's.
 */
#ifndef CKPT_ACCESS_H
#define CKPT_ACCESS_H

#include <linux/types.h>

struct ckpt_session;
struct netlink_ext_ack;
struct sk_buff;
struct task_struct;

int ckpt_access_init(void);
void ckpt_access_exit(void);
bool ckpt_access_can_prove(void);

int ckpt_access_sender(struct sk_buff *skb, struct netlink_ext_ack *extack);
bool ckpt_access_capable(struct sk_buff *skb, int cap);
const char *ckpt_access_skeleton(const struct ckpt_session *s, struct sk_buff *skb);
bool ckpt_access_owns(const struct ckpt_session *s, struct task_struct *t);
int ckpt_access_prove(struct ckpt_session *s, const s32 *fds, unsigned int nr, bool omit,
		      struct netlink_ext_ack *extack);
int ckpt_access_check_proofs(struct ckpt_session *s);

#endif
