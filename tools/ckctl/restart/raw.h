/* SPDX-License-Identifier: GPL-2.0 */
/*
 * System calls for code that shares its thread-local storage with a thread
 * that runs: no errno, no stack protector, no cancellation.  The result is
 * the kernel's, -errno on failure.
 */
#ifndef CKCTL_RAW_H
#define CKCTL_RAW_H

static inline long raw_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return rc;
}

#endif
