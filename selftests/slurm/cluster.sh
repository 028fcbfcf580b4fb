#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
# shellcheck disable=SC2317 # check() calls the functions
#
# What all tests here take for granted: jobs run, on all nodes, the nodes share
# a directory, and one that is switched off is missed and comes back.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"

runs_everywhere() {
	as_user srun -N"$CKPT_NODES" hostname | sort >hosts && for ((n = 0; n < CKPT_NODES; n++)); do
		echo "node$n"
	done | diff - hosts && as_user srun -N1 -n4 id -u | sort | uniq -c | grep -x ' *4 1000'
}

module_answers() {
	local n
	for ((n = 0; n < CKPT_NODES; n++)); do
		node-run "node$n" ckctl status | grep '^module .* loaded' || return
	done
}

# Output, status and arguments of node-run are those of the command.
node_runs() {
	local rc=0
	node-run node1 sh -c 'echo "$0 on $(hostname)"; echo problem >&2; exit 7' 'an argument' >out 2>err || rc=$?
	[ $rc = 7 ] && [ "$(cat out)" = "an argument on node1" ] && [ "$(cat err)" = problem ]
}

batch_job() {
	job_submit batch -N2 <<-'END' && job_await "$job" COMPLETED && cat batch.out
		#!/bin/bash
		srun bash -c 'echo "first on $(hostname) in $PWD" >first.$SLURM_PROCID'
		srun -N1 -n1 bash -c 'echo "second, $HOME" >second'
		cat first.* second
	END
	printf '%s\n' "first on node0 in $work" "first on node1 in $work" "second, $CKPT_SHARE/home/user" | diff - batch.out
}

# What one node writes, another sees at once, whatever it saw before.
sees_the_other() {
	local i
	for i in 1 2 3; do
		echo "$i" >>lines && [ "$(node-run node1 tail -n 1 lines)" = $i ] &&
			node-run node1 sh -c "echo $i >new; mv new renamed" && [ "$(cat renamed)" = $i ] && [ ! -e new ] || return
	done
}

# The batch script runs on the node that goes away.
loses_node() {
	job_submit lost -w node1 --requeue <<-'END' && file_await started && job_await "$job" RUNNING || return
		#!/bin/bash
		echo "on $(hostname)" >started
		sleep 1000
	END
	[ "$(cat started)" = "on node1" ] && node-off node1 && node_await node1 'down*' && job_await "$job" PENDING &&
		[ "$(job_field "$job" Restarts)" = 1 ] && ! node-run node1 true
}

gets_it_back() {
	node-on node1 && node_is node1 idle && node-run node1 ckctl status && as_user srun -w node1 hostname &&
		scancel "$job" && job_await "$job" CANCELLED
}

check "a step runs on every node" runs_everywhere
check "the module answers on every node" module_answers
check "node-run gives output and status back" node_runs
check "a batch job with two steps" batch_job
check "what one node writes another sees" sees_the_other
check "a node that is switched off is down, and its job is requeued" loses_node
check "it comes back and is idle" gets_it_back
finish
