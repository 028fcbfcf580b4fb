#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=600
# shellcheck disable=SC2317 # check() calls the functions
#
# What becomes of a job's output, and of files that change between a checkpoint
# and a restart.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

log=$work/lines.log

own_log() {
	lines_start "$log" ">" && job_works lines && job_create lines && job_works lines &&
		job_kill lines && lines_restart /dev/null && job_works lines && job_end lines &&
		in_sequence "$log"
}

# Refused, because the job runs: nothing may have been cut.
refused_restart() {
	local before after
	lines_start "$log" ">" && job_create lines && job_works lines || return
	before=$(stat -c %s "$log")
	refused 10 running ckctl restart "$images/lines.ckpt" || return
	after=$(stat -c %s "$log")
	if [ "$after" -lt "$before" ]; then
		why "the running job's output had $before bytes, then $after"
		return 1
	fi
	job_end lines && in_sequence "$log"
}

# Others write to the log: what they wrote must stay.
common_log() {
	lines_start "$log" ">>" && job_create lines && job_works lines && job_kill lines || return
	echo "by somebody else" >>"$log"
	lines_restart "$log" && job_end lines && grep -q "by somebody else" "$log" && return
	why "the log lost what others wrote"
	return 1
}

replaced_log() {
	lines_start "$log" ">" && job_create lines && job_kill lines || return
	mv "$log" "$log.old"
	seq 1000 >"$log"
	refused 3 replaced ckctl restart "$images/lines.ckpt" &&
		lines_restart /dev/null --force && job_end lines
}

shorter_log() {
	lines_start "$log" ">" && job_works lines && job_create lines && job_kill lines || return
	echo >"$log"
	refused 3 shorter ckctl restart "$images/lines.ckpt"
}

fifo_output() {
	local reader
	rm -f "$work/fifo"
	mkfifo "$work/fifo"
	cat "$work/fifo" >"$work/first" &
	reader=$!
	lines_start "$work/fifo" ">" && job_works lines && job_create lines && job_kill lines || return
	wait $reader
	in_sequence "$work/first" || return
	: >"$work/second"
	lines_restart "$work/second" && job_end lines || return
	[ -s "$work/second" ] && return
	why "there is no output in the new stream"
	return 1
}

# The program itself is replaced while it runs, as an upgrade does it.
removed_program() {
	mkdir "$work/programs"
	cp "$bin/lines" "$work/programs/"
	bin=$work/programs lines_start "$log" ">" && rm "$work/programs/lines" && job_create lines &&
		job_works lines && job_kill lines && lines_restart /dev/null && job_end lines && in_sequence "$log"
}

check "a job's own output is cut back to the checkpoint" own_log
job_cleanup lines
check "a restart that is refused cuts nothing" refused_restart
job_cleanup lines
rm -f "$log"
check "what others write to the same file stays" common_log
job_cleanup lines
check "another file in its place is refused without --force" replaced_log
job_cleanup lines
check "a file that became shorter is refused" shorter_log
job_cleanup lines
check "a named pipe as standard output" fifo_output
job_cleanup lines
check "a program that was removed while it runs" removed_program
job_cleanup lines
finish
