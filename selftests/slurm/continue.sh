#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1800
# shellcheck disable=SC2317 # check() calls the functions
#
# Jobs that Slurm requeues continue from their images without anyone typing.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/slurm/lib-restart.sh
. "$here/slurm/lib-restart.sh"

# ---- whatever made Slurm requeue them ----

# A batch job of four tasks on two nodes, after its checkpoint.
shape=(-N2 --ntasks-per-node=2)
four_tasks() {	# NAME SBATCH-OPTION…
	begin "$1" "${shape[@]}" "${@:2}" <<-'END' || return
		#!/bin/bash
		echo "begin of $SLURM_JOB_ID"
		srun ./rounds.py 120 7 2>srun.err
		echo "end $?"
		exit 5
	END
	rounds_await 4 20 && create && rounds_await 4 40
}
four_continued() {
	ended_with FAILED 5 && tasks_undisturbed 4 120 && script_undisturbed "begin of $job" "end 7"
}

requeued() {
	four_tasks requeued && as_user scontrol requeue "$job" && goes_on && four_continued
}

node_off() {
	four_tasks off && node-off node1 && node_await node1 'down*' && job_await "$job" PENDING && node-on node1 &&
		goes_on && four_continued
}

# It is not switched on again: all tasks go on on the node that is left.
node_stays_off() {
	local shape=(-N1-2 -n4)
	four_tasks left || return
	[ "$(job_field "$job" NumNodes)" = 2 ] || { why "it did not run on two nodes"; return 1; }
	node-off node1 && node_await node1 'down*' && job_await "$job" PENDING && goes_on && four_continued
	[ "$(job_field "$job" NodeList)" = node0 ] && node_is node1 'down*' || why "it went on on $(job_field "$job" NodeList), node1 is $(node_state node1)"
	node-on node1
	[ ! -s "$reason" ]
}

# The batch shell itself, on the node that is left.
other_node() {
	begin elsewhere -N1 -n2 -w node1 <<-'END' || return
		#!/bin/bash
		for i in 1 2; do
			n=$((n + i))
			srun ./rounds.py 120 0 2>srun.err
			echo "end $i on $(hostname) for $SLURMD_NODENAME: $n $?"
		done
	END
	rounds_await 2 20 && create && as_user scontrol update jobid="$job" ReqNodeList= 2>/dev/null
	node-off node1 && node_await node1 'down*' && job_await "$job" PENDING && as_user scontrol update jobid="$job" ReqNodeList= &&
		goes_on && job_await "$job" COMPLETED
	node-on node1
	[ ! -s "$reason" ] && script_undisturbed "end 1 on node0 for node1: 1 0" "end 2 on node0 for node1: 3 0"
}

preempted() {
	local urgent
	four_tasks preempted --exclusive && urgent=$(as_user sbatch --parsable -p urgent -N2 --exclusive -o /dev/null --wrap true) || return
	job_await "$urgent" COMPLETED && [ "$(job_field "$job" Restarts)" = 1 ] && goes_on && four_continued
}

# Its tasks get the job's signals as any others, and its end is known to Slurm.
controlled() {
	begin controlled -n1 <<-'END' || return
		#!/bin/bash
		trap 'echo "script"' USR1
		srun python3 -c '
		import os, signal, time
		signal.signal(signal.SIGUSR1, lambda *_: open("got", "w"))
		open("started", "w")
		while True: time.sleep(60)' 2>/dev/null &
		while ! wait; do :; done
	END
	rm -f got started
	file_await started && create && as_user scontrol requeue "$job" && goes_on && steps_await 1 || return
	slot_ready() { [ "$(tasks_in 0)" -ge 2 ]; }
	await "$wait_s" slot_ready && as_user scancel --signal=USR1 "$job" && file_await got || return
	[ -z "$(pgrep -f 'rounds.py')" ] && as_user scancel "$job" && job_await "$job" CANCELLED && ! pgrep -f job-task
}
steps_await() { await "$wait_s" has_step "$1"; }
has_step() { [ "$(squeue -h -s -j "$job" -o %i | grep -c '\.[0-9]')" -ge "$1" ]; }
tasks_in() { cat /sys/fs/cgroup/system.slice/*/job_"$job"/step_"$1"/user/*/cgroup.procs 2>/dev/null | wc -l; }

# A file of both tasks that is no output: what has been written to it since stays.
told() {
	local lines
	begin told -N1 -n2 <<-'END' || return
		#!/bin/bash
		srun bash -c 'exec 5<>shared; touch open.$SLURM_PROCID; while [ ! -e finish ]; do sleep 0.2; done' 2>srun.err
		echo "end $?"
	END
	echo before | as_user tee shared && file_await open.0 && file_await open.1 && create && echo since >>shared &&
		as_user scontrol requeue "$job" && goes_on && ended_with COMPLETED 0 && script_undisturbed "end 0" || return
	as_user ckctl status "$job" | tee said
	lines=$(grep -c "^ckctl: note: .*/shared has changed .* taken as it is" srun.err)
	[ "$lines" = 1 ] || { why "that is said $lines times: $(cat srun.err)"; return 1; }
	grep "^restart .* continued from $images/$job.ckpt" said && [ "$(grep -c "note: .*/shared has changed" said)" = 1 ] ||
		{ why "status does not tell of it: $(cat said)"; return 1; }
}

# ---- batch scripts ----

# What the shell knows, which step is running, and what runs beside it.
three_steps() {
	begin steps -n2 -N1 <<-'END' || return
		#!/bin/bash
		words=(one two "three four") sum=0
		for i in 1 2 3; do
			srun ./rounds.py 120 $i "step$i" 2>>srun.err
			sum=$((sum * 10 + $?))
			echo "after step $i: $sum ${words[i - 1]}"
		done
		srun -n1 --overlap ./rounds.py 120 4 left 2>>srun.err & left=$!
		srun -n1 --overlap ./rounds.py 120 5 right 2>>srun.err & right=$!
		wait $left; echo "left $?"
		wait $right; echo "right $?"
		exit $sum
	END
	rm -f step[0-9].* left.* right.*
	for tag in step1 step2 step3 left; do
		rounds_await 1 15 $tag && { [ $tag != left ] || rounds_await 1 15 right; } && rm -f finish && create && rounds_await 1 25 $tag &&
			as_user scontrol requeue "$job" && goes_on || return
	done
	ended_with FAILED 123 || return
	for tag in step1 step2 step3; do tasks_undisturbed 2 120 $tag || return; done
	tasks_undisturbed 1 120 left && tasks_undisturbed 1 120 right && script_undisturbed "after step 1: 1 one" \
		"after step 2: 12 two" "after step 3: 123 three four" "left 4" "right 5"
}

# Slurm tells the step's srun how a task has ended, and never again.
ended_early() {
	begin early -N1 -n3 <<-'END' || return
		#!/bin/bash
		srun bash -c '[ $SLURM_PROCID != 2 ] || exit 9; exec ./rounds.py 120 0' 2>srun.err
		echo "end $?"
	END
	rounds_await 2 20 && create && rounds_await 2 40 && as_user scontrol requeue "$job" && goes_on &&
		ended_with COMPLETED 0 && tasks_undisturbed 2 120 && script_undisturbed "end 9"
}

# ---- images that are of no use ----

from_the_beginning() {	# SENTENCE: it is said, and all is done once more
	job_await "$job" COMPLETED || return
	grep -h "^ckctl: .*starts from the beginning" ./*.out | tee said
	[ "$(wc -l <said)" = 1 ] && grep -q "$1" said || { why "that is not said, or not once: $(cat said)"; return 1; }
	[ "$(grep -ch "^begin" ./*.out)" = 2 ] && [ "$(grep -ch "^end 0" ./*.out)" = 1 ] ||
		{ why "it has not begun anew: $(grep -v round ./*.out)"; return 1; }
	[ "$(job_field "$job" Restarts)" = 1 ] || { why "it was requeued $(job_field "$job" Restarts) times"; return 1; }
}

alone() {
	begin "$1" -n1 <<-'END' || return
		#!/bin/bash
		echo begin
		srun ./rounds.py 100 0 2>srun.err
		echo "end $?"
	END
	rounds_await 1 10
}

removed() {
	alone removed && create && rm -r "$images/$job.ckpt" && as_user scontrol requeue "$job" && goes_on &&
		from_the_beginning "there is no image"
}

none_yet() {
	alone none && as_user scontrol requeue "$job" && goes_on && from_the_beginning "no checkpoint"
}

damaged() {
	local file
	alone damaged && create || return
	file=$(find "$images/$job.ckpt" -path '*/batch/*' -name 'pages*' -size +8k | head -n 1)
	printf 'damage' | dd of="$file" bs=1 seek=5000 conv=notrunc status=none && as_user scontrol requeue "$job" && goes_on &&
		from_the_beginning "damage"
}

# Requeued for good reasons or in a circle: after three failures the image is left alone,
# until somebody says that it is to be tried.
three_times() {
	local file n
	alone three && create || return
	file=$(find "$images/$job.ckpt" -path '*/batch/*' -name 'pages*' -size +8k | head -n 1)
	printf 'damage' | dd of="$file" bs=1 seek=5000 conv=notrunc status=none
	told() { [ "$(grep -c "starts from the beginning" three.out)" = "$1" ]; }
	for n in 1 2 3 4; do
		as_user scontrol requeue "$job" && job_await "$job" PENDING && as_user scontrol update jobid="$job" StartTime=now || return
		await "$wait_s" told "$n" || { why "attempt $n is not told: $(grep -v round three.out)"; return 1; }
	done
	as_user scancel "$job" && job_await "$job" CANCELLED && as_user ckctl restart "$job" || return
	await "$wait_s" told 5 || { why "ckctl restart does not try it: $(grep -v round three.out)"; return 1; }
	grep "starts from the beginning" three.out >said
	cat said
	[ "$(grep -n "that has failed 3 times in a row" said | cut -d: -f1)" = 4 ] && [ "$(grep -c damage said)" = 4 ] && return
	why "it is told otherwise: $(cat said)"
	return 1
}

# One of the parts that a step needs: then nothing of it can be used.
part_removed() {
	alone part && create && rm "$(find "$images/$job.ckpt" -path '*/0/*' -name 'pages*' | head -n 1)" &&
		as_user scontrol requeue "$job" && goes_on && from_the_beginning "cannot continue"
}

# The memory of one task: it is not begun anew beside another that goes on.
task_damaged() {
	local file
	begin task -N2 -n2 <<-'END' || return
		#!/bin/bash
		echo begin
		srun ./rounds.py 100 0 2>srun.err
		echo "end $?"
	END
	rounds_await 2 10 && create || return
	file=$(find "$images/$job.ckpt" -path '*/0/node1.ckpt/*' -name 'pages*' -size +8k | head -n 1)
	printf 'damage' | dd of="$file" bs=1 seek=5000 conv=notrunc status=none && as_user scontrol requeue "$job" && goes_on &&
		job_await "$job" COMPLETED && script_undisturbed begin "end 1" || return
	grep "task 1 of step $job.0 cannot continue .* it ends here" srun.err || { why "that is not said: $(cat srun.err)"; return 1; }
}

none_drained() { sinfo -N; ! sinfo -h -N -o %T | grep drain; }

run "scontrol requeue: a job that has an image continues from it, batch shell and step; output without lost or doubled lines" requeued
run "node failure: a job that has an image continues from it, 4 tasks on two nodes; exit codes reach Slurm" node_off
run "node failure: that node stays off, all 4 tasks continue on the remaining one" node_stays_off
run "without StickToNodes, on any nodes that fit: a batch shell whose node is switched off" other_node
run "preemption with requeue: a job that has an image continues from it" preempted
run "scancel and signals act on the restarted tasks as on any others, in the cgroup of the new step" controlled
run "a file that is not brought back: the user is told which, once, and by ckctl status" told
run "exit codes reach Slurm: a task that had failed before the checkpoint has failed after it" ended_early
run "a plain srun in a batch script survives checkpoint and restart: three steps in sequence, two in the background" three_steps
run "the image was removed: from the beginning, and that is said" removed
run "no checkpoint was made yet" none_yet
run "the image is damaged" damaged
run "an image that has failed three times in a row is not tried again, until ckctl restart" three_times
run "a part of the image was removed" part_removed
run "the memory of one task is damaged: it ends, and the script hears of it" task_damaged
check "no node was drained" none_drained
finish
