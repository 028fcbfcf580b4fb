#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
# A job that does not run on after its checkpoint: it ends (--kill), or stands
# still (--leave-frozen, or because somebody has frozen it) until it is let go on.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

log=$work/lines.log

is_frozen() { cgroup_says "frozen 1"; }

cgroup_says() {	# LINE, now and not some time later
	grep -qx "$1" "$(job_cgroup lines)/cgroup.events" && return 0
	why "cgroup.events does not say \"$1\" but: $(cat "$(job_cgroup lines)/cgroup.events")"
	return 1
}

# Whatever is done to a job that stands still, its output gets no longer.
nothing_written() {	# SIZE
	[ "$(stat -c %s "$log")" = "$1" ] && return 0
	why "the job's output had $1 bytes and has $(stat -c %s "$log")"
	return 1
}

# From the image, and on to the end.
goes_on() {
	lines_restart /dev/null && job_end lines && in_sequence "$log"
}

# It ended in the state that was saved: nothing was written after that.
killed() {
	lines_start "$log" ">" && job_works lines && job_create lines --kill || return
	if [ -s "$(job_cgroup lines)/cgroup.procs" ]; then
		why "ckctl has ended, but not the job: $(cat "$(job_cgroup lines)/cgroup.procs")"
		return 1
	fi
	wait $keeper
	"$waitfor" "$wait_s" gone "$(job_cgroup lines)" && no_session && image_clean "$images/lines.ckpt" && goes_on || return
	! grep "cut back" "$(job_dir lines).out" && return
	why "it wrote after it was saved: $(cat "$(job_dir lines).out")"
	return 1
}

# What could not be saved must not be lost.
not_killed() {
	lines_start "$log" ">" && job_works lines && refused 9 nosuch ckctl create lines --kill ImageDir="$work/nosuch" &&
		runs_on lines && job_end lines && in_sequence "$log"
}

left_frozen() {
	local size
	lines_start "$log" ">" && job_works lines && job_create lines --leave-frozen && is_frozen || return
	size=$(stat -c %s "$log")
	# The module is not needed for that.
	no_session && modprobe -r ckpt && is_frozen && modprobe ckpt || { why "the module cannot be removed"; return 1; }
	job_create lines && is_frozen && job_create lines --leave-frozen && is_frozen && nothing_written $size &&
		ckctl thaw lines && runs_on lines && job_end lines && in_sequence "$log"
}

# The image of a job that stood still is one of a job that runs.
saved_frozen() {
	lines_start "$log" ">" && job_works lines && job_create lines --leave-frozen && job_create lines && is_frozen &&
		job_kill lines && goes_on
}

# By an administrator, say: not for us to let it run.
frozen_before() {
	local size option
	lines_start "$log" ">" && job_works lines && echo 1 >"$(job_cgroup lines)/cgroup.freeze" &&
		"$waitfor" "$wait_s" cgroup "$(job_cgroup lines)" frozen 1 || return
	size=$(stat -c %s "$log")
	for option in -q --stop --stream; do
		job_create lines $option && is_frozen && nothing_written $size || return
	done
	refused 9 nosuch ckctl create lines ImageDir="$work/nosuch" && ckctl check lines && is_frozen || return
	echo 0 >"$(job_cgroup lines)/cgroup.freeze"
	runs_on lines && job_kill lines && goes_on
}

thaw_of_none() {
	lines_start "$log" ">" && expect_status 0 ckctl thaw lines && one_sentence "not frozen" && job_works lines &&
		job_end lines
}

run() {	# DESCRIPTION FUNCTION [ARG…]
	check "$@"
	job_cleanup lines
	rm -rf "$images/lines.ckpt"
}

run "--kill: the job ends as it was saved" killed
run "--kill: not when it could not be saved" not_killed
run "--leave-frozen: it stands still until thaw" left_frozen
run "a job that stands still is saved as any other" saved_frozen
run "who was frozen by somebody else stays frozen" frozen_before
run "thaw of a job that runs" thaw_of_none
finish
