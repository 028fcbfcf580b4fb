/* SPDX-License-Identifier: GPL-2.0 */
/* Signal actions and pending signals. */
#ifndef CKPT_STATE_SIGNALS_H
#define CKPT_STATE_SIGNALS_H

extern const struct ckpt_state_ops ckpt_signals_ops;

#endif
