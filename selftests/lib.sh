# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the test scripts share besides TAP: jobs that get checkpointed.
#
# Everything happens in a directory of its own on a file system that knows
# O_DIRECT if there is one (/mnt/disk), which goes away at the end.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=selftests/tap.sh
. "$here/tap.sh"

top=/tmp
[ ! -d /mnt/disk ] || top=/mnt/disk
tap_begin "$(mktemp -d -p "$top" test.XXXXXX)"
bin=$work/bin images=$work/images
# An ordinary user's jobs must be able to run them and to write beside them.
chmod 755 "$work"
mkdir "$images"
cp -r "$here/build" "$bin"
waitfor=$bin/waitfor

cgroup_here=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
cgroup_here=${cgroup_here%/}

cd "$work" || exit		# the jobs' directory: one that their user can see
exec {never}<> <(:)	# "read -t" from it is a pause

# ---- random moments; SEED=N in the environment repeats those of another run ----

seed_random() {
	local seed=${SEED:-$RANDOM}
	echo "# SEED=$seed"
	RANDOM=$seed
}
# Into a variable: a subshell would draw the same number again and again.
draw() {	# VARIABLE BELOW
	printf -v "$1" %d $(((RANDOM * 32768 + RANDOM) % $2))
}
microseconds() { echo "${EPOCHREALTIME/./}"; }
pause_us() { read -r -t "$(($1 / 1000000)).$(printf %06d $(($1 % 1000000)))" -u "$never"; }

finish() {
	local d
	for d in "$cgroup_here"/ckpt-*/; do
		d=${d%/}
		[ ! -d "$d" ] || job_cleanup "${d##*/ckpt-}"
	done
	rm -rf "$work"
	tap_end
}

# ---- jobs: the program NAME runs with the directory $work/NAME ----

job_dir() { echo "$work/$1"; }
job_cgroup() { echo "$cgroup_here/ckpt-$1"; }

# Wait for FILE in the job's directory, but not when it has failed.
job_await() {	# NAME FILE
	local dir found p
	dir=$(job_dir "$1")
	if ! found=$("$waitfor" "$wait_s" file "$dir/failed" "$dir/$2"); then
		why "the program did not get to \"$2\" within $wait_s s"
		while read -r p; do
			echo "pid $p: $(tr '\0' ' ' <"/proc/$p/cmdline")"
			grep -H . "/proc/$p"/task/*/{wchan,syscall,status} | grep -E 'wchan|syscall|State|Sig|Shd'
		done < <(cat "$(job_cgroup "$1")/cgroup.procs" 2>/dev/null)
		tail -n 5 "$dir.out" 2>/dev/null
		return 1
	fi
	[ "$found" = "$dir/failed" ] || return 0
	why "the program says: $(cat "$dir/failed")"
	return 1
}

job_launch() {	# NAME PROGRAM [RUN-OPTION…]: sets keeper
	local name=$1 program=$2 dir
	shift 2
	dir=$(job_dir "$name")
	rm -rf "$dir"
	mkdir "$dir"
	ckctl run --name="$name" --checkpoint-dir="$images" "$@" -- "$bin/$program" "$dir" >>"$dir.out" 2>&1 &
	keeper=$!
}

job_start() {	# NAME PROGRAM [RUN-OPTION…]: sets keeper
	job_launch "$@"
	job_await "$1" ready
}

# A whole round of the program after this moment.
job_works() {	# NAME
	local dir
	dir=$(job_dir "$1")
	touch "$dir/ask"
	job_await "$1" answer && rm "$dir/answer"
}

# Have it look at everything and end.
job_end() {	# NAME
	local rc=0
	touch "$(job_dir "$1")/stop"
	job_await "$1" passed || return 1
	wait "$keeper" || rc=$?
	if [ $rc != 0 ]; then
		why "the program passed, but ckctl, which waits for it, ended with status $rc: $(tail -n 5 "$(job_dir "$1").out")"
		return 1
	fi
	if ! "$waitfor" "$wait_s" gone "$(job_cgroup "$1")"; then
		why "the job passed, but its cgroup is still there with: $(cat "$(job_cgroup "$1")/cgroup.procs")"
		return 1
	fi
}

job_kill() {	# NAME
	echo 1 >"$(job_cgroup "$1")/cgroup.kill" || return 1
	# It passes over processes whose first thread has ended.
	xargs -r kill -9 <"$(job_cgroup "$1")/cgroup.procs" 2>/dev/null
	wait "$keeper"
	"$waitfor" "$wait_s" gone "$(job_cgroup "$1")" && return 0
	why "the killed job's cgroup is still there"
	return 1
}

# To be as at the time of the checkpoint, where the talk with us is concerned.
job_rewind() {	# NAME
	(cd "$(job_dir "$1")" && rm -rf stop passed ask answer failing failed)
}

job_create() {	# NAME [OPTION…]
	local name=$1
	shift
	ckctl create "$name" "$@" && return 0
	why "ckctl create $name $* ended with status $?"
	return 1
}

job_restart() {	# NAME [OPTION…]: sets keeper
	local name=$1 dir tries=0
	shift
	dir=$(job_dir "$name")
	job_rewind "$name"
	touch "$dir/ask"
	ckctl restart "$images/$name.ckpt" "$@" >>"$dir.out" 2>&1 &
	keeper=$!
	# The first sign of life, or the end of ckctl.
	while ! "$waitfor" 0.2 file "$dir/answer" "$dir/failed" >/dev/null; do
		kill -0 $keeper && [ $((wait_s * 5)) -gt $((++tries)) ] && continue
		why "the restarted job shows no sign of life: $(tail -n 5 "$dir.out")"
		return 1
	done
	job_await "$name" answer && rm "$dir/answer"
}

# ---- the job "lines", which shows where it was saved ----

# Its output to FILE, opened as the shell does for OPERATOR.
lines_start() {	# FILE OPERATOR
	local dir
	dir=$(job_dir lines)
	rm -rf "$dir" "$images/lines.ckpt"
	mkdir "$dir"
	if [ "$2" = ">>" ]; then
		ckctl run --name=lines --checkpoint-dir="$images" -- "$bin/lines" "$dir" >>"$1" 2>"$dir.out" &
	else
		ckctl run --name=lines --checkpoint-dir="$images" -- "$bin/lines" "$dir" >"$1" 2>"$dir.out" &
	fi
	keeper=$!
	job_await lines ready
}

lines_restart() {	# FILE [OPTION…], appended to
	local file=$1
	shift
	job_rewind lines
	ckctl restart "$images/lines.ckpt" "$@" >>"$file" 2>"$(job_dir lines).out" &
	keeper=$!
	job_works lines
}

says() {	# TEXT FILE
	grep -q -- "$1" "$2" && return
	why "nothing is said of \"$1\": $(cat "$2")"
	return 1
}

# Every number once, in order.
in_sequence() {	# FILE
	awk '$0 != NR - 1 { print "line " NR " is " $0; exit 1 }' "$1" >"$work/wrong" && [ -s "$1" ] && return 0
	why "the output is not in sequence: $(cat "$work/wrong")"
	return 1
}

# ---- what every program must stand ----

# All that cr.sh runs; user.sh, too, but for what only root may do.
# shellcheck disable=SC2034 # a variable for who sources this
all_programs=(
	regs threads memory advice shm signals timers
	pids orphans zombies stopped exited_main attributes creds chroots
	files removed tempfiles mapped pipes fifos events
	syscalls fragile relaunch
)

undisturbed() {	# PROGRAM
	local dir pid
	dir=$(job_dir "$1")
	mkdir "$dir"
	"$bin/$1" "$dir" &
	pid=$!
	if job_await "$1" ready && job_works "$1" && touch "$dir/stop" && job_await "$1" passed && wait $pid; then
		return 0
	fi
	kill -9 $pid
	return 1
}

checkpointed() {	# PROGRAM
	job_start "$1" "$1" && job_create "$1" && job_works "$1" && job_create "$1" && job_works "$1" &&
		job_end "$1" && image_proved "$images/$1.ckpt"
}

# What comes after the checkpoint must not be seen by the restarted one.
restarted() {	# PROGRAM [OPTION of create…]
	job_start "$1" "$1" && job_works "$1" && job_create "$@" && job_works "$1" && job_kill "$1" &&
		job_restart "$1" && job_works "$1" && job_end "$1"
}

restarted_again() {	# PROGRAM
	[ -d "$images/$1.ckpt" ] && job_restart "$1" && job_works "$1"
}

restarted_twice() {	# PROGRAM
	[ -d "$(job_cgroup "$1")" ] && job_create "$1" && job_works "$1" && job_kill "$1" &&
		job_restart "$1" && job_works "$1" && job_end "$1"
}

check_program() {	# PROGRAM [OPTION of create, for the image that is restarted]
	check "$1: undisturbed" undisturbed "$1"
	check "$1: checkpointed twice and gone on" checkpointed "$1"
	job_cleanup "$1"
	check "$1: killed and restarted${2:+, saved with $2}" restarted "$@"
	job_cleanup "$1"
	check "$1: restarted again from the same image" restarted_again "$1"
	check "$1: restarted from a checkpoint of that" restarted_twice "$1"
	job_cleanup "$1"
}

# ---- what must hold after anything that went wrong ----

image_proved() {	# IMAGE
	ckctl verify "$1" && return 0
	why "ckctl verify ended with status $?"
	return 1
}

# A complete image and nothing besides: no generation of a dead writer.
image_clean() {	# IMAGE
	local found
	found=$(cd "$1" && find . -mindepth 1 | LC_ALL=C sort | sed 's/^\.\/gen-[0-9]*/gen/' | tr '\n' ' ')
	[ "$found" = "gen gen/index gen/pages gen/records ./manifest.json " ] && return 0
	why "in $1 there is: $found"
	return 1
}

expect_status() {	# STATUS COMMAND…
	local expected=$1 status=0
	shift
	"$@" 2>"$work/stderr" || status=$?
	cat "$work/stderr"
	[ $status = "$expected" ] && return 0
	why "\"$*\" ended with status $status instead of $expected: $(tail -n 3 "$work/stderr")"
	return 1
}

# One line in $work/stderr, which has WORD in it.
one_sentence() {	# WORD
	[ "$(grep -vc '^restarted' "$work/stderr")" = 1 ] && grep -q -- "$1" "$work/stderr" && return 0
	why "not one sentence with \"$1\": $(cat "$work/stderr")"
	return 1
}

refused() {	# STATUS WORD COMMAND…
	local status=$1 word=$2
	shift 2
	expect_status "$status" timeout 60 "$@" && one_sentence "$word" && return 0
	why "this was \"$*\""
	return 1
}

sessions() { ckctl status | sed -n 's/^sessions *//p'; }

# The end of a session is noticed by the kernel, not waited for by anybody.
no_session() {
	local n
	for ((n = 0; n < 250; n++)); do
		[ "$(sessions)" != 0 ] || return 0
		read -r -t 0.02 -u "$never"
	done
	why "ckctl status says that there are $(sessions) sessions"
	return 1
}

# The job runs on: not frozen a second after the end of ckctl, and working.
runs_on() {	# NAME
	if ! "$waitfor" "${TIMEOUT_FACTOR:-1}" cgroup "$(job_cgroup "$1")" frozen 0; then
		why "the job is still frozen after a second"
		return 1
	fi
	job_works "$1"
}

# What is there for a moment only refuses none of so many checkpoints; root meets it one time
# in eight, for memory that is not to be read is no obstacle then, others one in four.
moments() {	# NR FILE STATUS WORD: how it is refused once it stays
	local n
	job_start moments moments || return
	for ((n = 0; n < $1; n++)); do
		job_create moments -q || return
	done
	touch "$(job_dir moments)/$2"
	job_works moments && refused "$3" "$4" ckctl create moments && runs_on moments &&
		image_proved "$images/moments.ckpt" && job_end moments
}

job_cleanup() {	# NAME
	local cgroup
	cgroup=$(job_cgroup "$1")
	[ -d "$cgroup" ] || return 0
	echo 0 >"$cgroup/cgroup.freeze"
	echo 1 >"$cgroup/cgroup.kill"
	xargs -r kill -9 <"$cgroup/cgroup.procs"
	"$waitfor" 10 gone "$cgroup" || rmdir "$cgroup"
} 2>/dev/null
