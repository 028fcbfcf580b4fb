#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
#
# A timeout counts the time that was left: under checkpoints made one after the
# other it runs out when it would have, and after a restart as much later as the
# program was gone. The programs see to it that nothing ends early. The same for
# timers.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

timeout_ms=6000	# T_MS of timed.h
late_ms=$((2500 * ${TIMEOUT_FACTOR:-1}))

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
	while [ ! -e "$(job_dir "$name")/ends" ] && [ $(($(now_ms) - start)) -lt $((timeout_ms + 2 * late_ms)) ]; do
		status=0
		ckctl create "$name" || status=$?
		case " $expected " in
		*" $status "*) ;;
		*) why "ckctl create ended with status $status"; return 1 ;;
		esac
		nr=$((nr + 1))
	done
	echo "$nr checkpoints"
	if [ $nr -lt 3 ]; then
		why "there were only $nr checkpoints"
		return 1
	fi
	job_await "$name" ends && cat "$(job_dir "$name")/ends" &&
		ends_within "$name" "$timeout_ms" $((timeout_ms + late_ms)) "${3:-}" && job_end "$name"
}

after_restart() {
	local before made killed back
	job_start timeouts timeouts || return 1
	read -r -t 1 -u "$never"
	before=$(now_ms)
	job_create timeouts || return 1
	made=$(now_ms)
	job_kill timeouts || return 1
	# As long as to see that a deadline was moved.
	read -r -t 3 -u "$never"
	killed=$(now_ms)
	job_restart timeouts || return 1
	back=$(now_ms)
	job_await timeouts ends && cat "$(job_dir timeouts)/ends" &&
		ends_within timeouts $((timeout_ms + killed - made)) $((timeout_ms + back - before + late_ms)) &&
		job_end timeouts
}

# Memory takes its time to be read in.
timers_restarted() {
	job_start countdown countdown && job_works countdown && job_create countdown && job_kill countdown ||
		return 1
	touch "$(job_dir countdown)/restarted"
	job_restart countdown && job_works countdown && job_end countdown
}

check "timeouts: under one checkpoint after the other" under_checkpoints timeouts 0
job_cleanup timeouts
check "timeouts: restarted" after_restart
job_cleanup timeouts
# Their descriptors are refused, after the job was stopped for a moment.
check "timeouts: under checkpoints that are refused" under_checkpoints epolls "0 3" socket
job_cleanup epolls
check "timers: run from the restart's end on" timers_restarted
job_cleanup countdown
finish
