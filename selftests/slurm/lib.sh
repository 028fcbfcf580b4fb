# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # variables for who sources this
#
# What the tests under Slurm share; they run as root on node0 of a cluster
# (scripts/cluster.sh), and what they submit runs as the ordinary user "user".
#
# Everything happens in a directory that all nodes see and that belongs to
# "user", and goes away at the end.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=selftests/tap.sh
. "$here/tap.sh"
[ -n "${CKPT_NODES:-}" ] ||
	skip_all "this runs only in a cluster: scripts/cluster.sh run -- /src/selftests/slurm/${0##*/}"

# Slurm has its own idea of "soon".
wait_s=$((wait_s * 2))
tap_begin "$(mktemp -d -p "$CKPT_SHARE" test.XXXXXX)"
chmod 755 "$work"
chown user: "$work"
waitfor=$here/build/waitfor
cd "$work" || exit
exec {never}<> <(:)	# "read -t" from it is a pause

finish() {
	cd / || exit
	rm -rf "$work"
	tap_end
}

as_user() {	# COMMAND…
	runuser -u user -- env HOME="$CKPT_SHARE/home/user" USER=user LOGNAME=user "$@"
}

# Slurm tells of nothing when it happens: ask it again and again.
await() {	# SECONDS COMMAND…
	local end=$((SECONDS + $1))
	shift
	while ! "$@"; do
		[ $SECONDS -lt $end ] || return 1
		read -r -t 0.2 -u "$never"
	done
	return 0
}

# One that was told to reconfigure itself has, with 24.11, the name of its file.
controller='slurmctld(-wlm)?'
controller_gone() { ! pgrep -x "$controller"; }
controller_again() {	# SIGNAL
	pkill "-$1" -x "$controller" && await 30 controller_gone && slurmctld </dev/null >/dev/null 2>&1
}

# A command, and what it says on standard output or error.
ends_with() {	# STATUS TEXT COMMAND…
	local expected=$1 text=$2 rc=0
	shift 2
	"$@" >"$work/said" 2>&1 || rc=$?
	cat "$work/said"
	[ $rc = "$expected" ] || { why "\"$*\" ended with status $rc instead of $expected: $(cat "$work/said")"; return 1; }
	grep -qF -- "$text" "$work/said" && return
	why "\"$*\" does not say \"$text\" but: $(cat "$work/said")"
	return 1
}

# ---- jobs of "user" ----

# Submit the script on standard input, from and into this directory. Sets job.
job_submit() {	# NAME [SBATCH-OPTION…]
	local name=$1
	shift
	cat >"$name.sh"
	job=$(as_user sbatch --parsable --job-name="$name" --output="$name.out" "$@" "$name.sh") && return 0
	why "sbatch refused $name"
	return 1
}

# A field of what "scontrol show job" says, like JobState.
job_field() {	# JOB FIELD
	scontrol -o show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1
}

job_is() { [[ $(job_field "$1" JobState) =~ ^($2)$ ]]; }

# Wait until a job is in one of these states (RUNNING, "COMPLETED|FAILED").
job_await() {	# JOB STATE…
	await "$wait_s" job_is "$1" "$2" && return 0
	why "job $1 is not $2 after $wait_s s but $(job_field "$1" JobState), because of $(job_field "$1" Reason)"
	return 1
}

# Wait for a file that a job makes.
file_await() {	# FILE
	"$waitfor" "$wait_s" file "$1" >/dev/null && return 0
	why "there is no $1 after $wait_s s; the jobs: $(squeue -h -o '%i %j %T %r')"
	return 1
}

# ---- nodes ----

node_state() { sinfo -h -n "$1" -p p -o %t; }
node_is() { [[ $(node_state "$1") == "$2" ]]; }

node_await() {	# NODE STATE-PATTERN
	await "$wait_s" node_is "$1" "$2" && return 0
	why "$1 is not $2 after $wait_s s but $(node_state "$1")"
	return 1
}

# Jobs that COMMAND submits, and waits for to run, do so on node1 but are not bound to it:
# when they begin anew, Slurm would give them node0.
on_node1() {	# COMMAND…
	local rc=0
	scontrol update nodename=node0 state=drain reason="a test"
	"$@" || rc=$?
	scontrol update nodename=node0 state=resume
	[ $rc = 0 ] && node_await node0 idle && [ "$(job_field "$job" BatchHost)" = node1 ] && return
	why "job $job runs on $(job_field "$job" BatchHost), the nodes: $(sinfo -h -N -o '%N %t')"
	return 1
}

# ---- tests ----

# Those that the command line names, or all; the next one finds no job of this one.
run() {	# DESCRIPTION FUNCTION
	local j
	[ ${#only[@]} = 0 ] || [[ " ${only[*]} " == *" $2 "* ]] || return
	check "$@"
	for j in $(squeue -h -o %A); do scancel "$j"; done
	node-idle >/dev/null 2>&1
}
only=("$@")
