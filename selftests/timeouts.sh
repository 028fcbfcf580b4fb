#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2086 # what is unquoted is a number
#
# A timeout counts the time that was left: under checkpoints made one after the
# other it runs out when it would have, and after a restart as much later as the
# program was gone. The programs see to it that nothing ends early. The same for
# timers.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

# How long the programs sleep: longer on a machine on which that is too short a
# time for the test.
set_time() {	# MS
	export T_MS=$1
	late_ms=$((T_MS / 2))
	wait_s=$((30 * ${TIMEOUT_FACTOR:-1} + T_MS / 500))
}
too_fast=20

with_time_enough() {	# FUNCTION ARG…
	local rc ms
	for ms in 6000 20000 60000; do
		set_time $ms
		rc=0
		"$@" || rc=$?
		[ $rc = $too_fast ] || return $rc
		job_cleanup "$2"
	done
	why "all was over before the checkpoints were made"
	return 1
}

now_ms() { awk '{ printf "%d\n", $1 * 1000 }' /proc/uptime; }

# All ends within MIN and MAX; of NAMES it does not matter.
ends_within() {	# NAME MIN MAX [NAMES]
	awk -v min="$2" -v max="$3" -v but=" ${4:-} " '
		index(but, " " $1 " ") { next }
		$2 < min || $2 > max { print $1 " ended after " $2 " ms instead of " min " to " max " ms"; bad = 1 }
		END { exit bad }' "$(job_dir "$1")/ends" >"$work/wrong" && return 0
	why <"$work/wrong"
	return 1
}

# Checkpoints until all is over; STATUS is what ckctl may say.
under_checkpoints() {	# NAME STATUS [NAMES]
	local name=$1 expected=$2 status nr=0 start
	job_start "$name" "$name" || return 1
	start=$(now_ms)
	# Made longer by each checkpoint, they would go on as long as there are any.
	while [ ! -e "$(job_dir "$name")/ends" ] && [ $(($(now_ms) - start)) -lt $((2 * T_MS)) ]; do
		status=0
		ckctl create "$name" || status=$?
		case " $expected " in
		*" $status "*) ;;
		*) why "ckctl create ended with status $status"; return 1 ;;
		esac
		nr=$((nr + 1))
	done
	echo "$nr checkpoints"
	# The last one may have come too late.
	[ $nr -ge 4 ] || return $too_fast
	job_await "$name" ends && cat "$(job_dir "$name")/ends" &&
		ends_within "$name" "$T_MS" $((T_MS + late_ms)) "${3:-}" && job_end "$name"
}

after_restart() {	# timeouts
	local began before made killed back
	began=$(now_ms)
	job_start timeouts timeouts || return 1
	read -r -t 1 -u "$never"
	before=$(now_ms)
	job_create timeouts || return 1
	made=$(now_ms)
	[ ! -e "$(job_dir timeouts)/ends" ] && [ $((made - began)) -lt "$T_MS" ] || return $too_fast
	job_kill timeouts || return 1
	# As long as to see that a deadline was moved.
	read -r -t 3 -u "$never"
	killed=$(now_ms)
	job_restart timeouts || return 1
	back=$(now_ms)
	job_await timeouts ends && cat "$(job_dir timeouts)/ends" &&
		ends_within timeouts $((T_MS + killed - made)) $((T_MS + back - before + late_ms)) &&
		job_end timeouts
}

# Memory takes its time to be read in.
timers_restarted() {
	job_start countdown countdown && job_works countdown && job_create countdown && job_kill countdown ||
		return 1
	touch "$(job_dir countdown)/restarted"
	job_restart countdown && job_works countdown && job_end countdown
}

# Have these commands of ckctl's run where the clocks that begin with a machine's start show
# less: in a time namespace.
elsewhere() {	# COMMANDS FUNCTION ARG…
	local there=" $1 " back_s rc=0
	shift
	back_s=$(($(now_ms) / 1000 - 5))
	touch "$work/clocks"
	unshare --time="$work/clocks" --monotonic -$back_s --boottime -$back_s true 2>/dev/null ||
		{ skip "this kernel has no time namespaces"; return; }
	ckctl() {
		case $there in
		*" $1 "*) nsenter --time="$work/clocks" "$(type -P ckctl)" "$@" ;;
		*) command ckctl "$@" ;;
		esac
	}
	"$@" || rc=$?
	unset -f ckctl
	umount "$work/clocks"
	return $rc
}
rebooted() { elsewhere restart "$@"; }
out_of_container() { elsewhere "run create" "$@"; }

check "timeouts: under one checkpoint after the other" with_time_enough under_checkpoints timeouts 0
job_cleanup timeouts
check "timeouts: restarted" with_time_enough after_restart timeouts
job_cleanup timeouts
check "timeouts: restarted after a reboot" rebooted with_time_enough after_restart timeouts
job_cleanup timeouts
check "timeouts: saved in a time namespace" out_of_container with_time_enough after_restart timeouts
job_cleanup timeouts
# Their descriptors are refused, after the job was stopped for a moment.
check "timeouts: under checkpoints that are refused" with_time_enough under_checkpoints refused "0 3" socket
job_cleanup refused
check "timers: run from the restart's end on" timers_restarted
job_cleanup countdown
check "timers: after a reboot as well" rebooted timers_restarted
job_cleanup countdown
check "timers: saved in a time namespace" out_of_container timers_restarted
job_cleanup countdown
check "timer descriptors: restarted after a reboot" rebooted restarted events
job_cleanup events
finish
