#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1200
# shellcheck disable=SC2317 # check() calls the functions
#
# Schedules of checkpoints, as they are seen from outside: real jobs, real images.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/slurm/lib-schedule.sh
. "$here/slurm/lib-schedule.sh"

images=$work/images
as_user mkdir "$images"

keeper_of() { pgrep -f "ckctl job-keeper .* $1\$"; }

# Nothing is left of a job: no process of ckctl's, no cgroup, no half image.
left_nothing() {	# JOB
	local image=$images/$1.ckpt found
	gone() { ! pgrep -x ckctl && [ -z "$(find /sys/fs/cgroup/system.slice -name "job_$1")" ]; }
	await "$wait_s" gone "$1" || { why "there are still: $(pgrep -af ckctl; find /sys/fs/cgroup/system.slice -name "job_$1")"; return 1; }
	[ ! -d "$image" ] || as_user ckctl verify "$image" || { why "the image is not whole"; return 1; }
	found=$(find "$image" -mindepth 1 -maxdepth 1 -name 'gen-*' 2>/dev/null | wc -l)
	[ "$found" -le 1 ] || { why "the image has more than one checkpoint: $(ls "$image")"; return 1; }
}

# ---- the schedule ----

at_an_interval() {
	local first second interval=8
	begin interval "$work_on" --checkpoint=0:$interval && field_await "$job" last.time || return
	[ "$(field "$job" last.image)" = "$images/$job.ckpt" ] || { why "the image is elsewhere"; return 1; }
	first=$(field "$job" next)
	checkpointed "$job" && second=$(field "$job" next) || return
	as_user ckctl status "$job"
	# The next one that is due, not counted from the end of this one.
	(((second - first) % interval == 0 && second > first)) || { why "due at $first and $second"; return 1; }
	(((first - $(field "$job" started)) % interval <= 1)) || { why "not counted from the start: $(status "$job")"; return 1; }
	end "$job" && left_nothing "$job" && has "$job" ended
}

# A checkpoint is under way more often than not when the job ends.
ends_in_the_middle() {
	begin middle "$work_on" --checkpoint=0:1 && checkpointed "$job" && end "$job" && left_nothing "$job" || return
	[ ! -s middle.out ] || { why "the job was told: $(cat middle.out)"; return 1; }
}

cancelled_in_the_middle() {
	begin cancelled "$work_on" --checkpoint=0:1 && checkpointed "$job" && scancel "$job" && job_await "$job" CANCELLED &&
		left_nothing "$job"
}

with_steps() {
	rm -f tasks.*
	begin steps "srun sh -c 'touch tasks.\$SLURM_PROCID; $work_on'" -N2 --checkpoint=0:5 && file_await tasks.0 &&
		file_await tasks.1 && checkpointed "$job" && end "$job" && left_nothing "$job" || return
	ls -R "$images/$job.ckpt"
	[ -n "$(find "$images/$job.ckpt" -path '*/0/node1.ckpt/manifest.json')" ] || { why "the image has no part of the step on node1"; return 1; }
	[ ! -e "$images/$job.0.ckpt" ] || { why "the step has an image of its own"; return 1; }
}

# What is on the screen of who started it tells the failures.
a_step() {
	local srun id
	rm -f stop
	as_user srun -n1 -w node0 --checkpoint=0:4 --checkpoint-dir=images sh -c "$work_on" >srun.out 2>&1 & srun=$!
	found() { id=$(squeue -h -s -u user -o %i | grep '\.0$'); }
	await "$wait_s" found && field_await "$id" last.time || return
	[ "$(field "$id" last.image)" = "$images/$id.ckpt" ] && as_user ckctl verify "$images/$id.ckpt" || return
	chmod 500 images && field_await "$id" failure.time
	chmod 700 images
	checkpointed "$id" && touch stop && wait "$srun" || return
	cat srun.out
	grep -q "^ckctl: note: the checkpoint of $id failed" srun.out || { why "srun does not show the failure"; return 1; }
}

# ---- what a keeper is ----

its_place() {
	local keeper p
	begin place "$work_on" --checkpoint=10 && field_await "$job" next && keeper=$(keeper_of "$job") || return
	p=/proc/$keeper
	cat "$p/cgroup" "$p/status"
	grep -q "/job_$job/step_batch/slurm\$" "$p/cgroup" || { why "it is in another cgroup"; return 1; }
	grep -qP '^Uid:\t1000\t1000\t1000\t1000$' "$p/status" && grep -qP '^Gid:\t1000\t1000\t1000\t1000$' "$p/status" ||
		{ why "it is not the user"; return 1; }
	[ "$(sed -n 's/^Groups:\t//p' "$p/status" | xargs)" = "$(as_user id -G)" ] || { why "it has other groups"; return 1; }
	[ "$(cat "$p/oom_score_adj")" = 0 ] || { why "it cannot be killed for want of memory"; return 1; }
	[ "$(sed 's/.*) //' "$p/stat" | cut -d' ' -f4)" = "$keeper" ] || { why "it is in the session of another"; return 1; }
	# Its own is what listens to the job, see ckctl create self.
	[ "$(find "$p/fd" -type l | wc -l)" -le 4 ] && [ -z "$(find "$p/fd" -type l ! -name '[012]' ! -lname 'socket:*')" ] || { why "it has inherited descriptors: $(ls -l "$p/fd")"; return 1; }
	end "$job"
}

# They are for the tasks.
signals() {
	local keeper
	begin signals "trap 'touch usr1' USR1; $work_on" --checkpoint=10 && field_await "$job" next && keeper=$(keeper_of "$job") || return
	scancel --signal=USR1 --batch "$job" && file_await usr1 && scancel --full --signal=USR1 "$job" &&
		scancel --signal=TERM "$job" && read -r -t 1 -u "$never"
	[ "$(keeper_of "$job")" = "$keeper" ] || { why "a signal has ended the keeper"; return 1; }
	end "$job"
}

# Whatever happens to slurmstepd.
orphaned() {
	local keeper stepd
	begin orphan "$work_on" --checkpoint=10 && field_await "$job" next && keeper=$(keeper_of "$job") || return
	stepd=$(pgrep -f "slurmstepd: \[$job.batch\]") && kill -9 "$stepd" && "$waitfor" 10 gone "/proc/$keeper" ||
		{ why "the keeper of a slurmstepd that is gone is still there"; return 1; }
	touch stop
	scancel "$job"
	job_await "$job" "COMPLETED|CANCELLED|FAILED|NODE_FAIL"
}

# ---- failures, and when nothing can be done ----

failures() {
	local due failed
	begin failing "$work_on" --checkpoint=0:20 --output='%x-%j.txt' --error='%x-%j.err' && field_await "$job" next || return
	chmod 500 images && field_await "$job" failure.time && due=$(field "$job" next) && failed=$(field "$job" failure.time)
	chmod 700 images
	as_user ckctl status "$job" | tee status.txt
	cat "failing-$job.err"
	grep -q "^failure .*you may not write" status.txt || { why "status does not tell of it"; return 1; }
	grep -q "^ckctl: .*you may not write" "failing-$job.err" && grep -q "^ckctl: note: the checkpoint of $job failed" "failing-$job.err" ||
		{ why "the job's standard error does not tell of it"; return 1; }
	((due - failed <= 7)) || { why "the next try is only $((due - failed)) s later"; return 1; }
	checkpointed "$job" || return
	has "$job" failure.time && { why "the failure is still there: $(status "$job")"; return 1; }
	end "$job"
}

suspended() {
	local before
	begin suspended "$work_on" --checkpoint=0:4 && checkpointed "$job" && scontrol suspend "$job" && job_await "$job" SUSPENDED || return
	# One that was under way ends.
	read -r -t 4 -u "$never"
	before=$(field "$job" last.time)
	read -r -t 10 -u "$never"
	[ "$(field "$job" last.time)" = "$before" ] || { why "it is checkpointed while it is suspended"; return 1; }
	has "$job" failure.time && { why "that counts as a failure: $(status "$job")"; return 1; }
	scontrol resume "$job" && checkpointed "$job" && end "$job" && left_nothing "$job" || return
	[ ! -s suspended.out ] || { why "the job was told: $(cat suspended.out)"; return 1; }
}

# What a checkpoint leaves out is said once, however often one is made.
notes() {
	local lines
	begin noted "touch /tmp/closed.\$SLURM_JOB_ID; chmod 0 /tmp/closed.\$SLURM_JOB_ID; $work_on" --checkpoint=0:4 &&
		checkpointed "$job" && checkpointed "$job" || return
	as_user ckctl status "$job" | tee status.txt
	end "$job"
	rm "/tmp/closed.$job"
	cat noted.out
	grep "^             note: .*/closed.$job .*is not saved" status.txt || { why "status does not tell of it"; return 1; }
	lines=$(grep -c "^ckctl: note: .*/closed.$job .*is not saved" noted.out)
	[ "$lines" = 1 ] || { why "the job's standard error tells it $lines times"; return 1; }
}

# Made or failed without the keeper, which the job may not even have.
by_hand() {	# SBATCH-OPTION…
	local rc
	begin hand "$work_on" "$@" && field_await "$job" interval || return
	has "$job" last.time && { why "there is one already: $(status "$job")"; return 1; }
	as_user ckctl create "$job" && [ "$(field "$job" last.image)" = "$images/$job.ckpt" ] ||
		{ why "what was made is not known: $(status "$job")"; return 1; }
	chmod 500 images && as_user ckctl create "$job"; rc=$?
	chmod 700 images
	as_user ckctl status "$job" | tee status.txt
	[ $rc = 4 ] && grep -q "^failure .*you may not write" status.txt && grep -q "^checkpoint .*stood still" status.txt ||
		{ why "what has failed is not known"; return 1; }
	as_user ckctl create "$job" && ! has "$job" failure.time || { why "the failure is still there: $(status "$job")"; return 1; }
	end "$job"
}
by_hand_all() { by_hand && by_hand --checkpoint=1-0; }

# ---- the end of a job ----

conf() {	# LINE…
	mkdir -p /etc/ckpt
	printf '%s\n' "$@" >/etc/ckpt/ckpt.conf
}
epoch() { date -d "$(job_field "$1" "$2")" +%s; }
# Before Slurm has told the end, only the interval is known.
ends_after_next() { has "$job" next && (($(field "$job" next) < $(epoch "$job" EndTime))); }
due_await() { await "$wait_s" ends_after_next || { why "the end is not known: $(status "$job")"; return 1; }; }

last_one() {
	local due end
	conf "last_margin = 95  # seconds" last_factor=1
	begin last "$work_on" --checkpoint=1-0 --time=2 && due_await || return
	due=$(field "$job" next) end=$(epoch "$job" EndTime)
	((end - due >= 60 && end - due <= 97)) || { why "it is due $((end - due)) s before the end"; return 1; }
	await $((wait_s * 2)) has "$job" last.time || { why "it was not made: $(status "$job")"; return 1; }
	end "$job"
}

limit_moves() {
	local due
	conf last_margin=30 last_factor=1
	begin moved "$work_on" --checkpoint=1-0 --time=1 && due_await && due=$(field "$job" next) || return
	# No longer 30 seconds from now; it is asked before anything is made.
	scontrol update jobid="$job" TimeLimit=60
	moved() { (($(field "$job" next) > due + 1800)); }
	await "$wait_s" moved || { why "the new limit is not noticed: $(status "$job")"; return 1; }
	has "$job" last.time && { why "a last checkpoint was made before the old one"; return 1; }
	scontrol update jobid="$job" TimeLimit=1
	end "$job"
}

preempted() {
	local end
	conf last_margin=5 last_factor=1
	scontrol update partitionname=p GraceTime=40
	begin preempted "trap : TERM; $work_on" --checkpoint=1-0 --exclusive --requeue && field_await "$job" next || return
	has "$job" last.time && return 1
	as_user sbatch -Q -p urgent -w node0 --exclusive -o /dev/null --wrap "sleep 1" &&
		field_await "$job" last.time || return
	scontrol show job "$job"
	# Where the job has no limit, Slurm does not tell its end.
	end=$(($(epoch "$job" PreemptTime) + 40))
	echo "made at $(date -d "@$(field "$job" last.time)"), the end is $(date -d "@$end")"
	(($(field "$job" last.time) <= end)) || { why "it was made too late"; return 1; }
	as_user ckctl verify "$images/$job.ckpt"
}
preempted_all() {
	local rc=0
	preempted || rc=$?
	scontrol update partitionname=p GraceTime=0
	scancel -u user
	job_await "$job" CANCELLED
	return $rc
}

none_drained() { sinfo -N; ! sinfo -h -N -o %T | grep drain; }
from_elsewhere() { node-run node1 runuser -u user -- env HOME="$CKPT_SHARE/home/user" ckctl status "$job" | grep "^interval  *24:00:00"; }
not_anothers() { expect_nothing=$(runuser -u other -- env HOME="$CKPT_SHARE/home/other" ckctl status "$job" 2>&1) || grep "nothing is known" <<<"$expect_nothing"; }

run "sbatch --checkpoint=<interval>: the whole batch job, at its interval, counted from the start; seconds count" at_an_interval
run "a job that ends in the middle of a checkpoint leaves nothing half done" ends_in_the_middle
run "a job that is cancelled in the middle of one" cancelled_in_the_middle
run "batch shell and every step, on two nodes: one image, <dir>/<job_id>.ckpt; nothing is checkpointed twice" with_steps
run "srun --checkpoint=<interval>: make an image of the step every interval, <dir>/<job_id>.<step_id>.ckpt; failures on srun's standard error" a_step
run "the keeper is the user's, and beside the tasks" its_place
run "signals for the job do not reach the keeper" signals
run "without slurmstepd there is no keeper" orphaned
run "failures: on the job's standard error, in the status, tried again sooner" failures
run "what a checkpoint leaves out: once on the job's standard error, and in the status" notes
run "what was made or failed by hand is in the status, with a schedule and without" by_hand_all
run "a suspended job is left alone" suspended
run "a checkpointed job gets a last image before its time limit" last_one
run "the status is known on other nodes" from_elsewhere
run "and to nobody else" not_anothers
run "a limit that moves is noticed" limit_moves
run "a checkpointed job gets a last image before a preemption's grace time ends" preempted_all
run "no node was drained" none_drained
rm -f /etc/ckpt/ckpt.conf
finish
