#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1200
# shellcheck disable=SC2317 # check() calls the functions
#
# ckctl create of jobs of Slurm on several nodes, when something dies, falls silent or
# is late on one of them while all stand still: all of the job runs on.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/slurm/lib-create.sh
. "$here/slurm/lib-create.sh"

# A batch job whose client is stopped: it is waited for two seconds, with all tasks frozen,
# whether their output arrives.
held_start() {
	batch_start <<-'END' || return
		#!/bin/bash
		srun ./task threads
		echo "end $?"
	END
	tasks_await 3 ready && pkill -STOP -u user -x srun
}

held_end() {
	pkill -CONT -u user -x srun
	tasks_end 3 && job_await "$job" COMPLETED && diff <(grep -v SIGCONT batch.out) <(echo "end 0")
}

node1_frozen() {	# SECONDS
	node-run node1 "$waitfor" "$1" cgroup \
		"/sys/fs/cgroup/system.slice/node1_slurmstepd.scope/job_$job/step_0/user" frozen 1
}

# Run create; when the tasks of node1 are frozen, COMMAND. Sets status.
while_frozen() {	# COMMAND…
	in_the_middle node1_frozen "$@" && [ $status != 0 ] && return
	why "the checkpoint is complete all the same"
	return 1
}

# The same when MOMENT, which takes how long it may wait, comes to its end.
in_the_middle() {	# MOMENT COMMAND…
	local pid moment=$1
	shift
	create "$job" >stdout 2>stderr &
	pid=$!
	"$moment" "$wait_s" || why "that moment did not come: $moment"
	"$@" || why "\"$*\" had nothing to hit"
	status=0
	wait $pid || status=$?
	cat stdout stderr
	[ ! -s "$reason" ]
}

agent_hit() { node-run node1 pkill "-$1" -f '[c]kctl job-agent'; }	# SIGNAL
coordinator_hit() { pkill "-$1" -f "^[c]kctl create"; }
client_hit() { pkill "-$1" -f '^[s]run.*ckpt-agent'; }

# All run on, nothing of it is left, and the next one is complete.
nothing_lost() {	# [SECONDS]
	all_run_on "$@" && tasks_work 3 || return
	await "$wait_s" nobody_there || why "agents are left: $(on_nodes "pgrep -af '[j]ob-agent'")"
	! compgen -G "$images/$job.ckpt/manifest.json" || why "there is an image"
	[ ! -s "$reason" ] && expect_status 0 create "$job" && says "output file" && image_whole "$job" &&
		tasks_work 3 && all_run_on && held_end
}
nobody_there() { [ -z "$(on_nodes "pgrep -f '[j]ob-agent'")" ]; }

agent_killed() {
	held_start && while_frozen agent_hit KILL && nothing_lost
}

agent_silent() {
	held_start && while_frozen agent_hit STOP && [ "$status" = 5 ] && says "node1 has not answered" && nothing_lost
}

coordinator_killed() {
	held_start && while_frozen coordinator_hit KILL && nothing_lost
}

coordinator_interrupted() {
	held_start && while_frozen coordinator_hit INT && says "interrupted" && [ ! -e "$images/$job.ckpt" ] && nothing_lost
}

# Slurm does not tell the agents: they notice that they hear nothing any more.
client_killed() {
	held_start && while_frozen client_hit KILL && [ ! -e "$images/$job.ckpt" ] && nothing_lost 22
}

# The time is up while all stand still, which they do for at least two seconds of it.
late_while_frozen() {
	local took s rc pid seen hit=''
	held_start || return
	took=$SECONDS
	create "$job" && rm -r "$images/$job.ckpt" || return
	took=$((SECONDS - took + 1))
	for ((s = took; s > 0 && s > took - 5; s--)); do
		create "$job" MaxWait=$s >stdout 2>stderr &
		pid=$! rc=0 seen=''
		! node1_frozen $((s + 1)) || seen=1
		wait $pid || rc=$?
		cat stdout stderr
		all_run_on || return
		case $rc in
		0) rm -r "$images/$job.ckpt" ;;
		5) says "not complete within $s seconds" && [ ! -e "$images/$job.ckpt" ] || return ;;
		*) why "create ended with status $rc: $(cat stderr)" && return 1 ;;
		esac
		[ $rc = 0 ] || [ -z "$seen" ] || { hit=1 && break; }
	done
	nothing_lost || return
	[ -n "$hit" ] || skip "it was never up at the right moment"
}

# The first tasks that are told to end may be gone while others still stand in the image. Here
# there is no step of agents that would be cancelled as well, and SIGKILL has time.
cancelled() {
	sed -i 's/^KillWait=5$/KillWait=60/' /etc/slurm/slurm.conf && scontrol reconfigure
	cancelled_slowly
	local rc=$?
	sed -i 's/^KillWait=60$/KillWait=5/' /etc/slurm/slurm.conf && scontrol reconfigure
	return $rc
}
cancelled_slowly() {
	local before pid rc=0
	rm -rf d[0-9]*
	job_submit batch -N1 -n2 -w node0 <<-'END' || return
		#!/bin/bash
		trap : TERM
		srun ./task threads
	END
	tasks_await 2 ready && expect_status 0 create "$job" && before=$(manifest) && pkill -STOP -u user -x srun || return
	beside batch ckctl create "$job" ImageDir="$images" >stdout 2>stderr &
	pid=$!
	"$waitfor" "$wait_s" cgroup "/sys/fs/cgroup/system.slice/node0_slurmstepd.scope/job_$job/step_0/user" frozen 1 ||
		why "the tasks were not seen frozen"
	scancel "$job"
	wait $pid || rc=$?
	cat stdout stderr
	pkill -KILL -u user
	[ $rc = 9 ] || why "create ended with status $rc"
	says "came to its end while it was checkpointed" && [ "$(manifest)" = "$before" ] && image_whole "$job" &&
		job_await "$job" CANCELLED && [ ! -s "$reason" ]
}
manifest() { md5sum "$images/$job.ckpt/manifest.json"; }

# Slurm's controller dies and comes back: whatever becomes of this checkpoint.
has_begun() { "$waitfor" "$1" file "$images/$job.ckpt/gen-2"; }

controller_killed() {	# MOMENT
	local before
	held_start && expect_status 0 create "$job" && before=$(manifest) && in_the_middle "$1" controller_again KILL || return
	if [ "$status" != 0 ]; then
		[ "$(grep -c '^ckctl: ' stderr)" = 1 ] && [ "$(manifest)" = "$before" ] || { why "status $status: $(cat stderr)"; return 1; }
	fi
	image_whole "$job" && all_run_on 22 && tasks_work 3 && job_await "$job" RUNNING && expect_status 0 create "$job" &&
		image_whole "$job" && tasks_work 3 && all_run_on && held_end
}

run "an agent is killed while all stand still" agent_killed
run "an agent falls silent" agent_silent
run "ckctl create is killed" coordinator_killed
run "ckctl create is interrupted" coordinator_interrupted
run "the agents' srun is killed" client_killed
run "MaxWait passes while all stand still" late_while_frozen
run "the job is cancelled while all stand still: the former image stays" cancelled
run "slurmctld is killed and started again while all stand still" controller_killed node1_frozen
run "slurmctld is killed and started again when a checkpoint has just begun" controller_killed has_begun
finish
