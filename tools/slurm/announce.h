/* SPDX-License-Identifier: GPL-2.0 */
/* In an srun that srun_cr runs: tell that which step has been launched. */
#ifndef CKPT_SLURM_ANNOUNCE_H
#define CKPT_SLURM_ANNOUNCE_H

#include <stdint.h>

/* Returns when it is known there; without srun_cr, at once. */
void announce_step(uint32_t job, uint32_t step);

#endif
