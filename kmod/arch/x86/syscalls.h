/* SPDX-License-Identifier: GPL-2.0 */
/* System calls that end with EINTR whatever interrupts their sleep. */
#ifndef CKPT_ARCH_X86_SYSCALLS_H
#define CKPT_ARCH_X86_SYSCALLS_H

#include <linux/types.h>

struct task_struct;

bool ckpt_syscall_is_fragile(struct task_struct *t);
bool ckpt_syscall_again(struct task_struct *t);
void ckpt_syscall_set_timeout(u64 ns);

#endif
