/* SPDX-License-Identifier: GPL-2.0 */
/* Dead children that the job's processes have not waited for. */
#ifndef CKPT_STATE_ZOMBIE_H
#define CKPT_STATE_ZOMBIE_H

struct ckpt_session;

int ckpt_zombies_check(struct ckpt_session *s);
int ckpt_zombies_dump(struct ckpt_session *s);

#endif
