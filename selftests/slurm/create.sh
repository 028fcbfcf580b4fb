#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1500
# shellcheck disable=SC2317 # check() calls the functions
#
# ckctl create of jobs of Slurm: what is saved, who may, from where, and that all of a
# job runs on.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/slurm/lib-create.sh
. "$here/slurm/lib-create.sh"

# ---- a job that is one step ----

by_owner() {
	step_start threads && expect_status 0 create --json "$job" && python3 -c '
import json
r = json.load(open("stdout"))
assert r["nodes"] == ["node0", "node1"] and r["tasks"] == 3 and r["threads"] >= 15, r
assert 0 < r["standstill_ms"] < 1000 * 30 and "drained" not in r, r' &&
		tasks_work 3 && image_whole "$job" || return
	parts "$job" | diff - <(printf '%s\n' "0 node0 0 1" "0 node1 2") || return
	# Again, and again with more to keep.
	expect_status 0 create "$job" && image_whole "$job" && expect_status 0 create --keep=2 "$job" &&
		expect_status 0 as_user ckctl verify "$images/$job.ckpt" && grep -q "2 generations" stdout &&
		tasks_work 3 && all_run_on && step_end
}

one_step() {
	step_start threads && expect_status 0 create "$job.0" && image_whole "$job.0" && [ ! -e "$images/$job.ckpt" ] &&
		expect_status 9 create "$job.7" && says "no step 7" && tasks_work 3 && all_run_on && step_end
}

by_root() {
	step_start threads && expect_status 0 ckctl create "$job" ImageDir="$images" && image_whole "$job" &&
		tasks_work 3 && all_run_on && step_end
}

by_others() {
	step_start threads && expect_status 4 runuser -u other -- ckctl create "$job" ImageDir=/tmp &&
		[ ! -e "/tmp/$job.ckpt" ] && tasks_work 3 && all_run_on && step_end
}

no_such_job() {
	expect_status 9 create 4000000 && says "no job 4000000" || return
	job=$(as_user sbatch --parsable --hold --wrap true) && expect_status 9 create "$job" && says "PENDING" &&
		scancel "$job"
}

# Long enough for what comes before, not for the image.
max_wait() {
	step_start threads && expect_status 0 create "$job" && image_whole "$job" || return
	for s in 1 2 3; do
		expect_status 5 create "$job" MaxWait=$s || [ "$status" = 0 ] || return
		image_whole "$job" && tasks_work 3 && all_run_on || return
	done
	: >"$reason"
	# A first one that fails leaves nothing.
	expect_status 5 create "$job.0" MaxWait=1 && [ ! -e "$images/$job.0.ckpt" ] && step_end
}

twice_at_once() {
	local first rc=0 second=0
	step_start threads && expect_status 0 create "$job" || return
	create "$job" >first 2>&1 &
	first=$!
	# As soon as that one has begun to write.
	await "$wait_s" test -d "$images/$job.ckpt/gen-2" || why "the first one did not begin"
	create "$job" >second 2>&1 || second=$?
	wait $first || rc=$?
	cat first second
	if [ $rc != 0 ] || [ $second != 10 ]; then
		why "the first one ended with status $rc, the second with $second"
		return 1
	fi
	image_whole "$job" && tasks_work 3 && all_run_on && step_end
}

# An image directory that the nodes do not share.
not_shared() {
	as_user mkdir -p "/tmp/only-here.$$" && step_start threads &&
		expect_status 6 as_user ckctl create "$job" ImageDir="/tmp/only-here.$$" && says "must be shared" &&
		[ -z "$(ls "/tmp/only-here.$$")" ] && tasks_work 3 && all_run_on && step_end
}

# ---- batch jobs ----

batch_alone() {
	batch_start <<-'END' || return
		#!/bin/bash
		mkdir -p d0
		exec ./threads "$PWD/d0"
	END
	tasks_await 1 ready && expect_status 0 create --json "$job" && image_whole "$job" && tasks_work 1 &&
		parts "$job" | diff - <(echo "batch node0 0") && all_run_on && tasks_end 1 && job_await "$job" COMPLETED
}

directories() {
	as_user mkdir -p given && batch_start --checkpoint-dir=given <<-'END' || return
		#!/bin/bash
		mkdir -p d0
		exec ./threads "$PWD/d0"
	END
	tasks_await 1 ready && expect_status 0 create "$job" && image_whole "$job" && [ -z "$(ls given)" ] || return
	rm -r "$images/$job.ckpt"
	expect_status 0 as_user ckctl create "$job" imagedir="$images" MAXWAIT=100 && image_whole "$job" || return
	rm -r "$images/$job.ckpt"
	expect_status 0 as_user ckctl create --image-dir=images --max-wait=100 "$job" && image_whole "$job" && [ -z "$(ls given)" ] || return
	rm -r "$images/$job.ckpt"
	expect_status 0 as_user ckctl create "$job" && [ ! -e "$images/$job.ckpt" ] && expect_status 0 as_user ckctl verify "given/$job.ckpt" &&
		tasks_work 1 && tasks_end 1 && job_await "$job" COMPLETED
}

batch_with_step() {
	batch_start <<-'END' || return
		#!/bin/bash
		echo "begin"
		srun ./task threads
		echo "end $?"
	END
	tasks_await 3 ready && expect_status 0 create --json "$job" && cp stdout first && image_whole "$job" &&
		tasks_work 3 && all_run_on && python3 -c '
import json
assert json.load(open("first"))["drained"]' && parts "$job" |
		diff - <(printf '%s\n' "batch node0 0" "0 node0 0 1" "0 node1 2") || return
	# What the job is submitted with again.
	diff "$images/$job.ckpt"/gen-1/script batch.sh && grep -qz "^SLURM_JOB_ID=$job$" "$images/$job.ckpt/gen-1/environ" &&
		grep -q '"JobName": "batch"' "$images/$job.ckpt/gen-1/job.json" || return
	expect_status 0 ckctl create "$job" ImageDir="$images" && image_whole "$job" && tasks_work 3 && tasks_end 3 &&
		job_await "$job" COMPLETED && diff batch.out <(printf '%s\n' begin "end 0")
}

# Its image has the number of its own that Slurm gives it.
array_task() {
	local task
	rm -rf d[0-9]*
	job_submit array -N1 -n1 --array=3-4 --requeue --checkpoint-dir="$images" --checkpoint=1-0 <<-'END' || return
		#!/bin/bash
		[ "$SLURM_ARRAY_TASK_ID" = 3 ] || exit 0
		mkdir -p d0
		exec ./threads "$PWD/d0"
	END
	tasks_await 1 ready || return
	task=${job}_3 job=$(squeue -h -j "${job}_3" -o %A)
	echo "task $task is job $job"
	[ "$job" != "${task%_3}" ] && expect_status 0 as_user ckctl create "$task" && image_whole "$job" && tasks_work 1 &&
		expect_status 0 as_user ckctl status "$task" && grep -q "^job  *$job$" stdout && as_user scancel "$task" && job_await "$job" CANCELLED || return
	# Told to end by a signal, it has.
	rm -rf d0/passed
	expect_status 0 as_user ckctl restart "$task" && grep -q "^restarted $job from $images/$job.ckpt" stdout &&
		job_await "$job" RUNNING && tasks_work 1 && tasks_end 1 && job_await "$job" COMPLETED
}

# A task writes each line to its output and then to a file: the image must have what is in
# the file in the job's output as well.
output_arrives() {
	local rc=0
	cat >lines.py <<-'END'
		import os
		own = os.open("own", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
		n = 0
		while not os.path.exists("d0/stop"):
		    n += 1
		    os.write(1, b"line %d\n" % n)
		    os.write(own, b"line %d\n" % n)
	END
	batch_start <<-'END' || return
		#!/bin/bash
		srun -N1 -n1 -w node1 python3 lines.py
	END
	as_user mkdir d0
	file_await own || return
	for _ in 1 2 3; do
		expect_status 0 create "$job" && as_user ckctl show --json "$images/$job.ckpt" | python3 -c '
import json, sys
at = {}
for part in json.load(sys.stdin)["parts"]:
    for p in part["image"]["processes"]:
        for fd in p["fds"]:
            if fd["path"].endswith("/own") or fd["path"].endswith("/batch.out"):
                name = fd["path"].rsplit("/")[-1]
                # Standard output and error are opened one by one.
                at[name] = max(at.get(name, 0), fd["size"])
print(at)
assert 0 <= at["batch.out"] - at["own"] <= len("line 1000000\n"), at' || { rc=1; break; }
	done
	touch d0/stop
	job_await "$job" COMPLETED && diff own batch.out && return $rc
}

# From inside, nothing can stop what it is itself a part of: that is for who keeps the schedule.
from_inside() {
	batch_start --checkpoint-dir=images <<-'END' || return
		#!/bin/bash
		srun --overlap ./task threads &
		while [ ! -e d2/ready ]; do sleep 0.2; done
		ckctl create "$SLURM_JOB_ID"
		echo "whole: $?"
		ckctl create "$SLURM_JOB_ID.0" ImageDir=images
		echo "step: $?"
		srun --overlap -N1 -n1 bash -c 'ckctl create "$SLURM_JOB_ID.$SLURM_STEP_ID"; echo "own step: $?"'
		touch all-done
		wait
	END
	file_await all-done && image_whole "$job" && image_whole "$job.0" && tasks_work 3 && all_run_on && tasks_end 3 &&
		job_await "$job" COMPLETED && grep -qx "whole: 0" batch.out && grep -qx "step: 0" batch.out &&
		grep -qx "own step: 9" batch.out && grep -qF '"ckctl create self"' batch.out && return
	why "$(cat batch.out)"
	return 1
}

# Nobody keeps one.
from_inside_alone() {
	batch_start <<-'END' || return
		#!/bin/bash
		ckctl create "$SLURM_JOB_ID" ImageDir=images
		echo "whole: $?"
	END
	job_await "$job" COMPLETED && [ ! -e "$images/$job.ckpt" ] && grep -qx "whole: 9" batch.out &&
		grep -qF "takes --checkpoint or --checkpoint-dir at its submission" batch.out && return
	why "$(cat batch.out)"
	return 1
}

from_beside() {
	batch_start <<-'END' || return
		#!/bin/bash
		srun ./task threads
	END
	tasks_await 3 ready && expect_status 0 beside batch ckctl create "$job" ImageDir="$images" && image_whole "$job" &&
		parts "$job" | diff - <(printf '%s\n' "batch node0 0" "0 node0 0 1" "0 node1 2") && tasks_work 3 &&
		all_run_on && tasks_end 3 && job_await "$job" COMPLETED
}

from_beside_alone() {
	as_user mkdir -p no-srun
	printf '#!/bin/sh\nexit 1\n' >no-srun/srun
	chmod +x no-srun/srun
	rm -rf d[0-9]*
	job_submit batch -N1 -n2 -w node0 <<-'END' && job_await "$job" RUNNING || return
		#!/bin/bash
		srun ./task threads
	END
	tasks_await 2 ready && PATH=$work/no-srun:$PATH expect_status 0 beside batch ckctl create "$job" ImageDir="$images" &&
		image_whole "$job" && parts "$job" | diff - <(printf '%s\n' "batch node0 0" "0 node0 0 1") && tasks_work 2 &&
		all_run_on && PATH=$work/no-srun:$PATH expect_status 1 create "$job" && tasks_end 2 && job_await "$job" COMPLETED
}

# Steps begin and end all the time.
restless() {
	batch_start <<-'END' || return
		#!/bin/bash
		srun --overlap ./task threads &
		while [ ! -e d2/ready ]; do sleep 0.2; done
		while [ ! -e d0/stop ]; do srun --overlap -N1 -n1 true || echo "status $?"; done
		wait
	END
	tasks_await 3 ready || return
	for _ in 1 2 3; do
		expect_status 0 create "$job" && image_whole "$job" && tasks_work 3 || return
		parts "$job" | grep -v '^[1-9]' | diff - <(printf '%s\n' "batch node0 0" "0 node0 0 1" "0 node1 2") || return
	done
	all_run_on && tasks_end 3 && job_await "$job" COMPLETED && [ ! -s batch.out ] && return
	why "$(cat batch.out)"
	return 1
}

# Tasks that are connected over the network, as those of MPI are.
networked() {
	cat >talk.py <<-'END'
		import os, socket, time
		def await_file(name):
		    while not os.path.exists(name):
		        time.sleep(0.1)
		d = "d" + os.environ["SLURM_PROCID"]
		os.makedirs(d, exist_ok=True)
		if d == "d0":
		    server = socket.create_server(("", 7777))
		    open("d0/listens", "w").close()
		    peer = server.accept()[0]
		else:
		    await_file("d0/listens")
		    peer = socket.create_connection(("node0", 7777))
		open(d + "/ready", "w").close()
		await_file(d + "/stop")
		peer.sendall(b"data")
		open(d + ("/passed" if peer.recv(4) == b"data" else "/failed"), "w").close()
	END
	batch_start -N2 -n2 <<<$'#!/bin/bash\nsrun python3 talk.py' && tasks_await 2 ready && expect_status 3 create "$job" &&
		says "is a socket" && says node1 && [ ! -e "$images/$job.ckpt" ] && all_run_on && tasks_end 2 &&
		job_await "$job" COMPLETED
}

run "ckctl create <jobid> of any other job: all its steps, on two nodes; it waits and reports" by_owner
run "ckctl create <jobid.stepid>: that step only" one_step
run "ckctl create by root, for its owner" by_root
run "not by another user" by_others
run "jobs that do not run" no_such_job
run "MaxWait=<seconds>: it is failed, the job runs on, the former image stays, no half image stays" max_wait
run "two at once: one that is under way never spoils the image" twice_at_once
run "a directory that is not shared" not_shared
run "a batch script" batch_alone
run "ImageDir=<dir> beats the --checkpoint-dir given at submission; keywords are case-insensitive, --image-dir= and --max-wait= say the same" directories
run "ckctl create <jobid> of a batch job: the batch shell and all tasks of all its steps, on all nodes" batch_with_step
run "ckctl create, status and restart <array job>_<task>" array_task
run "the tasks' output is in its file" output_arrives
run "from inside of the job" from_inside
run "from inside of one that nobody keeps" from_inside_alone
run "from beside its tasks" from_beside
run "from beside those of one node" from_beside_alone
run "steps that come and go" restless
run "tasks that talk over the network are refused by name" networked
finish
