#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   scripts/demo-cluster.sh [N]
#
# The main job under Slurm, shown to a person: a batch job is checkpointed at an
# interval, its node is switched off, and it goes on from the image on another one
# to the very result of an undisturbed run. "make demo" runs this as root on node0
# of a cluster of two virtual machines. N is how far the job counts; by default, what
# takes it a minute or so here, for a checkpoint and more to come in between.
set -euo pipefail

sample=1000000
job_us=22000000	# of the bare computation: with all that comes in between, three or four times that
wait_s=240
exec {pause}<> <(:)		# never readable: "read -t" from it waits
step=0

say() {	# WHAT DETAIL
	step=$((step + 1))
	printf '%2d  %-24s %s\n' $step "$1" "$2"
}

die() {
	echo "demo: $*" >&2
	[ ! -e job.out ] || sed 's/^/    /' job.out >&2
	exit 1
}

now() { echo "${EPOCHREALTIME/./}"; }
seconds() { awk -v us="$1" 'BEGIN { printf "%.1f s", us / 1e6 }'; }
as_user() { runuser -u user -- env HOME="$CKPT_SHARE/home/user" USER=user LOGNAME=user "$@"; }

# Neither Slurm nor the job tells of anything when it happens: ask again and again.
await() {	# WHAT COMMAND…
	local what=$1 end=$((SECONDS + wait_s))
	shift
	while ! "$@"; do
		[ $SECONDS -lt $end ] || die "$what did not come within $wait_s s"
		read -r -t 0.1 -u "$pause" || true
	done
}

state() { scontrol -o show job "$job" | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1; }
is() { [ "$(state "$1")" = "$2" ]; }
bytes() { stat -c %s numbers.xz 2>/dev/null || echo 0; }
mib() { awk -v b="$1" 'BEGIN { printf "%.1f MiB", b / 1048576 }'; }
field() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" status.json | head -n 1; }
checkpointed() {
	! is JobState COMPLETED || die "the job ended before its first checkpoint; let it count further"
	as_user ckctl --json status "$job" >status.json 2>/dev/null && [ -n "$(field standstill_ms)" ]
}
has_grown() { [ "$(bytes)" -gt "$1" ]; }
has_grown_or_ended() {
	! is JobState COMPLETED || die "the job ended before its node could be switched off; let it count further"
	has_grown "$1"
}
goes_on() { has_grown "$lost" || is JobState COMPLETED; }
computation() { echo "seq 1 $1 | xz -T2 -3 --block-size=256KiB | tee numbers.xz | sha256sum"; }
node_lost() { [[ $(sinfo -h -n node1 -p p -o %t) == down* ]]; }

cd "$(as_user mktemp -d -p "$CKPT_SHARE" demo.XXXXXX)"
if [ -n "${1:-}" ]; then
	n=$1
else
	t=$(now)
	bash -c "$(computation $sample)" >/dev/null
	n=$((sample * (job_us / 1000) / (($(now) - t) / 1000 + 1)))
	rm numbers.xz
fi
computation=$(computation "$n")
echo "The job, on two nodes with Slurm $(sinfo --version | cut -d' ' -f2):"
cat >job.sh <<-END_OF_JOB
	#!/bin/bash
	#SBATCH --checkpoint=0:10 --requeue --output=job.out
	echo "on \$(hostname): counting"
	srun --quiet bash -c '$computation'
	echo "on \$(hostname): counted, status \$?"
END_OF_JOB
sed 's/^/    /' job.sh
echo

# It is to begin on the node that will be lost, but not to be bound to it.
scontrol update nodename=node0 state=drain reason=demo
job=$(as_user sbatch --parsable job.sh)
await "the job's output" has_grown 0
scontrol update nodename=node0 state=resume
say "sbatch" "job $job runs on $(state NodeList)"

await "the first checkpoint" checkpointed
at=$(bytes)
say "checkpoint" "$(awk -v bytes="$(field bytes)" -v s="$(field seconds)" -v still="$(field standstill_ms)" \
	-v tasks="$(field tasks)" 'BEGIN { printf "stood still %.1f ms; %d processes, %.1f MiB in %.2f s",
	still, tasks, bytes / 1048576, s }'), after the interval of 10 s"

await "more of the job's output" has_grown_or_ended "$at"
lost=$(bytes) t=$(now)
node-off node1
say "node1 switched off" "the job has written $(mib "$lost")"
await "Slurm's notice of the loss" node_lost
await "the job's return to the queue" is Restarts 1
say "Slurm has noticed" "$(seconds $(($(now) - t))) later; the job is in the queue again"
# Slurm would have it wait for two minutes.
scontrol update jobid="$job" StartTime=now >/dev/null 2>&1 || true
t=$(now)
await "the job's new start" is JobState RUNNING
on=$(state NodeList)
await "the job's going on" goes_on
say "continued" "on $on: it has written more than before"
await "the job's end" is JobState COMPLETED
say "finished" "$(seconds $(($(now) - t))) later, status $(state ExitCode)"
echo
sed 's/^/    /' job.out

mkdir undisturbed
expected=$(cd undisturbed && bash -c "$computation")
[ "$(sed -n 2p job.out)" = "$expected" ] || die "DIFFERENT: an undisturbed run says $expected"
cmp -s numbers.xz undisturbed/numbers.xz || die "the file that it wrote is not that of an undisturbed run"
[ "$(wc -l <job.out)" = 3 ] && ! grep -q beginning job.out || die "it did not continue from the image"
say "compared" "the job's result and the file it wrote equal an undisturbed run's"
