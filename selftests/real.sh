#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
#   selftests/real.sh [PROGRAM…]
#
# Real programs, those in real/: each runs undisturbed for the reference; then it is
# checkpointed several times at random moments, killed with SIGKILL at a random
# moment after that, restarted, checkpointed and killed once more, restarted, and its
# result compared. SEED=N in the environment repeats the moments of another run.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in python3 gdb sqlite3 stress-ng xz zstd; do
	command -v $tool >/dev/null && continue
	echo "1..0 # SKIP there is no $tool: scripts/vm.sh run --rootfs full"
	exit 4
done

seed_random
programs=("$@")
[ $# -gt 0 ] || programs=(blas.py xz.sh zstd.sh pipeline.sh stress.sh sqlite.sh)
nr_checkpoints=3

# Beside the job, like everything that it has open.
cp -r "$here/real" "$work/programs"

# For both compressors and the pipeline: some order, some noise.
find /usr/lib/python3 /usr/bin -type f -name '*[a-m]*' -size -200k | LC_ALL=C sort | head -n 400 |
	xargs cat 2>/dev/null | head -c 5000000 >"$work/input"

milliseconds() { echo $((${EPOCHREALTIME/./} / 1000)); }

# Sets moments, in milliseconds of the job's running time, ascending.
random_moments() {	# NUMBER FROM% TO% OF
	local n at
	moments=()
	for ((n = 0; n < $1; n++)); do
		draw at $(($4 * ($3 - $2) / 100 + 1))
		moments+=($((at + $4 * $2 / 100)))
	done
	mapfile -t moments < <(printf '%s\n' "${moments[@]}" | sort -n)
}

# Wait, but not longer than the job runs; its clock begins with the job.
began=0
until_moment() {	# MILLISECONDS
	local left=$((began + $1 - $(milliseconds)))
	[ $left -le 0 ] || "$waitfor" "$((left / 1000)).$(printf %03d $((left % 1000)))" end "$keeper" || true
	kill -0 "$keeper" 2>/dev/null
}

# ---- what a batch system's script would do about files that are changed in
# place: their content belongs to the checkpoint ----

staged_files() {	# NAME
	[ "$1" != sqlite ] || echo db db-journal
}

stage_out() {	# NAME
	local f
	for f in $(staged_files "$1"); do
		rm -f "$work/staged/$f"
		[ ! -e "$work/$1/$f" ] || cp -p "$work/$1/$f" "$work/staged/" || return
	done
}

stage_in() {	# NAME
	local f
	for f in $(staged_files "$1"); do
		if [ ! -e "$work/staged/$f" ]; then
			rm -f "$work/$1/$f"
			continue
		fi
		cat "$work/staged/$f" >"$work/$1/$f" && touch -r "$work/staged/$f" "$work/$1/$f" || return
	done
}

# Frozen by us before, it stays so until the files are copied.
checkpoint() {	# NAME
	local rc=0 cgroup pid
	cgroup=$(job_cgroup "$1")
	if [ "$1" = sqlite ]; then
		echo 1 >"$cgroup/cgroup.freeze" || return
		"$waitfor" "$wait_s" cgroup "$cgroup" frozen 1 || return
	fi
	ckctl create "$1" 2>"$work/stderr" || rc=$?
	[ $rc != 0 ] || stage_out "$1" || rc=$?
	[ "$1" != sqlite ] || echo 0 >"$cgroup/cgroup.freeze" || rc=$?
	cat "$work/stderr"
	# Those that it is about, while they are still there.
	[ $rc = 0 ] || for pid in $(grep -o 'process [0-9]*\|pid [0-9]*' "$work/stderr" | cut -d ' ' -f 2); do
		grep -H -E '^(Name|State|SigQ|ShdPnd|NSpid)' /proc/$pid/task/*/status
		grep -H . /proc/$pid/task/*/wchan
	done 2>/dev/null
	[ $rc = 0 ] || why "a checkpoint $(($(milliseconds) - began)) ms after the start was refused ($rc): $(cat "$work/stderr")"
	return $rc
}

# ---- one program ----

declare -A took
reference() {	# PROGRAM
	local name=${1%.*}
	mkdir -p "$work/$name"
	began=$(milliseconds)
	if ! "$work/programs/$1" "$work/$name" </dev/null >"$work/$name.out" 2>&1; then
		why "it failed: $(tail -n 5 "$work/$name.out")"
		return 1
	fi
	took[$name]=$(($(milliseconds) - began))
	mv "$work/$name/result" "$work/$name.reference" && head -n 20 "$work/$name.reference"
	[ -s "$work/$name.reference" ]
}

kill_job() {	# NAME: and what it has written since stays
	echo 1 >"$(job_cgroup "$1")/cgroup.kill" 2>/dev/null
	wait "$keeper"
	"$waitfor" "$wait_s" gone "$(job_cgroup "$1")" && return
	why "the killed job's cgroup is still there"
	return 1
}

restart_job() {	# NAME
	stage_in "$1" || { why "its files cannot be put back"; return 1; }
	ckctl restart "$images/$1.ckpt" </dev/null >>"$work/$1.out" 2>"$work/stderr" &
	keeper=$!
	began=$(milliseconds)
}

has_ended() {	# NAME
	[ -z "$(cat "$(job_cgroup "$1")/cgroup.procs" 2>/dev/null)" ]
}

disturbed() {	# PROGRAM
	local name=${1%.*} all m moments made=0 status=0
	[ -s "$work/$name.reference" ] || { why "there is no reference"; return 1; }
	all=${took[$name]}
	rm -rf "${work:?}/$name"
	mkdir -p "$work/$name" "$work/staged"
	began=$(milliseconds)
	ckctl run --name="$name" --checkpoint-dir="$images" -- "$work/programs/$1" "$work/$name" \
		</dev/null >"$work/$name.out" 2>&1 &
	keeper=$!
	random_moments $nr_checkpoints 10 75 "$all"
	for m in "${moments[@]}"; do
		until_moment "$m" || break
		# It may have come to its end just then.
		checkpoint "$name" || { has_ended "$name" || return; break; }
		made=$((made + 1))
	done
	[ $made -gt 0 ] || { why "it ended before the first checkpoint: $(tail -n 5 "$work/$name.out")"; return 1; }
	random_moments 1 76 95 "$all"
	until_moment "${moments[0]}" || echo "it ended before it could be killed"
	kill_job "$name" && restart_job "$name" || return
	# The second life is shorter by what the first had done.
	random_moments 1 10 30 "$all"
	if until_moment "${moments[0]}" && ! has_ended "$name"; then
		if checkpoint "$name"; then
			made=$((made + 1))
			kill_job "$name" && restart_job "$name" || return
		else
			has_ended "$name" || return
		fi
	fi
	wait "$keeper" || status=$?
	cat "$work/stderr"
	if [ $status != 0 ]; then
		why "the restarted job ended with status $status: $(cat "$work/stderr") $(tail -n 5 "$work/$name.out")"
		return 1
	fi
	if ! cmp "$work/$name.reference" "$work/$name/result"; then
		diff "$work/$name.reference" "$work/$name/result" | head -n 20
		why "the result is another one than that of the undisturbed run"
		return 1
	fi
	echo "$made checkpoints"
	! [ -d "$(job_cgroup "$name")" ] || "$waitfor" "$wait_s" gone "$(job_cgroup "$name")"
}

# ---- sqlite's content, in SQL's own words ----

sqlite_whole() {
	grep -qx ok "$work/sqlite/result" || { why "integrity_check: $(head -n 3 "$work/sqlite/result")"; return 1; }
	[ "$(sqlite3 "$work/sqlite/db" "PRAGMA integrity_check;")" = ok ]
}

# In the middle of an exclusive transaction: its locks are there again.
sqlite_locked() {
	local name=locked status=0
	mkdir -p "$work/$name"
	printf '%s\n' "CREATE TABLE t (n INTEGER);" "BEGIN EXCLUSIVE;" "INSERT INTO t VALUES (1);" \
		".shell touch $work/$name/begun; until [ -e $work/$name/go ]; do sleep 0.1; done" \
		"COMMIT;" "SELECT count(*) FROM t;" >"$work/$name/commands"
	ckctl run --name=$name --checkpoint-dir="$images" -- sqlite3 -batch "$work/$name/db" \
		<"$work/$name/commands" >"$work/$name/result" 2>"$work/$name.out" &
	keeper=$!
	"$waitfor" "$wait_s" file "$work/$name/begun" || { why "it did not begin: $(cat "$work/$name.out")"; return 1; }
	ckctl create $name && kill_job $name || return
	ckctl restart "$images/$name.ckpt" </dev/null >"$work/$name.out" 2>"$work/stderr" &
	keeper=$!
	if ! "$waitfor" "$wait_s" bytes "$work/stderr" 1 || ! grep -q restarted "$work/stderr"; then
		why "no restart: $(cat "$work/stderr")"
		return 1
	fi
	if sqlite3 "$work/$name/db" "BEGIN IMMEDIATE;" 2>"$work/other"; then
		why "another process could begin a transaction"
		status=1
	fi
	grep -q locked "$work/other" || { why "the other process was told: $(cat "$work/other")"; status=1; }
	touch "$work/$name/go"
	wait $keeper || { why "sqlite3 failed: $(cat "$work/stderr")"; status=1; }
	[ "$(tail -n 1 "$work/$name/result")" = 1 ] || { why "it says $(cat "$work/$name/result")"; status=1; }
	return $status
}

# ---- gdb and the core of an image ----

gdb_core() {	# IMAGE PROGRAM: sets nr_threads, $work/bt
	local pid core=$work/core
	pid=$(ckctl show --json "$1" | sed -n 's/^.*"pid": *\([0-9]*\).*$/\1/p' | head -n 1)
	nr_threads=$(ckctl show --json "$1" | grep -o '"tid"' | wc -l)
	rm -f "$core"
	ckctl core -o "$core" "$1" "$pid" || { why "ckctl core failed"; return 1; }
	gdb -nx -batch -ex 'info auxv' -ex 'info threads' -ex 'thread apply all backtrace' "$2" "$core" >"$work/bt" 2>&1 </dev/null
	cat "$work/bt"
	if [ "$(grep -c '^Thread [0-9]' "$work/bt")" != "$nr_threads" ]; then
		why "gdb shows $(grep -c '^Thread [0-9]' "$work/bt") threads of $nr_threads"
		return 1
	fi
}

core_of_blas() {
	local nr_known
	gdb_core "$images/blas.ckpt" "$(realpath /usr/bin/python3)" || return
	[ $nr_threads -ge 2 ] || { why "the image has $nr_threads threads"; return 1; }
	# Mapped libraries are recognised; of the interpreter, only what it exports has a
	# name, and behind assembler no debugger finds callers.
	nr_known=$(awk 'BEGIN { seen = 1 } /^Thread [0-9]/ { seen = 0 }
		/^#[0-9]+ .*( from .*\.so| in [A-Za-z_])/ && !seen++ { n++ }
		END { print n + 0 }' "$work/bt")
	[ "$nr_known" = $nr_threads ] && return
	why "gdb knows where $nr_known of $nr_threads threads are: $(cat "$work/bt")"
	return 1
}

# A program of which everything is known.
core_of_threads() {
	job_start threads threads && job_create threads && job_kill threads || return
	gdb_core "$images/threads.ckpt" "$bin/threads" || return
	if [ "$(grep -c 'work (arg=0x[0-9a-f]* <workers' "$work/bt")" != 4 ] || ! grep -q ' main (argc=' "$work/bt"; then
		why "not all threads show where they are in threads.c"
		return 1
	fi
	# The kernel's own code in it: a thread that asks for the time is there.
	gdb -nx -batch -ex "x/4xb $(awk '$2 == "AT_SYSINFO_EHDR" { print $NF }' "$work/bt")" \
		"$bin/threads" "$work/core" >"$work/vdso" 2>&1 </dev/null
	grep -q '0x7f.*0x45.*0x4c.*0x46' "$work/vdso" && return
	why "the vdso is not in the core: $(tail -n 1 "$work/vdso")"
	return 1
}

for p in "${programs[@]}"; do
	check "$p: undisturbed" reference "$p"
	start=$(milliseconds)
	check "$p: checkpoints, kill, restart, the same result" disturbed "$p"
	echo "# $p took ${took[${p%.*}]:-?} ms undisturbed, $(($(milliseconds) - start)) ms disturbed"
	job_cleanup "${p%.*}"
	case $p in
	sqlite.sh)
		check "$p: the database is whole" sqlite_whole
		check "$p: a transaction holds its locks after a restart" sqlite_locked
		job_cleanup locked
		;;
	blas.py) check "$p: gdb opens a core made from its image" core_of_blas ;;
	esac
done
if [ $# = 0 ]; then
	check "gdb shows each thread's place in a core of known source" core_of_threads
	job_cleanup threads
fi
finish
