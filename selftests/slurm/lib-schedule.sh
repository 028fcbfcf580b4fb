# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # variables for who sources this, and of lib.sh
#
# What is known of a schedule of checkpoints, as "ckctl status" tells it.

status() { as_user ckctl --json status "$1"; }
# A field of it, or of the last checkpoint or failure in it, such as last.time; "" for none.
field() {	# JOB FIELD
	status "$1" 2>/dev/null | python3 -c '
import json, sys
text = sys.stdin.read()
value = json.loads(text) if text else None
for key in sys.argv[1].split("."):
    value = value[key] if value else None
print("" if value is None else value)' "$2"
}
has() { [ -n "$(field "$1" "$2")" ]; }
field_await() {	# JOB FIELD
	await "$wait_s" has "$1" "$2" && return 0
	why "there is no \"$2\" after $wait_s s in: $(status "$1" 2>&1)"
	return 1
}
newer() { [ "$(field "$1" last.time || echo 0)" -gt "$2" ]; } 2>/dev/null
# Wait for a checkpoint after this moment.
checkpointed() {	# JOB
	local now
	now=$(date +%s)
	await "$wait_s" newer "$1" "$now" && return 0
	why "no checkpoint was made within $wait_s s: $(status "$1" 2>&1)"
	cat ./*.out
	return 1
}

# Long enough for any test; ends at once when it is told to.
work_on='while [ ! -e stop ]; do sleep 0.2; done'

begin() {	# NAME "COMMAND" SBATCH-OPTION…: a batch job that runs
	local name=$1 command=$2
	shift 2
	rm -f stop started
	job_submit "$name" -w node0 --checkpoint-dir="$images" "$@" <<<$'#!/bin/bash\ntouch started\n'"$command" &&
		file_await started
}
end() {	# JOB
	touch stop
	job_await "$1" COMPLETED
}
