#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1800
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
#   selftests/relaunch.sh [SCRIPT…]
#
# Batch scripts that launch job steps: the client of a step, srun, is not saved but
# started anew, with its pid and its arguments, and the script that waits for it
# sees its status; slots are left out. "srun" is relaunch.c, which looks at
# everything that it finds.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

# As a job's image has them: of the batch script, and of the steps 0 and 1.
images=$work/17.ckpt/gen-1/batch
mkdir -p "$images" "$work/17.ckpt/gen-1/0" "$work/17.ckpt/gen-1/1"
echo "$work/17.ckpt/gen-1" >"$work/step-images"

script() {	# NAME, standard input: its end
	cat - >"$bin/$1" <<-'END'
		#!/bin/bash
		dir=$1 bin=$(dirname "$0")
		cp "$bin/relaunch" "$dir/srun"
		trap '' HUP
		umask 027
		ulimit -n 500
		cd "$dir" || exit
		export SLURM_RESTART_DIR=stale HELLO="from $0"
		srun() { "$dir/srun" -n1 "$dir" "${1-0}" 42; }
		verify() { "$bin/relaunch" verify "$dir"; }
		fail() { echo "$*" >"$dir/failed"; exit 1; }
		ended() { [ "$*" = 42 ] || fail "srun ended with status $*"; }
		passed() { mkdir "$dir/passed"; exit; }
	END
	cat >>"$bin/$1"
	chmod +x "$bin/$1"
}

script foreground <<-'END'
	srun
	ended $?
	passed
END
script output <<-'END'
	srun >out
	ended $?
	verify <out && passed
END
# There are no images of step 7.
script background <<-'END'
	srun 7 >out &
	pid=$!
	wait $pid
	ended $?
	verify <out && passed
END
script pipeline <<-'END'
	srun | verify
	s=("${PIPESTATUS[@]}")
	ended "${s[0]}"
	[ "${s[1]}" = 0 ] && passed
END
script job_control <<-'END'
	set -m
	srun | verify
	s=("${PIPESTATUS[@]}")
	ended "${s[0]}"
	[ "${s[1]}" = 0 ] && passed
END
script substitution <<-'END'
	x=$(srun)
	ended $?
	verify <<<"$x" && passed
END
script input <<-'END'
	yes | srun
	ended "${PIPESTATUS[1]}"
	passed
END
script two <<-'END'
	mkdir two
	ln -s ../step-images .
	"$dir/srun" -n1 "$dir/two" 1 43 >second &
	pid=$!
	srun >first
	ended $?
	touch two/stop
	wait $pid
	status=$?
	rm two/stop
	[ $status = 43 ] || fail "the second srun ended with status $status"
	verify <first && verify <second && passed
END
# Nobody of the job is its parent.
script orphan <<-'END'
	mkfifo ended
	(ORPHAN=1 srun >out &)
	until tail -n 1 out | grep ends; do
		read -r -t 0.1 <> ended
	done
	verify <out && passed
END
scripts=(foreground output background pipeline job_control substitution input two orphan)

# ckctl itself, where a batch system had put the program.
for ns in "" 1; do
	cat >"$bin/slot$ns" <<-END
		#!/bin/bash
		exec env LD_PRELOAD=$bin/slot.so SLOT_PROGRAM=$bin/relaunch SLOT_DIR="\$1" ${ns:+SLOT_NS=1} ckctl
	END
	chmod +x "$bin/slot$ns"
done

processes() { ckctl show --json "$images/$1.ckpt" | sed -n '/^  "relaunched"/q; s/^      "name": "\(.*\)",*$/\1/p' | tr '\n' ' '; }

# ---- what is in the image ----

shown() {
	local pid line
	job_start foreground foreground && ckctl check foreground && job_create foreground || return
	pid=$(sed -n 's/^pid \([0-9]*\) of.*/\1/p' "$work/foreground/facts.0")
	line="relaunched: pid $pid: $work/foreground/srun -n1 $work/foreground 0 42 (step 17.0)"
	ckctl show "$images/foreground.ckpt" | tee "$work/shown" | grep -qxF "$line" ||
		why "show does not say \"$line\""
	grep -q '^tasks        1 process, 1 thread$' "$work/shown" || why "more than the script is saved"
	[ "$(processes foreground)" = "foreground " ] || why "the processes in it are $(processes foreground)"
	ckctl show --json "$images/foreground.ckpt" | sed -n '/^  "relaunched"/,/^  "zombies"/p' | tee "$work/json"
	grep -q "\"pid\": $pid," "$work/json" && grep -q '"step": "17.0"' "$work/json" && grep -q '"-n1",' "$work/json" ||
		why "it is not in the JSON"
	ckctl list "$images" | grep -q 'foreground.*complete' || why "list does not know it"
	expect_status 9 ckctl core -o "$work/core" "$images/foreground.ckpt" "$pid" && job_works foreground &&
		image_proved "$images/foreground.ckpt" && [ ! -s "$reason" ]
}

# Without it the script waits for nobody.
control() {
	local copy=$work/17.ckpt/gen-1/batch/copy.ckpt
	job_kill foreground
	cp -a "$images/foreground.ckpt" "$copy"
	"$bin/alter" "$copy" without relaunch && job_rewind foreground || return
	ckctl restart "$copy" --name=foreground >>"$work/foreground.out" 2>&1 &
	keeper=$!
	wait $keeper
	[ ! -e "$work/foreground/passed" ] && grep -q '^srun ended' "$work/foreground/failed" && return
	why "it passes, or says: $(cat "$work/foreground/failed")"
	return 1
}

# ---- what stands against it ----

first_process() {
	rm -rf "$work/first"
	mkdir "$work/first"
	cp "$bin/relaunch" "$work/first/srun"
	SLURM_RESTART_DIR=stale ckctl run --name=first --checkpoint-dir="$images" -- \
		"$work/first/srun" -n1 "$work/first" 0 42 >"$work/first.out" 2>&1 &
	keeper=$!
	job_await first ready && expect_status 3 ckctl check first &&
		refused 3 "first process of the job" ckctl create first || return
	[ ! -e "$images/first.ckpt/manifest.json" ] || why "there is an image"
	runs_on first && [ ! -s "$reason" ]
}

saved() {	# NAME
	job_start "$1" "$1" && job_works "$1" && job_create "$1" && job_kill "$1"
}

no_program() {
	saved output && mv "$work/output/srun" "$work/moved" || return
	job_rewind output
	refused 9 "output/srun, which is to be started anew" ckctl restart "$images/output.ckpt" || return
	[ ! -d "$(job_cgroup output)" ] && no_session && mv "$work/moved" "$work/output/srun"
}

# Found out when it is too late: the script sees what a shell would have said.
no_exec() {
	echo "no program" >"$work/output/srun"
	job_rewind output
	touch "$work/output/ask"
	ckctl restart "$images/output.ckpt" >>"$work/output.out" 2>"$work/stderr" &
	keeper=$!
	wait $keeper
	[ "$(cat "$work/output/failed")" = "srun ended with status 127" ] || why "the script says: $(cat "$work/output/failed")"
	[ "$(grep -c 'cannot start .*output/srun anew' "$work/output.out")" = 1 ] ||
		why "its standard error has not one sentence: $(cat "$work/output.out")"
	[ ! -s "$reason" ]
}

# ---- nobody is started before all are there ----

lives() { cat "$work/foreground/lives.0" | wc -c; }

populated() { grep -q '^populated 1' "$(job_cgroup "$1")/cgroup.events" 2>/dev/null; }

killed() {
	local n us before early=0 tries
	saved foreground || return
	for ((n = 0; n < 12; n++)); do
		job_rewind foreground
		touch "$work/foreground/ask"
		before=$(lives)
		ckctl restart "$images/foreground.ckpt" >>"$work/foreground.out" 2>&1 &
		keeper=$!
		draw us $((n * 70000 * ${TIMEOUT_FACTOR:-1} + 1))
		pause_us $us
		kill -9 $keeper
		wait $keeper
		for ((tries = 0; tries < wait_s * 5; tries++)); do
			if ! populated foreground; then
				early=$((early + 1))
				[ "$(lives)" = "$before" ] && break
				why "ckctl was killed after $us us and all has gone, but the client has been started"
				return 1
			fi
			! "$waitfor" 0.2 file "$work/foreground/answer" >/dev/null || break
		done
		if [ $tries = $((wait_s * 5)) ]; then
			why "ckctl was killed after $us us, and what is left does nothing"
			return 1
		fi
		job_cleanup foreground
	done
	verdict="$early of $n before the job ran"
	[ $early -gt 0 ]
}

# With the ids inside that it had outside, and inside again.
apart() {
	saved pipeline && job_restart pipeline --pid-namespace=always && job_works pipeline && job_create pipeline &&
		job_kill pipeline && job_restart pipeline --pid-namespace=always && job_works pipeline && job_end pipeline
}

# ---- slots ----

in_slot() {	# NAME PROCESSES
	local name=$1 pid
	job_start $name $name && job_works $name && ckctl check $name && job_create $name && job_works $name || return
	ckctl show "$images/$name.ckpt"
	[ "$(processes $name)" = "relaunch " ] || { why "the processes in it are $(processes $name)"; return 1; }
	while read -r pid; do
		readlink "/proc/$pid/exe"
	done <"$(job_cgroup $name)/cgroup.procs" | grep -c '/ckctl$' | grep -qx "$2" ||
		{ why "there are not $2 processes of a slot in the cgroup"; return 1; }
	job_kill $name && job_restart $name && job_works $name && job_create $name && job_works $name &&
		job_kill $name && job_restart $name && job_works $name && job_end $name
}

seed_random
if [ $# -gt 0 ]; then
	for s in "$@"; do
		check_program "$s"
	done
	finish
fi
for s in "${scripts[@]}"; do
	check_program "$s"
done
check "the image says what is started anew" shown
check "control: without the record it fails" control
job_cleanup foreground
check "the first process of a job cannot be a client" first_process
job_cleanup first
check "a client whose program is gone" no_program
check "one whose program cannot be executed" no_exec
job_cleanup output
check "started anew in a pid namespace" apart
job_cleanup pipeline
verdict=
check "ckctl killed in the middle of a restart" killed
[ -z "$verdict" ] || echo "# $verdict"
job_cleanup foreground
check "a slot is left out" in_slot slot 1
job_cleanup slot
check "so is one outside of the job's pid namespace, and its init" in_slot slot1 2
job_cleanup slot1
finish
