#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
# A restart in another place, or with fewer rights, than the checkpoint: CPU
# affinity is clipped to what there is, what may not be given is told, and another
# kernel's vdso is replaced.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

all=$(cat /sys/devices/system/cpu/online)

# The process of the job: it has become what it was told to run.
job_pid() {
	head -n 1 "$(job_cgroup place)/cgroup.procs" 2>/dev/null
}

await_comm() {	# NAME
	local n
	for ((n = 0; n < wait_s * 50; n++)); do
		[ "$(cat "/proc/$(job_pid)/comm" 2>/dev/null)" != "$1" ] || return 0
		read -r -t 0.02 -u "$never"
	done
	why "the job does not run $1"
	return 1
}

saved() {	# COMMAND…: run it as a job, save it, end it
	ckctl run --name=place --checkpoint-dir="$images" -- "$@" </dev/null >"$work/place.out" 2>&1 &
	keeper=$!
	await_comm sleep && ckctl create place && job_kill place
}

restart_in() {	# COMMAND…, which is given one
	"$@" ckctl restart "$images/place.ckpt" --detach </dev/null 2>"$work/stderr" && await_comm sleep && return
	why "the restart failed: $(tail -n 5 "$work/stderr")"
	return 1
}

expect() {	# FIELD VALUE
	local value
	value=$(sed -n "s/^$1:[[:space:]]*//p" "/proc/$(job_pid)/status")
	echo 1 >"$(job_cgroup place)/cgroup.kill"
	"$waitfor" "$wait_s" gone "$(job_cgroup place)" || return 1
	[ "$value" = "$2" ] && return
	why "$1 is $value instead of $2"
	return 1
}

unbound() {
	saved sleep 1000 && restart_in taskset -c 1 && expect Cpus_allowed_list 1 &&
		restart_in env && expect Cpus_allowed_list "$all"
}

bound() {
	saved taskset -c 1 sleep 1000 && restart_in env && expect Cpus_allowed_list 1 &&
		restart_in taskset -c 0 && expect Cpus_allowed_list 0
}

# Real-time priority, nice value and oom_score_adj: told, and done without.
fewer_rights() {
	saved bash -c 'echo -500 >/proc/self/oom_score_adj; exec chrt -r 5 sleep 1000' &&
		restart_in capsh --drop=cap_sys_nice,cap_sys_resource -- -c '"$@"' -- || return
	cat "$work/stderr"
	grep -q 'real-time priority 5' "$work/stderr" || { why "nothing is said of the real-time priority"; return 1; }
	grep -q 'oom_score_adj -500' "$work/stderr" || { why "nothing is said of oom_score_adj"; return 1; }
	chrt -p "$(job_pid)" | grep -q SCHED_OTHER || { why "its policy: $(chrt -p "$(job_pid)")"; return 1; }
	expect State "S (sleeping)"
}

all_rights() {
	restart_in env || return
	chrt -p "$(job_pid)" | grep -q 'SCHED_RR' || { why "its policy: $(chrt -p "$(job_pid)")"; return 1; }
	[ "$(cat "/proc/$(job_pid)/oom_score_adj")" = -500 ] || { why "its oom_score_adj is another"; return 1; }
	expect State "S (sleeping)"
}

# All code of that kernel's vdso traps: this kernel's must be called in its place; and
# so on in an image of that.
other_kernel() {	# PROGRAM
	job_start "$1" "$1" && job_create "$1" && job_kill "$1" &&
		"$bin/alter" "$images/$1.ckpt" without vdso-code && job_restart "$1" && job_works "$1" &&
		job_create "$1" && job_works "$1" && job_kill "$1" && job_restart "$1" && job_works "$1" &&
		"$bin/alter" "$images/$1.ckpt" without vdso-code && job_kill "$1" && job_restart "$1" &&
		job_works "$1" && job_end "$1"
}

if [ "$(nproc)" -lt 2 ]; then
	echo "1..0 # SKIP there is one CPU only"
	exit 4
fi
check "what was bound to no CPU is bound to those of the restart only" unbound
check "what was bound to a CPU is so again, or to what there is" bound
check "what may not be given is told, and the job goes on" fewer_rights
check "root gives it" all_rights
job_cleanup place
for p in clock threads; do
	check "an image of another kernel: $p" other_kernel $p
	job_cleanup $p
done
finish
