#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1800
# shellcheck disable=SC2317 # check() calls the functions
#
# ckctl restart of batch jobs, and srun --restart-dir of steps: jobs that have
# ended, however they did, continue from their images when somebody says so.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/slurm/lib-restart.sh
. "$here/slurm/lib-restart.sh"

restart() {	# STATUS ARGUMENT…: of ckctl restart; its output is in the file said
	local status=0 expected=$1
	shift
	[ "$expected" != 0 ] || touch finish
	as_user ckctl restart "$@" >said 2>&1 || status=$?
	cat said
	[ "$status" = "$expected" ] && return
	why "ckctl restart $* ended with status $status instead of $expected: $(cat said)"
	return 1
}
says() { grep -qE -- "$1" said || { why "it does not say \"$1\": $(cat said)"; return 1; }; }

rounds=100
two_tasks() {	# NAME SBATCH-OPTION…
	begin "$1" -N1 -n2 "${@:2}" <<-END || return
		#!/bin/bash
		echo "begin of \$SLURM_JOB_ID"
		srun ./rounds.py $rounds 3 2>srun.err
		echo "end \$?"
	END
	rounds_await 2 20 && create && rounds_await 2 40
}
two_continued() {
	ended_with COMPLETED 0 && tasks_undisturbed 2 $rounds && script_undisturbed "begin of $1" "end 3"
}

# ---- the ends of a job ----

# It is over a while before the limit comes, which is a minute at least.
time_limit() {
	begin limit -N1 -n2 --time=1 <<-'END' || return
		#!/bin/bash
		echo "begin of $SLURM_JOB_ID"
		srun ./rounds.py 100 3 2>srun.err
		echo "end $?"
		while [ ! -e go-on ]; do sleep 0.2; done
	END
	rm -f go-on
	rounds_await 2 20 && create || return
	await $((wait_s * 2)) job_is "$job" TIMEOUT || { why "the limit does not come"; return 1; }
	as_user touch go-on
	restart 0 "$job" && says "^restarted $job from $images/$job.ckpt" && two_continued "$job"
}

# At once: its tasks may still be about to end.
cancelled() {
	two_tasks cancelled && as_user scancel "$job" && restart 0 "$job" ImageDir=images && says "^restarted $job from" &&
		two_continued "$job"
}

# After it was requeued and held.
held() {
	two_tasks held && as_user scontrol requeuehold "$job" && job_await "$job" PENDING && restart 0 "$job" && two_continued "$job"
}

# The program of the first step is not there any more when the second one fails.
later_step() {
	begin later -N1 -n2 <<-'END' || return
		#!/bin/bash
		srun ./rounds.py 60 0 first 2>srun.err
		echo "first $?"
		srun ./rounds.py 120 0 2>>srun.err
		echo "second $?"
		srun -n1 ./third || exit 9
		echo "third $?"
	END
	rm -f first.* third
	touch finish
	rounds_await 2 20 && create && ended_with FAILED 9 || return
	as_user ln -s /bin/true third
	restart 0 "$job" && ended_with COMPLETED 0 && tasks_undisturbed 2 60 first && tasks_undisturbed 2 120 &&
		script_undisturbed "first 0" "second 0" "third 0"
}

by_root() {
	two_tasks completed && touch finish && job_await "$job" COMPLETED && ckctl restart "$images/$job.ckpt" >said && cat said &&
		says "^restarted $job from" && job_await "$job" "RUNNING|PENDING" && two_continued "$job"
}

node_lost() {
	two_tasks lost -w node1 --no-requeue && node-off node1 && node_await node1 'down*' && job_await "$job" NODE_FAIL
	node-on node1 || return
	[ ! -s "$reason" ] && continued_as_another
}

# ---- under another id ----

continued_as_another() {
	local former=$job
	restart 0 --json "$former" || return
	job=$(python3 -c 'import json; print(json.load(open("said"))["job"])')
	[ "$job" != "$former" ] || { why "it has the same id"; return 1; }
	grep -q "\"goes_on_as\": \"$job\"" "$CKPT_SHARE/home/user/.ckpt/jobs/ckpt/$former.json" || { why "the new id is not recorded"; return 1; }
	[ "$(job_field "$job" JobName)" = "$(job_field "$former" JobName)" ] && job_await "$job" "RUNNING|COMPLETED" || return
	restart 10 "$former" && says "goes on as job $job" || [ "$(job_field "$job" JobState)" = COMPLETED ] || return
	: >"$reason"
	two_continued "$former"
}

not_requeued() {
	two_tasks another --no-requeue && as_user scancel "$job" && job_await "$job" CANCELLED && continued_as_another
}

# What it has done since under its other id is not taken back by a slip.
later_image() {
	# More than are done until it is cancelled, twice.
	local former done_then rounds=400
	two_tasks later --no-requeue && former=$job && as_user scancel "$job" && job_await "$job" CANCELLED || return
	done_then=$(rounds_of 0)
	restart 0 "$former" || return
	rm -f finish
	job=$(sed -n 's/^restarted .* as \([0-9]*\) from .*/\1/p' said)
	rounds_await 2 $((done_then + 10)) && create && as_user scancel "$job" && job_await "$job" CANCELLED && done_then=$(rounds_of 0) || return
	restart 3 "$former" && says "job $former went on as job $job; \"ckctl restart $job\" continues from its later image" || return
	[ "$(squeue -h -o %A)" = "" ] && [ "$(rounds_of 0)" = "$done_then" ] || { why "it has begun all the same"; return 1; }
	restart 0 "$job" && job=$(sed -n 's/^restarted .* as \([0-9]*\) from .*/\1/p' said) && two_continued "$former" || return
	restart 0 "$former@1" && says "^restarted $former as [0-9]* from $images/$former.ckpt@1"
}

# As what scontrol tells of it, so it is submitted once more.
requests() {
	local former=
	told() { scontrol -o show job "$1" | tr ' ' '\n' | grep -E "^(Num(Nodes|Tasks)|CPUs/Task|ReqB:S:C:T|Socks/Node|NtasksPerN:B:S:C|CoreSpec|Network|Switches|Deadline)="; }
	rm -f ready
	begin requests --no-requeue -N1 -n2 --sockets-per-node=2 --cores-per-socket=1 --threads-per-core=1 --ntasks-per-socket=1 \
		--ntasks-per-core=1 --switches=1@5 --network=any --time=30 --deadline=now+2hours <<-'END' || return
		#!/bin/bash
		touch ready
		while [ ! -e finish ]; do sleep 0.2; done
	END
	file_await ready && create && as_user scancel "$job" && job_await "$job" CANCELLED && told "$job" >expected && cat expected &&
		grep -q 'Switches=1@' expected && former=$job && restart 0 "$former" || return
	job=$(sed -n 's/^restarted .* as \([0-9]*\) from .*/\1/p' said)
	job_await "$job" COMPLETED && told "$job" >now && same "what is asked of Slurm" now expected
}

# Slurm knows nothing of it any more, and its image was moved.
forgotten() {
	two_tasks forgotten && as_user scancel "$job" && job_await "$job" CANCELLED || return
	forgot() { ! scontrol show job "$job" >/dev/null 2>&1; }
	sed -i 's/^SlurmUser=/MinJobAge=2\n&/' /etc/slurm/slurm.conf && scontrol reconfigure && await 120 forgot || { why "Slurm does not forget"; return 1; }
	as_user mkdir -p moved && mv "$images/$job.ckpt" moved
	restart 9 "$job" && says "no image of job $job" || return
	local former=$job
	restart 0 "$former" ImageDir=moved && says "^restarted $former as [0-9]* from $work/moved/$former.ckpt" || return
	job=$(sed -n 's/.* as \([0-9]*\) from .*/\1/p' said)
	job_await "$job" "RUNNING|COMPLETED" && two_continued "$former"
	local rc=$?
	sed -i '/^MinJobAge=2$/d' /etc/slurm/slurm.conf && scontrol reconfigure
	return $rc
}

# Its image is gone when its turn comes: it starts anew, as it was submitted.
anew() {
	local former
	rm -f finish ready
	cat >anew.sh <<-'END'
		#!/bin/bash
		printf '%s.' "begin" "$#" "$@"
		echo
		touch ready
		while [ ! -e finish ]; do sleep 0.2; done
	END
	former=$(as_user sbatch --parsable --no-requeue --checkpoint-dir="$images" --checkpoint=1-0 -o anew.out anew.sh "two words" last) &&
		file_await ready && as_user ckctl create "$former" && as_user scancel "$former" && job_await "$former" CANCELLED || return
	scontrol update partitionname=p state=down
	restart 0 "$former" && job=$(sed -n 's/^restarted .* as \([0-9]*\) from .*/\1/p' said) && rm -r "$images/$former.ckpt"
	scontrol update partitionname=p state=up
	touch finish
	job_await "$job" COMPLETED || return
	cat anew.out
	[ "$(grep -cx "begin.2.two words.last." anew.out)" = 2 ] && return
	why "the output is: $(cat anew.out)"
	return 1
}

# ---- StickToNodes ----

stick_same() {
	on_node1 two_tasks stick && as_user scancel "$job" && job_await "$job" CANCELLED || return
	[ "$(as_user srun -N1 -n2 hostname | sort -u)" = node0 ] || { why "a job of that size does not begin on node0 anyway"; return 1; }
	restart 0 "$job" StickToNodes && job_await "$job" "RUNNING|COMPLETED" || return
	[ "$(job_field "$job" BatchHost)" = node1 ] || { why "it goes on on $(job_field "$job" BatchHost)"; return 1; }
	two_continued "$job"
}

# The nodes of the job are those, too, where no step was at that moment.
stick_between() {
	local former
	rm -f between go-on
	begin between -N2 <<-'END' && file_await between && create || return
		#!/bin/bash
		touch between
		while [ ! -e go-on ]; do sleep 0.2; done
		srun -N2 hostname >hosts
		echo "end $?"
		sort hosts
	END
	former=$job
	as_user scancel "$job" && job_await "$job" CANCELLED && restart 0 "$job" StickToNodes && says "^restarted $job from" || return
	[[ $(job_field "$job" ReqNodeList) =~ ^(node0,node1|node\[0-1\])$ ]] || { why "it is kept to $(job_field "$job" ReqNodeList)"; return 1; }
	job_await "$job" RUNNING && scontrol update jobid="$job" Requeue=0 && as_user scancel "$job" && job_await "$job" CANCELLED || return
	restart 0 "$former" StickToNodes && job=$(sed -n 's/^restarted .* as \([0-9]*\) from .*/\1/p' said) && touch go-on || return
	ended_with COMPLETED 0 && [ "$(job_field "$job" NumNodes)" = 2 ] && script_undisturbed "end 0" node0 node1
}

stick_down() {
	two_tasks down -w node1 --no-requeue && as_user scancel "$job" && job_await "$job" CANCELLED || return
	scontrol update nodename=node1 state=down reason="a test"
	restart 10 "$job" --stick-to-nodes && says "node node1, where the checkpoint was made, is DOWN.* without StickToNodes"
	scontrol update nodename=node1 state=resume
}

# ---- what is refused ----

refused() {
	two_tasks refused && restart 10 "$job" && says "is RUNNING" && restart 2 "$job" --detach && restart 9 4000000 &&
		says "no image of job 4000000" || return
	! runuser -u other -- env HOME="$CKPT_SHARE/home/other" ckctl restart "$job" >said 2>&1 && says "belongs to user" ||
		return
	as_user scancel "$job" && job_await "$job" CANCELLED || return
	# Not by a copy of the image either.
	cp -r "$images/$job.ckpt" /tmp && chmod -R a+rX /tmp/"$job".ckpt
	! runuser -u other -- env HOME="$CKPT_SHARE/home/other" ckctl restart "/tmp/$job.ckpt" >said 2>&1 && cat said && says "belongs to|Permission|user" || return
	as_user mkdir -p wrong && cp -r "$images/$job.ckpt" wrong/77.ckpt && chown -R user: wrong && restart 3 77 ImageDir=wrong &&
		says "is the image of job $job"
}

# ---- steps ----

both=()	# options of the first launch and of the second one
step() {	# COMMAND…: srun with what it continues from
	local srun
	rm -f task.* finish
	as_user srun "${both[@]}" -n2 -N2 ./rounds.py 100 0 >first.txt 2>srun.err & srun=$!
	rounds_await 2 20 && job=$(squeue -h -u user -o %A) && as_user ckctl create "$job.0" ImageDir=images && rounds_await 2 40 &&
		as_user scancel "$job" && ! wait $srun && touch finish || return
	as_user "$@" "${both[@]}" -n2 -N2 ./rounds.py 100 0 >second.txt 2>second.err || { why "srun: $(cat second.err)"; return 1; }
	undisturbed 2 100 >expected
	same "what is in files" <(cat task.*) expected && [ "$(sort -u first.txt second.txt | sort -k2,2n -k4,4n | diff - expected)" = "" ] &&
		[ "$(wc -l <second.txt)" -lt 200 ]
}
by_variable() { rm -rf images/*; step env SLURM_RESTART_DIR=images srun; }
unbuffered() { local both=(--unbuffered); rm -rf images/*; step srun --restart-dir=images; }
by_option() { rm -rf images/*; step env SLURM_RESTART_DIR=nonesuch srun --restart-dir=images; }

# What a restart could not give back is refused before: its terminal, that is Ctrl-C and /dev/tty.
one_sentence() { ends_with "$@" && [ "$(wc -l <"$work/said")" = 1 ]; }
pty() {
	local srun
	rm -f ready
	as_user script -q -e -c "srun --pty -n1 sh -c 'touch ready; exec sleep 300'" /dev/null <&"$never" >/dev/null 2>&1 & srun=$!
	file_await ready && job=$(squeue -h -u user -o %A) || return
	one_sentence 3 "(sleep): it leads the session at a terminal, as a task of srun --pty does" as_user ckctl create "$job.0" ImageDir=images &&
		one_sentence 3 "(sleep): it leads the session at a terminal, as a task of srun --pty does" as_user ckctl create "$job" ImageDir=images &&
		[ ! -e "$images/$job.0.ckpt" ] && job_is "$job" RUNNING && as_user scancel "$job" && ! wait $srun
}

run "ckctl restart <jobid>: continue a previously checkpointed batch job, after its time limit" time_limit
run "ckctl restart <jobid> [ImageDir=<dir>], after scancel; files that the job was writing are brought back to their state at the checkpoint" cancelled
run "the failure of a later step, then ckctl restart" later_step
run "ckctl restart of a job that is requeued and held" held
run "a completed job, by root and the path of its image" by_root
run "a job that cannot be requeued continues under another id" not_requeued
run "one that went on as another and was checkpointed as that: the other one, or an image by name" later_image
run "with what it had asked of Slurm" requests
run "and starts anew with its arguments when its image is gone by then" anew
run "a job whose node was lost" node_lost
run "ckctl restart <jobid> StickToNodes: on the very nodes where the checkpoint was made" stick_same
run "StickToNodes: a job of two nodes whose script was between two steps, under its own id and another one" stick_between
run "--stick-to-nodes: that node is down" stick_down
run "refused: a running job, another's image, one of another job" refused
run "srun SLURM_RESTART_DIR: read the step's image there and continue from it" by_variable
run "srun --restart-dir=<dir>: read the step's image there and continue from it" by_option
run "srun --unbuffered, whose standard output is a terminal: read the step's image there and continue from it" unbuffered
run "srun --pty: a checkpoint of the step or its job is refused" pty
run "a job that Slurm has forgotten, whose image was moved: that one path is what the user restarts from" forgotten
finish
