/* SPDX-License-Identifier: GPL-2.0 */
/* One process: what is neither memory nor of one thread. */
#ifndef CKPT_STATE_PROCESS_H
#define CKPT_STATE_PROCESS_H

struct ckpt_session;
struct task_struct;

extern const struct ckpt_state_ops ckpt_process_ops;

int ckpt_process_check_sharing(struct ckpt_session *s);
void ckpt_process_stop(struct task_struct *leader, unsigned int signal);
void ckpt_process_stop_self(void);

#endif
