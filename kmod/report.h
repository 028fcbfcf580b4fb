/* SPDX-License-Identifier: GPL-2.0 */
/* Why not, in words: a session's failure and its events. */
#ifndef CKPT_REPORT_H
#define CKPT_REPORT_H

#include <linux/types.h>
#include <linux/ckpt.h>

struct ckpt_session;
struct task_struct;

/* Keep the first failure of a session: @err is negative and returned, @task
 * (may be NULL) is named by pid and comm in front of the sentence.  Takes
 * s->lock; may sleep. */
__printf(5, 6)
int ckpt_fail(struct ckpt_session *s, int err, enum ckpt_reason reason, struct task_struct *task,
	      const char *fmt, ...);

/* Keep one more thing that stands against a checkpoint.  For the worker; always
 * returns 0, so that all are found. */
__printf(4, 5)
int ckpt_obstacle(struct ckpt_session *s, int err, struct task_struct *task, const char *fmt, ...);

int ckpt_report_init(struct ckpt_session *s);
void ckpt_report_free(struct ckpt_session *s);

/* Unicast an event with what applies to it; a lost owner is no error. */
int ckpt_report_event(struct ckpt_session *s, enum ckpt_event event);
void ckpt_report_failure(struct ckpt_session *s);
void ckpt_report_progress(struct ckpt_session *s, u64 bytes);

#endif
