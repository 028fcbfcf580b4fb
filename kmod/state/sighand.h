/* SPDX-License-Identifier: GPL-2.0 */
/* Holding on to a frozen task that may be killed at any moment. */
#ifndef CKPT_STATE_SIGHAND_H
#define CKPT_STATE_SIGHAND_H

struct ckpt_session;
struct sighand_struct;
struct task_struct;

struct sighand_struct *ckpt_sighand_try_lock(struct task_struct *t);
struct sighand_struct *ckpt_sighand_lock(struct ckpt_session *s, struct task_struct *t);
struct sighand_struct *ckpt_sighand_lock_frozen(struct ckpt_session *s, struct task_struct *t);
void ckpt_sighand_unlock(struct sighand_struct *sighand);

#endif
