// SPDX-License-Identifier: GPL-2.0
/* What is saved, in the order in which it is checked, saved and restored. */
#include "state.h"

extern const struct state_ops state_attributes, state_mm, state_shm, state_fds, state_files,
	state_objects, state_tempfiles, state_locks, state_pipes, state_fifo, state_eventfd, state_timerfd,
	state_signalfd, state_epoll, state_signals, state_timers, state_fs,
	state_rlimits, state_sched, state_relaunch, state_cred;

const struct state_ops *const state_table[] = {
	/* First: what follows reads /proc/self. */
	&state_attributes,
	&state_mm,
	&state_shm,
	&state_fds,
	&state_files,
	&state_objects,
	&state_tempfiles,
	&state_locks,
	&state_pipes,
	&state_fifo,
	&state_eventfd,
	&state_timerfd,
	&state_signalfd,
	&state_epoll,
	&state_signals,
	&state_timers,
	&state_fs,
	&state_rlimits,
	&state_sched,
	&state_relaunch,
	/* Last: what follows could no longer be allowed. */
	&state_cred,
	NULL,
};
