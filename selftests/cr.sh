#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
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
[ $# -gt 0 ] || programs=(regs threads memory shm signals timers pids files pipes syscalls)

undisturbed() {
	local dir pid
	dir=$(job_dir "$1")
	mkdir "$dir"
	"$bin/$1" "$dir" &
	pid=$!
	job_await "$1" ready && job_works "$1" && touch "$dir/stop" && job_await "$1" passed && wait $pid && return
	kill -9 $pid
	return 1
}

checkpointed() {
	job_start "$1" "$1" && job_create "$1" && job_works "$1" && job_create "$1" && job_works "$1" &&
		job_end "$1" || return
	ckctl verify "$images/$1.ckpt" && return
	why "ckctl verify ended with status $?"
	return 1
}

# What comes after the checkpoint must not be seen by the restarted one.
restarted() {
	job_start "$1" "$1" && job_works "$1" && job_create "$1" && job_works "$1" && job_kill "$1" &&
		job_restart "$1" && job_works "$1" && job_end "$1"
}

restarted_again() {
	[ -d "$images/$1.ckpt" ] && job_restart "$1" && job_works "$1"
}

restarted_twice() {
	[ -d "$(job_cgroup "$1")" ] && job_create "$1" && job_works "$1" && job_kill "$1" &&
		job_restart "$1" && job_works "$1" && job_end "$1"
}

for p in "${programs[@]}"; do
	check "$p: undisturbed" undisturbed "$p"
	check "$p: checkpointed twice and gone on" checkpointed "$p"
	job_cleanup "$p"
	check "$p: killed and restarted" restarted "$p"
	job_cleanup "$p"
	check "$p: restarted again from the same image" restarted_again "$p"
	check "$p: restarted from a checkpoint of that" restarted_twice "$p"
	job_cleanup "$p"
done
finish
