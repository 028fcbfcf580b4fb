# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # variables for who sources this, and of lib.sh
#
# What the tests of ckctl create share: jobs that verify themselves, and what is
# asked of their images.

factor=${TIMEOUT_FACTOR:-1}
images=$work/images
as_user mkdir "$images"
cp "$here/build/threads" "$work"

# What the tasks run: PROGRAM in the directory of their rank.
cat >task <<'END'
#!/bin/bash
mkdir -p "d$SLURM_PROCID" && exec "./$1" "$PWD/d$SLURM_PROCID"
END
chmod +x task

# ---- jobs ----

# Wait until each of the tasks of ranks 0 to NR - 1 has made FILE.
tasks_await() {	# NR FILE
	local r found
	for ((r = 0; r < $1; r++)); do
		if ! found=$("$waitfor" "$wait_s" file "d$r/failed" "d$r/$2"); then
			why "task $r did not get to \"$2\" within $wait_s s"
			return 1
		fi
		[ "$found" = "d$r/$2" ] || { why "task $r says: $(cat "d$r/failed")"; return 1; }
	done
}

# A whole round of each after this moment.
tasks_work() {	# NR
	local r
	for ((r = 0; r < $1; r++)); do rm -f "d$r/answer"; touch "d$r/ask"; done
	tasks_await "$1" answer || return
	for ((r = 0; r < $1; r++)); do rm "d$r/answer"; done
}

tasks_end() {	# NR
	local r
	for ((r = 0; r < $1; r++)); do touch "d$r/stop"; done
	tasks_await "$1" passed
}

# Three tasks on two nodes, as from a login shell. Sets job and client.
step_start() {	# PROGRAM
	rm -rf d[0-9]*
	as_user srun -N2 -n3 --job-name="$1" ./task "$1" >step.out 2>&1 &
	client=$!
	tasks_await 3 ready || return
	job=$(squeue -h -n "$1" -o %A)
}

step_end() {
	local rc=0
	tasks_end 3 || return
	wait "$client" || rc=$?
	[ $rc = 0 ] && return
	why "the tasks have passed, but srun ended with status $rc: $(cat step.out)"
	return 1
}

on_nodes() {	# SHELL-COMMAND with \$node: its output from all nodes
	local n
	for ((n = 0; n < CKPT_NODES; n++)); do node-run "node$n" sh -c "node=node$n; $1"; done
}

# Nothing of the job is frozen, on no node, and no session is open soon after.
all_run_on() {	# [SECONDS]
	await $((${1:-2} * factor)) nothing_frozen && await $((2 * factor)) no_session && return
	why "frozen: $(frozen); sessions: $(on_nodes "ckctl status" | grep '^sessions' | tr '\n' ' ')"
	return 1
}
frozen() { on_nodes "grep -sl '^frozen 1' /sys/fs/cgroup/system.slice/\${node}_slurmstepd.scope/job_$job/step_*/user/cgroup.events"; }
nothing_frozen() { [ -z "$(frozen)" ]; }
no_session() { [ -z "$(on_nodes "ckctl status" | grep '^sessions' | grep -v ' 0$')" ]; }

# ---- images ----

expect_status() {	# STATUS COMMAND…
	local expected=$1
	shift
	status=0
	"$@" >stdout 2>stderr || status=$?
	cat stdout stderr
	[ $status = "$expected" ] && return
	why "\"$*\" ended with status $status instead of $expected: $(tail -n 3 stderr)"
	return 1
}

says() {	# TEXT: the last command's complaint
	grep -qF -- "$1" stderr && return
	why "the sentence does not say \"$1\": $(cat stderr)"
	return 1
}

# A complete image of one generation, and nothing beside it.
image_whole() {	# NAME
	local image=$images/$1.ckpt found
	expect_status 0 as_user ckctl verify "$image" || return
	found=$(find "$image" -mindepth 1 -maxdepth 1 -printf '%f ' | sed 's/gen-[0-9]*/gen/')
	if [ "$(tr ' ' '\n' <<<"$found" | LC_ALL=C sort | tr '\n' ' ')" != " gen lock manifest.json " ]; then
		why "in $image there is: $found"
		return 1
	fi
	found=$(find "$image" \( ! -user user -o -type d ! -perm 700 -o -type f ! -perm 600 \) -printf '%P %u %m, ')
	[ -z "$found" ] && return
	why "owners or modes: $found"
	return 1
}

parts() {	# NAME: "step node ranks", one a line
	as_user ckctl show --json "$images/$1.ckpt" | python3 -c '
import json, sys
for p in json.load(sys.stdin)["parts"]:
    print(p["step"], p["node"], *sorted(t["rank"] for t in p["tasks"]))'
}

create() { as_user ckctl create "$@" ImageDir="$images"; }

batch_start() {	# [SBATCH-OPTION…], script on standard input
	rm -rf d[0-9]* && job_submit batch -N2 -n3 "$@" && job_await "$job" RUNNING
}

# As the job's keeper would: in the cgroup of Slurm's own process for the step, the node needs
# no step to be served, and a job of one node needs no srun at all.
beside() {	# STEP COMMAND…: on node0, as the user
	local cgroup=/sys/fs/cgroup/system.slice/node0_slurmstepd.scope/job_$job/step_$1/slurm
	shift
	( echo "$BASHPID" >"$cgroup/cgroup.procs" && exec runuser -u user -- "$@" )
}
