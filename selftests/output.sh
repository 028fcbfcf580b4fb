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

# It does nothing more after the checkpoint.
last_create() {	# NAME
	echo 1 >"$(job_cgroup "$1")/cgroup.freeze"
	"$waitfor" "$wait_s" cgroup "$(job_cgroup "$1")" frozen 1 && job_create "$1" && job_kill "$1"
}

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

# As a file server may leave it: the same length, another time.
touched_log() {
	lines_start "$log" ">" && job_works lines && last_create lines || return
	touch "$log"
	lines_restart /dev/null && job_end lines && in_sequence "$log" &&
		says "$log was written to since the checkpoint, but is no longer" "$(job_dir lines).out"
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

# What the job has mapped shared, and open for a moment at most; its file is in no place for temporary ones.
mapped_start() { TMPDIR=/tmp job_start mapped mapped; }

mapped_refused() {	# FILE TEXT
	expect_status 3 ckctl restart "$images/mapped.ckpt" &&
		says "$(job_dir mapped)/$1\(, which process .* had mapped,\| of pid .*\) $2" "$work/stderr"
}

# Of then and of now: the program sees that they do not belong together.
mapped_forced() {	# FILE
	job_rewind mapped
	ckctl restart "$images/mapped.ckpt" --force >"$work/out" 2>"$work/stderr" </dev/null &
	keeper=$!
	"$waitfor" "$wait_s" file "$(job_dir mapped)/failed" >/dev/null || { why "the program sees no change"; return 1; }
	wait $keeper
	says "$(job_dir mapped)/$1 has changed since the checkpoint and is taken" "$work/stderr"
}

# Pages that were on the disk at the checkpoint, so that the time tells of every write.
mapped_changed() {
	mapped_start && job_works mapped && job_create mapped && sync && job_works mapped && job_kill mapped &&
		mapped_refused tmp/written "has changed" && mapped_forced tmp/written
}

mapped_replaced() {
	mapped_start && last_create mapped || return
	head -c 300000 /dev/urandom >"$work/copy" && mv "$work/copy" "$(job_dir mapped)/read"
	mapped_refused read "was replaced" && mapped_forced read
}

# Written again in place, to the same length.
mapped_rewritten() {
	mapped_start && last_create mapped || return
	head -c 262144 /dev/urandom | dd of="$(job_dir mapped)/read" conv=notrunc status=none
	mapped_refused read "has changed"
}

# The very same as then; of what was written to at the time, only the job knew.
mapped_unchanged() {
	mapped_start && job_works mapped && last_create mapped && sync && job_restart mapped && job_works mapped &&
		says "tmp/written, which the job had mapped, may have been written to" "$(job_dir mapped).out" &&
		job_end mapped || return
	! grep "/read" "$(job_dir mapped).out" || { why "something is said of what was only read"; return 1; }
}

# What nscd rewrites at any time, and libc has mapped.
name_cache() {
	mkdir -p /var/cache/nscd && head -c 8192 /dev/zero >/var/cache/nscd/test || return
	ckctl run --name=mapped --checkpoint-dir="$images" -- python3 -c 'import mmap, time
with open("/var/cache/nscd/test", "rb") as f:
    m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
open("names", "w").close()
time.sleep(1000)' </dev/null >"$work/out" 2>&1 &
	keeper=$!
	"$waitfor" "$wait_s" file names && ckctl create mapped && job_kill mapped || return
	touch /var/cache/nscd/test
	ckctl restart "$images/mapped.ckpt" --detach
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
check "one that has another time, and the same length, is taken, and that is said" touched_log
job_cleanup lines
if [ "$top" = /mnt/disk ]; then
	check "a file that the job wrote through a mapping is refused without --force" mapped_changed
	job_cleanup mapped
	check "another file in place of a mapped one is refused without --force" mapped_replaced
	job_cleanup mapped
	check "a mapped file that was written again is refused" mapped_rewritten
	job_cleanup mapped
	check "mapped files that are as they were" mapped_unchanged
	job_cleanup mapped
fi
check "a mapped cache of names is taken as it is" name_cache
job_cleanup mapped
check "a named pipe as standard output" fifo_output
job_cleanup lines
check "a program that was removed while it runs" removed_program
job_cleanup lines
finish
