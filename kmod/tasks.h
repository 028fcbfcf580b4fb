/* SPDX-License-Identifier: GPL-2.0 */
/* The walk over the tasks of a session's cgroup. */
#ifndef CKPT_TASKS_H
#define CKPT_TASKS_H

#include <linux/types.h>

struct cgroup;
struct ckpt_process;
struct ckpt_session;
struct netlink_ext_ack;
struct task_struct;

bool ckpt_task_in(struct task_struct *t, struct cgroup *cgroup);
int ckpt_tasks_allowed(struct ckpt_session *s, struct cgroup *cgroup,
		       struct netlink_ext_ack *extack);
int ckpt_tasks_collect(struct ckpt_session *s);
const struct ckpt_process *ckpt_tasks_find(struct ckpt_session *s, struct task_struct *t);
struct task_struct *ckpt_tasks_running(struct ckpt_session *s);
int ckpt_tasks_outsiders(struct ckpt_session *s);
void ckpt_tasks_release_mms(struct ckpt_session *s);
void ckpt_tasks_release(struct ckpt_session *s);

#endif
