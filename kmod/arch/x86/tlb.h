/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CKPT_ARCH_X86_TLB_H
#define CKPT_ARCH_X86_TLB_H

#include <linux/atomic.h>
#include <linux/mm_types.h>

/**
 * ckpt_tlb_outdate() - make every CPU flush before it runs this mm again
 * @mm: an address space that no CPU runs now
 *
 * switch_mm and the resume from lazy TLB mode compare generations; the
 * functions that send IPIs are not exported, and nobody needs to be sent one.
 */
static inline void ckpt_tlb_outdate(struct mm_struct *mm)
{
	/* The page table writes before it must be seen by who sees the new generation. */
	smp_mb__before_atomic();
	atomic64_inc(&mm->context.tlb_gen);
	smp_mb__after_atomic();
}

#endif
