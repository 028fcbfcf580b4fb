#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
#   selftests/crashes.sh [ROUNDS]	("make faults" runs 500)
#
# ckctl, or a task of the job, is killed at a random moment of a checkpoint or a
# restart of a mixed job; disks fill up and fail; where the kernel can (make faults
# K=debug), allocations fail. Counted: jobs that were harmed, images that were lost,
# what was left behind. None of it may ever happen.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

rounds=${1:-10}
seed_random
# No id of the job may be given to anybody else while it is dead, as far as the
# kernel has so many.
echo 4194304 >/proc/sys/kernel/pid_max 2>/dev/null
image=$images/mixed.ckpt
injection=/sys/kernel/debug
killed=0 late=0 failed=0 injected=0 made=0
harmed=0 lost=0 left=0

# A finding, with what led to it.
count() {	# COUNTER SENTENCE
	printf -v "$1" %d $(($1 + 1))
	why "round $round, $action: $2"
	news+=("# round $round, $action: ${2//$'\n'/; }")
}

pick() {	# VARIABLE WORD…
	local to=$1 n
	shift
	draw n $#
	shift $n
	printf -v "$to" %s "$1"
}

# ---- the job ----

# From the image, as after any crash of a machine.
revive() {
	local n
	# A restart may be under way still, which has no cgroup yet.
	for ((n = 0; n < wait_s * 5; n++)); do
		job_cleanup mixed
		"$waitfor" 0.2 end "$keeper" && break
	done
	wait "$keeper"
	job_restart mixed >"$work/log" 2>&1 && return
	count lost "the image cannot be restarted: $(cat "$work/log" "$reason")"
	job_cleanup mixed
	job_start mixed mixed && job_create mixed
}

# Or gone.
thawed() {
	local n
	for ((n = 0; n < wait_s * 50; n++)); do
		grep -qs '^frozen 1' "$(job_cgroup mixed)/cgroup.events" || return 0
		pause_us 20000
	done
	return 1
}

must_run() {
	if ! thawed; then
		count harmed "the job is frozen"
	elif ! job_works mixed >"$work/log" 2>&1; then
		count harmed "the job does not work any more: $(cat "$work/log")"
	else
		return
	fi
	revive
}

must_be_whole() {	# IMAGE
	ckctl verify "$1" >"$work/log" 2>&1 || count lost "$(cat "$work/log")"
}

# ---- moments ----

# Kill PID after a random part of MICROSECONDS.
kill_within() {	# PID MICROSECONDS
	local at
	draw at "$2"
	pause_us $at
	if kill -9 "$1" 2>/dev/null; then killed=$((killed + 1)); else late=$((late + 1)); fi
}

create_in_background() {	# [OPTION…]
	local mode
	pick mode "" "" --stop --stream
	ckctl create mixed -q $mode "$@" 2>"$work/stderr" &
	pid=$!
}

# How ckctl ended, which must be soon; in a way that is not its own only where we did that.
reap() {	# "STATUS…"
	status=0
	"$waitfor" "$wait_s" end $pid || { count left "ckctl does not end"; kill -9 $pid; }
	wait $pid || status=$?
	if [ $status = 0 ]; then
		made=$((made + 1))
	elif [[ " $1 " == *" $status "* ]]; then
		:
	elif [ $status -gt 128 ]; then
		count left "ckctl ended with status $status: $(cat "$work/stderr")"
	else
		failed=$((failed + 1))
		[ -s "$work/stderr" ] || count left "ckctl failed ($status) without a word"
	fi
}

# ---- the actions ----

create_killed() {
	local pid status
	create_in_background
	kill_within $pid $create_us
	reap 137
	must_run
	must_be_whole "$image"
}

task_killed_in_create() {
	local pid status victims victim
	mapfile -t victims < <(cat "$(job_cgroup mixed)"/cgroup.threads)
	pick victim "${victims[@]}"
	rm -rf "$work/good"
	cp -a "$image" "$work/good"
	create_in_background
	kill_within "$victim" $create_us
	reap 0
	thawed || count harmed "what is left of the job is frozen"
	must_be_whole "$image"
	# It may have been made after that death: of a job that is broken already.
	if [ $status = 0 ]; then
		rm -rf "$image"
		mv "$work/good" "$image"
	fi
	revive
}

restart_killed() {
	local at
	job_kill mixed
	job_rewind mixed
	ckctl restart "$image" -q >>"$work/out" 2>"$work/stderr" &
	keeper=$!
	kill_within $keeper $restart_us
	wait $keeper 2>/dev/null
	# It was complete, or nothing of it is there.
	if "$waitfor" $((2 * ${TIMEOUT_FACTOR:-1})) gone "$(job_cgroup mixed)"; then
		revive
	elif ! job_works mixed >"$work/log" 2>&1; then
		count left "half a job: $(cat "$(job_cgroup mixed)/cgroup.procs") $(cat "$work/log")"
		revive
	fi
}

task_killed_in_restart() {
	local victims victim status=0
	mapfile -t victims < <(cat "$(job_cgroup mixed)"/cgroup.threads)
	pick victim "${victims[@]}"
	job_kill mixed
	job_rewind mixed
	ckctl restart "$image" -q >>"$work/out" 2>"$work/stderr" &
	keeper=$!
	kill_within "$victim" $restart_us
	# Before it was there, within the restart, or from a job that ran already.
	if "$waitfor" 1 end $keeper; then
		wait $keeper || status=$?
		[ $status != 0 ] || count left "ckctl restart ended with 0 although a task was killed"
		[ -s "$work/stderr" ] || [ $status -gt 128 ] || [ $status = 1 ] || count left "no word about status $status"
	fi
	revive
}

# ---- disks ----

no_space() {
	local pid status mb
	draw mb 3
	mkdir -p "$work/small"
	mount -t tmpfs -o size=$((3 + mb))m none "$work/small"
	create_in_background ImageDir="$work/small"
	reap 0
	must_run
	[ ! -e "$work/small/mixed.ckpt/manifest.json" ] || must_be_whole "$work/small/mixed.ckpt"
	umount "$work/small"
}

# A file system whose disk is a file that cannot grow: EIO, not ENOSPC.
broken_disk() {
	local pid status mb
	modprobe -q loop
	draw mb 4
	mkdir -p "$work/backing" "$work/broken"
	mount -t tmpfs -o size=$((2 + mb))m none "$work/backing"
	truncate -s 64M "$work/backing/disk"
	if mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1,nodiscard "$work/backing/disk" 2>/dev/null &&
			mount -o loop,errors=continue "$work/backing/disk" "$work/broken" 2>/dev/null; then
		create_in_background ImageDir="$work/broken"
		reap 0
		must_run
		umount "$work/broken"
	fi
	umount "$work/backing"
}

# ---- failing allocations, of ckctl and of what the module does in its name ----

# A failed allocation can make 9p, which the root file system is on, lose track of its
# handles: some files cannot be opened any more. Touched, a file is in memory instead.
out_of_9p() {	# COMMAND…
	local commands files
	mapfile -t commands < <(type -P "$@")
	mapfile -t files < <(realpath "${commands[@]}" /etc/ld.so.cache &&
		ldd "${commands[@]}" | grep -o '/[^ :]*' | xargs realpath | sort -u)
	touch "${files[@]}"
}

inject_setup() {
	local f
	for f in failslab fail_page_alloc; do
		[ -d $injection/$f ] || return
		echo Y >$injection/$f/task-filter
		echo 0 >$injection/$f/probability
		echo 0 >$injection/$f/verbose
		echo 1 >$injection/$f/interval
		echo N >$injection/$f/ignore-gfp-wait
	done
	echo N >$injection/fail_page_alloc/ignore-gfp-highmem
	echo 0 >$injection/fail_page_alloc/min-order
	out_of_9p bash ckctl awk cat cp find grep mkdir mke2fs mount mv pgrep rm rmdir sed sort tail touch tr \
		truncate umount xargs
}

inject_on() {
	local which space times
	pick which failslab failslab fail_page_alloc
	draw space 300000
	[ $which = failslab ] || space=$((space / 500))	# pages, not bytes
	draw times 3
	echo $((times + 1)) >$injection/$which/times
	echo $space >$injection/$which/space
	echo 100 >$injection/$which/probability
	injected=$((injected + 1))
}

inject_off() {
	echo 0 >$injection/failslab/probability
	echo 0 >$injection/fail_page_alloc/probability
}

with_failures() {	# COMMAND…
	# shellcheck disable=SC2016 # the inner shell expands it
	exec bash -c 'echo 1 >/proc/self/make-it-fail; exec "$@"' inject "$@"
}

allocations_fail_in_create() {
	local pid status
	inject_on
	(with_failures ckctl create mixed -q) 2>"$work/stderr" &
	pid=$!
	# An exec that fails half way ends with SIGKILL, a stack that cannot grow with
	# SIGSEGV, and the loader may be unable to say why.
	reap "137 139 127"
	inject_off
	must_run
	must_be_whole "$image"
}

allocations_fail_in_restart() {
	job_kill mixed
	job_rewind mixed
	inject_on
	(with_failures ckctl restart "$image" -q) >>"$work/out" 2>"$work/stderr" &
	keeper=$!
	touch "$(job_dir mixed)/ask"
	"$waitfor" "$wait_s" file "$(job_dir mixed)/answer" >/dev/null &
	pid=$!
	while kill -0 $keeper 2>/dev/null && kill -0 $pid 2>/dev/null; do pause_us 50000; done
	inject_off
	if kill -0 $keeper 2>/dev/null; then
		must_run
	else
		kill $pid
		wait $keeper
		"$waitfor" "$wait_s" gone "$(job_cgroup mixed)" || count left "half a job: $(cat "$(job_cgroup mixed)/cgroup.procs")"
	fi
	wait $pid
	# Without failures in its own future.
	revive
}

# ---- after each ----

look_around() {
	local found
	no_session || count left "a session"
	found=$(find /run/ckpt -type f ! -name 'mixed*' 2>/dev/null)
	[ -z "$found" ] || count left "$found"
	found=$(find "$cgroup_here" -maxdepth 1 -name 'ckpt-*' ! -name ckpt-mixed)
	[ -z "$found" ] || count left "$found"
	for found in $(pgrep -x mixed); do
		grep -q "ckpt-mixed\$" "/proc/$found/cgroup" 2>/dev/null || grep -q '^State:.*[ZX]' "/proc/$found/status" 2>/dev/null ||
			[ ! -d "/proc/$found" ] || count left "process $found is outside of the job"
	done
}

# Nothing of dead writers beside the image once a checkpoint has passed.
end_of_run() {
	: >"$reason"
	# With a ckctl that nobody has killed.
	job_create mixed && image_clean "$image" && job_kill mixed && job_restart mixed && job_works mixed &&
		job_end mixed || return
	[ "$(awk '$1 == "ckpt" { print $3 }' /proc/modules)" = 0 ] || why "the module is in use: $(grep '^ckpt ' /proc/modules)"
	[ -z "$(find /run/ckpt -type f)" ] || why "files of jobs: $(find /run/ckpt -type f)"
	[ ! -s "$reason" ]
}

measure() {
	job_start mixed mixed || return
	create_us=$(microseconds)
	job_create mixed || return
	create_us=$((($(microseconds) - create_us) * 11 / 10))
	job_kill mixed || return
	restart_us=$(microseconds)
	job_restart mixed || return
	restart_us=$(($(microseconds) - restart_us))
}

run_all() {
	local kinds=(create_killed task_killed_in_create restart_killed task_killed_in_restart no_space broken_disk) often
	often=(create_killed create_killed task_killed_in_create restart_killed restart_killed task_killed_in_restart no_space)
	if [ -n "$can_inject" ]; then
		kinds+=(allocations_fail_in_create allocations_fail_in_restart)
		often+=(allocations_fail_in_create allocations_fail_in_create allocations_fail_in_restart allocations_fail_in_restart)
	fi
	for ((round = 1; round <= rounds; round++)); do
		pick action "${often[@]}"
		[ $((round % 20)) != 7 ] || action=broken_disk
		# Each of them once before anything is left to chance.
		[ $round -gt ${#kinds[@]} ] || action=${kinds[round - 1]}
		news=()
		{ $action; look_around; } >"$work/round" 2>&1
		[ $((round % 50)) != 0 ] || news+=("# $round rounds: jobs harmed: $harmed, images lost: $lost, leftovers: $left")
		[ ${#news[@]} = 0 ] || printf '%s\n' "${news[@]}"
	done
	round=end action=end
}

# Before there is a job: files that it has mapped become others by that.
can_inject=
! inject_setup || can_inject=1
check "a mixed job, its checkpoint and restart" measure
if [ $nr_failed = 0 ]; then
	: >"$reason"
	run_all
	echo "# $rounds rounds: $killed kills in the middle, $late beside it, $injected with failing allocations;" \
		"checkpoints made: $made, failed with a sentence: $failed"
	echo "# jobs harmed: $harmed, images lost: $lost, leftovers: $left"
	check "jobs harmed: $harmed" test $harmed = 0
	check "images lost: $lost" test $lost = 0
	check "leftovers: $left" test $left = 0
	check "the job goes on to its end" end_of_run
fi
finish
