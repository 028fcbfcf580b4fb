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
# fault of a checkpoint. Two are saved in the other ways in which pages are written.
#
# And it must not pass when what it is there for is not restored: lib-controls.sh.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/lib-controls.sh
. "$(dirname "$0")/lib-controls.sh"

programs=("$@")
[ $# -gt 0 ] || programs=("${all_programs[@]}")
declare -A modes=([memory]=--stream [shm]=--stop)

for p in "${programs[@]}"; do
	check_program "$p" ${modes[$p]:-}
	run_controls "$p"
done
[ $# -gt 0 ] || run_common_controls
finish
