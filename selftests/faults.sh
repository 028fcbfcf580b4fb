#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
# Whatever goes wrong, the job runs on within a second, the former image is as
# it was, the user is told why, and nothing is left behind.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

seed_random
factor=${TIMEOUT_FACTOR:-1}	# of a slow machine

# A file system of SIZE megabytes in a file, mounted at $work/NAME.
loop_mount() {	# NAME SIZE
	modprobe loop
	truncate -s "$2M" "$work/$1.img" && mke2fs -q -t ext4 "$work/$1.img" && mkdir -p "$work/$1" &&
		mount -o loop "$work/$1.img" "$work/$1" && return
	skip "there is no loop device"
}

# Not what lies under it if it is not mounted.
loop_freeze() { mountpoint -q "$work/$1" && fsfreeze -f "$work/$1"; }
loop_thaw() { mountpoint -q "$work/$1" && fsfreeze -u "$work/$1"; }

loop_umount() {	# NAME
	mountpoint -q "$work/$1" || return
	loop_thaw "$1" 2>/dev/null
	umount "$work/$1"
	rm -f "$work/$1.img"
}

# ---- ckctl is killed ----

create_killed() {
	local took n at pid killed=0
	job_start big big || return
	took=$(microseconds)
	job_create big || return
	took=$(($(microseconds) - took))
	[ $took -lt 999999 ] || took=999999
	for ((n = 0; n < 16; n++)); do
		ckctl create big &
		pid=$!
		draw at $took
		pause_us $at
		! kill -9 $pid || killed=$((killed + 1))
		wait $pid
		runs_on big && image_proved "$images/big.ckpt" || return
	done
	echo "killed $killed of $n"
	[ $killed -ge 4 ] || why "only $killed of $n were still at work when they were killed"
	[ $killed -ge 4 ] && no_session && job_create big && image_clean "$images/big.ckpt" && job_end big
}

# Either nothing of it is left, or it was complete and the job works.
restart_killed() {
	local took n at gone=0
	job_start big big && job_create big && job_kill big || return
	took=$(microseconds)
	job_restart big && job_kill big || return
	took=$(($(microseconds) - took))
	[ $took -lt 999999 ] || took=999999
	for ((n = 0; n < 12; n++)); do
		job_rewind big
		ckctl restart "$images/big.ckpt" &
		keeper=$!
		draw at $took
		pause_us $at
		kill -9 $keeper
		wait $keeper
		if "$waitfor" $((3 * factor)) gone "$(job_cgroup big)"; then
			gone=$((gone + 1))
		elif [ -z "$(cat "$(job_cgroup big)/cgroup.procs")" ]; then
			why "killed after $at us: its cgroup is left behind, empty"
			return 1
		elif ! job_works big; then
			why "killed after $at us: processes are left that do not work"
			return 1
		fi
		job_cleanup big
	done
	echo "$gone of $n left nothing"
	no_session && job_restart big && job_end big
}

# ---- time ----

max_wait() {
	local tries
	loop_mount slow 300 || return
	BIG_MB=100 job_start big big && ckctl create big ImageDir="$work/slow" || return
	for ((tries = 0; tries < 5; tries++)); do
		overtaken=''
		max_wait_once || return
		[ -n "$overtaken" ] || break
	done
	[ -z "$overtaken" ] || { why "the disk never stood still in time"; return 1; }
	no_session && image_proved "$work/slow/big.ckpt" && job_end big
}

# Sets overtaken when all pages were on the disk before that stood still.
max_wait_once() {
	local status=0 pid
	# A file system that stands still when the pages are to be written.
	ckctl create big --stop MaxWait=2 ImageDir="$work/slow" --json >"$work/made" 2>"$work/stderr" &
	pid=$!
	"$waitfor" "$wait_s" cgroup "$(job_cgroup big)" frozen 1 || { why "the job was not frozen"; return 1; }
	loop_freeze slow
	# It runs again: what is left to be done is to give the image its name.
	grep -q "frozen 0" "$(job_cgroup big)/cgroup.events" && overtaken=1
	if ! "$waitfor" $((4 * factor)) cgroup "$(job_cgroup big)" frozen 0; then
		why "the job is still frozen 4 s after a checkpoint with MaxWait=2 began"
		loop_thaw slow
		return 1
	fi
	job_works big || return
	loop_thaw slow
	wait $pid || status=$?
	cat "$work/made" "$work/stderr"
	if [ $status = 5 ]; then
		overtaken=
		return 0
	fi
	if [ $status = 0 ] && [ -n "$overtaken" ]; then return 0; fi
	if [ $status = 0 ] && awk -F'[:,]' '/"seconds"/ { exit !($2 < 2) }' "$work/made"; then
		overtaken=1
		return 0
	fi
	why "ckctl ended with status $status instead of 5"
	return 1
}

stuck_killed() {
	local pid rc=0
	if ! mountpoint -q "$work/slow"; then
		loop_mount slow 300 || return
	fi
	BIG_MB=100 job_start big big && ckctl create big ImageDir="$work/slow" || return
	ckctl create big --stop ImageDir="$work/slow" &
	pid=$!
	"$waitfor" "$wait_s" cgroup "$(job_cgroup big)" frozen 1 || { why "the job was not frozen"; return 1; }
	loop_freeze slow
	kill -9 $pid
	runs_on big || { loop_thaw slow; return 1; }
	loop_thaw slow
	wait $pid || rc=$?
	[ "$rc" = 137 ] || { why "ckctl had ended with status $rc before it was killed"; return 1; }
	no_session && image_proved "$work/slow/big.ckpt" && job_end big
}

stuck_is_named() {	# ARGUMENTS of create
	refused 5 "$(head -n 1 "$(job_cgroup stuck)/cgroup.procs")" ckctl create stuck "$@"
}

# A task that sleeps where no signal wakes it cannot be frozen.
uninterruptible() {
	local file=$work/stuck/file rc=1
	loop_mount stuck 16 || return
	# shellcheck disable=SC2016 # the job's shell expands it
	ckctl run --name=stuck --checkpoint-dir="$images" -- \
		bash -c 'while :; do echo x >"$0" || exit; done' "$file" &
	keeper=$!
	"$waitfor" "$wait_s" file "$file" && loop_freeze stuck &&
		stuck_is_named MaxWait=2 && stuck_is_named && rc=0
	loop_thaw stuck
	if [ $rc = 0 ] && ! "$waitfor" $factor cgroup "$(job_cgroup stuck)" frozen 0; then
		why "the job is frozen"
		rc=1
	fi
	[ $rc = 0 ] && ckctl create stuck || rc=1
	job_kill stuck || rc=1
	return $rc
}

# ---- no space ----

disk_full() {
	mkdir -p "$work/small"
	mount -t tmpfs -o size=24m none "$work/small"
	BIG_MB=40 job_start big big && refused 6 "no space left" ckctl create big ImageDir="$work/small" && runs_on big || return
	if [ -n "$(find "$work/small" -type f)" ]; then
		why "left behind: $(find "$work/small" | tr '\n' ' ')"
		return 1
	fi
	# With a former image, which must survive.
	mount -o remount,size=60m "$work/small"
	ckctl create big ImageDir="$work/small" || return
	refused 6 "no space left" ckctl create big ImageDir="$work/small" && runs_on big &&
		image_proved "$work/small/big.ckpt" && image_clean "$work/small/big.ckpt" || return
	refused 6 "No space left" ckctl create big --stream ImageDir="$work/small" && runs_on big &&
		image_proved "$work/small/big.ckpt" && image_clean "$work/small/big.ckpt" &&
		no_session && job_end big
}

# ---- damaged images ----

random_file() {	# IMAGE: sets file, one of it, sized more than 0
	local files nr
	mapfile -t files < <(find "$1" -type f -size +0 | LC_ALL=C sort)
	draw nr ${#files[@]}
	file=${files[nr]}
}

flip_bit() {	# FILE: sets what
	local at bit byte
	draw at "$(stat -c %s "$1")"
	draw bit 8
	byte=$(od -An -tu1 -j $at -N 1 "$1")
	printf '%b' "\\x$(printf %x $((byte ^ (1 << bit))))" |
		dd of="$1" bs=1 seek=$at conv=notrunc status=none
	what="bit $bit flipped in ${1#"$work"/} at byte $at"
}

cut_file() {	# FILE: sets what
	local at
	draw at "$(stat -c %s "$1")"
	truncate -s $at "$1"
	what="${1#"$work"/} cut to $at bytes"
}

# Refused, with the right status, and no process ran or is left.
damaged() {	# flip_bit|cut_file
	local n what file bad=$work/bad.ckpt
	if [ ! -d "$images/shm.ckpt" ]; then
		job_start shm shm && job_create shm && job_kill shm || return
	fi
	job_rewind shm
	for ((n = 0; n < 20; n++)); do
		rm -rf "$bad"
		cp -a "$images/shm.ckpt" "$bad"
		random_file "$bad"
		"$1" "$file"
		touch "$(job_dir shm)/ask"
		refused 7 bad.ckpt ckctl restart "$bad" --name=shm || { why "$what"; return 1; }
		expect_status 7 ckctl verify "$bad" || { why "$what"; return 1; }
		if [ -e "$(job_dir shm)/answer" ] || [ -d "$(job_cgroup shm)" ]; then
			why "$what: something ran or is left"
			return 1
		fi
	done
	rm -rf "$bad"
	no_session
}

# ---- the module ----

not_loaded() {
	local rc=0
	job_start regs regs && job_create regs || return
	modprobe -r ckpt || { why "the module cannot be removed"; return 1; }
	# Asking for the family would load it.
	echo "install ckpt /bin/false" >/etc/modprobe.d/selftest.conf
	refused 8 "not loaded" ckctl create regs && refused 8 "not loaded" ckctl status &&
		refused 8 "not loaded" ckctl restart "$images/regs.ckpt" --name=another || rc=1
	rm /etc/modprobe.d/selftest.conf
	modprobe ckpt || rc=1
	[ $rc = 0 ] && job_create regs && job_end regs
}

# Frozen for a while, in which something else is tried.
while_frozen() {	# COMMAND…: sets creator, status and $work/stderr
	local rc=0
	BIG_MB=150 job_start big big || return
	ckctl create big --stop ImageDir="$work" 2>"$work/created" &
	creator=$!
	if ! "$waitfor" "$wait_s" cgroup "$(job_cgroup big)" frozen 1; then
		why "the job was not frozen"
		rc=1
	fi
	"$@" || rc=1
	status=0
	wait $creator || status=$?
	mv "$work/created" "$work/stderr"
	cat "$work/stderr"
	return $rc
}

# However long that takes: a stopped ckctl thaws nothing.
held() {	# COMMAND…
	local rc=0
	kill -STOP $creator
	"$@" || rc=1
	kill -CONT $creator
	return $rc
}

cannot_unload() {
	! modprobe -r ckpt 2>/dev/null && grep -q '^frozen 1' "$(job_cgroup big)/cgroup.events" && return
	why "modprobe -r in the middle of a session was not refused"
	return 1
}

unload_refused() {
	while_frozen held cannot_unload || return
	if [ $status != 0 ]; then
		why "the checkpoint ended with status $status"
		return 1
	fi
	no_session && job_end big && modprobe -r ckpt && modprobe ckpt && return
	why "the module cannot be removed afterwards: $(grep '^ckpt ' /proc/modules)"
	return 1
}

second_create() {
	refused 10 "under way" ckctl create big ImageDir="$images" &&
		refused 10 "being written" ckctl create big ImageDir="$work"
}

two_at_once() {
	while_frozen held second_create || return
	if [ $status != 0 ]; then
		why "the first checkpoint ended with status $status"
		return 1
	fi
	runs_on big && image_proved "$work/big.ckpt" && job_end big
}

kill_job() {
	echo 1 >"$(job_cgroup big)/cgroup.kill"
}

job_ends() {
	rm -rf "$work/big.ckpt"
	while_frozen kill_job || return
	if [ $status != 9 ]; then
		why "a checkpoint of a job that ended in the middle ended with status $status"
		return 1
	fi
	one_sentence "the job has ended\|no process\|no task" || return
	wait "$keeper"
	no_session && "$waitfor" "$wait_s" gone "$(job_cgroup big)" && [ ! -e "$work/big.ckpt/manifest.json" ] && return
	why "something is left: $(find "$work/big.ckpt") $(ls -d "$(job_cgroup big)")"
	return 1
}

# When pages are being written: earlier it would simply be frozen again.
thaw_job() {
	"$waitfor" "$wait_s" file "$work/big.ckpt/gen-1/pages" &&
		"$waitfor" "$wait_s" bytes "$work/big.ckpt/gen-1/pages" 1 &&
		echo 0 >"$(job_cgroup big)/cgroup.freeze"
}

# ckctl may fail or begin anew, but pages of different instants are no image.
thawed_by_others() {
	rm -rf "$work/big.ckpt"
	while_frozen thaw_job && runs_on big && no_session || return
	if [ $status = 0 ]; then
		image_proved "$work/big.ckpt" && job_kill big && rm -rf "$images/big.ckpt" &&
			mv "$work/big.ckpt" "$images" && job_restart big || return
	fi
	job_end big
}

# ---- ids ----

# Given to somebody else in the meantime.
pid_taken() {
	local pid sleeper=0 n rc=0 old
	job_start regs regs && job_create regs || return
	pid=$(head -n 1 "$(job_cgroup regs)/cgroup.procs")
	job_kill regs || return
	old=$(cat /proc/sys/kernel/ns_last_pid)
	for ((n = 0; n < 50 && sleeper != pid; n++)); do
		[ $sleeper = 0 ] || kill $sleeper
		echo $((pid - 1)) >/proc/sys/kernel/ns_last_pid
		sleep 1000 &
		sleeper=$!
	done
	echo "$old" >/proc/sys/kernel/ns_last_pid
	if [ $sleeper != "$pid" ]; then
		skip "the pid cannot be taken"
		return
	fi
	expect_status 0 ckctl restart "$images/regs.ckpt" --detach && job_works regs && job_kill regs || rc=1
	kill $sleeper
	wait $sleeper
	[ $rc = 0 ] && no_session && job_restart regs && job_end regs
}

# ---- a restart that nobody waits for ----

detached() {
	job_start regs regs && job_create regs && job_kill regs || return
	job_rewind regs
	ckctl restart "$images/regs.ckpt" --detach --pidfile="$work/pid" || return
	job_works regs || return
	if [ "$(cat "$work/pid")" != "$(head -n 1 "$(job_cgroup regs)/cgroup.procs")" ]; then
		why "the pid file says $(cat "$work/pid")"
		return 1
	fi
	touch "$(job_dir regs)/stop"
	job_await regs passed && "$waitfor" "$wait_s" gone "$(job_cgroup regs)" && return
	why "the cgroup is left behind"
	return 1
}

# ---- the end ----

nothing_left() {
	local left
	left=$(ls -d /sys/fs/cgroup/ckpt-* "$cgroup_here"/ckpt-* 2>/dev/null)
	[ -z "$left" ] || why "cgroups: $left"
	[ "$(sessions)" = 0 ] || why "sessions: $(sessions)"
	[ "$(awk '$1 == "ckpt" { print $3 }' /proc/modules)" = 0 ] || why "the module is in use: $(grep '^ckpt ' /proc/modules)"
	for j in ckctl big shm regs; do
		! pgrep -x $j || why "processes: $(pgrep -ax $j)"
	done
	left=$(find /run/ckpt -type f 2>/dev/null)
	[ -z "$left" ] || why "files of jobs: $left"
	[ ! -s "$reason" ]
}

run() {	# DESCRIPTION FUNCTION [ARG…]
	[ ${#only[@]} = 0 ] || [[ " ${only[*]} " == *" $2 "* ]] || return
	check "$@"
	for j in big stuck shm regs; do job_cleanup $j; done
}
only=("$@")

run "ckctl create killed at random moments" create_killed
run "ckctl restart killed at random moments" restart_killed
run "MaxWait passes while the disk stands still" max_wait
run "ckctl killed while the disk stands still" stuck_killed
loop_umount slow
run "a task in uninterruptible sleep" uninterruptible
loop_umount stuck
run "no space left in the middle" disk_full
! mountpoint -q "$work/small" || umount "$work/small"
run "images with a flipped bit are refused" damaged flip_bit
run "truncated images are refused" damaged cut_file
run "the module is not loaded" not_loaded
run "the module cannot be removed during a session, but after it" unload_refused
run "two checkpoints of one job at once" two_at_once
run "the job ends in the middle" job_ends
run "somebody lets the job run in the middle" thawed_by_others
run "the job's pid is taken" pid_taken
run "a detached restart cleans up after itself" detached
check "nothing is left behind" nothing_left
finish
