/* SPDX-License-Identifier: GPL-2.0 */
/* Threads that a freeze wakes in the middle of a system call go on sleeping. */
#ifndef CKPT_SLEEPERS_H
#define CKPT_SLEEPERS_H

struct ckpt_session;

void ckpt_sleepers_watch(struct ckpt_session *s);
void ckpt_sleepers_mend(struct ckpt_session *s);

#endif
