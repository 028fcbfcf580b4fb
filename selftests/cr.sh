#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1800
# shellcheck disable=SC2086 # what is unquoted is a number
#
#   selftests/cr.sh [PROGRAM…]
#
# Every test program must pass: undisturbed; checkpointed twice under way;
# killed and restarted; restarted again from the same image; and restarted
# from a checkpoint of that. The first is the control: what fails there is no
# fault of a checkpoint.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

programs=("$@")
[ $# -gt 0 ] || programs=(
	regs threads memory advice shm signals timers
	pids orphans zombies stopped exited_main attributes creds chroots
	files removed tempfiles mapped pipes fifos events
	syscalls fragile relaunch
)

for p in "${programs[@]}"; do
	check_program "$p"
done
finish
