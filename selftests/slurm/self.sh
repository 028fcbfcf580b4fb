#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1200
# shellcheck disable=SC2317 # run() calls the functions
#
# Jobs that ask for a checkpoint of themselves, and srun_cr, which passes what it is
# asked for on to its step.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"

images=$work/images
as_user mkdir "$images"

# Ask, when told to, and go on: "answer.N" is what was read the N-th time.
cat >asks <<'END'
#!/bin/bash
n=0
exec {never}<> <(:)
touch ready
while [ ! -e stop ]; do
	read -r -t 0.2 -u "$never"
	[ -e go ] || continue
	rm -f go
	n=$((n + 1))
	ckctl create "${target:-self}" "$@" >said 2>&1
	echo "status $?, time $n" >>said
	# Not by another name: it is open when it is saved.
	cp said answer.new && mv answer.new answer
done
exit 7
END
chmod +x asks

begin() {	# NAME SBATCH-OPTION…, the script's command on standard input
	local name=$1
	shift
	rm -f ready go stop answer said
	job_submit "$name" -w node0 "$@" < <(echo '#!/bin/bash'; cat) && file_await ready
}
end() {	# STATUS
	touch stop
	job_await "$job" "COMPLETED|FAILED" && [ "$(job_field "$job" ExitCode)" = "$1:0" ] && return
	why "the job ended as $(job_field "$job" JobState), $(job_field "$job" ExitCode): $(cat ./*.out)"
	return 1
}
asks() {	# TEXT
	rm -f answer
	touch go
	answers "$1"
}
answers() {	# TEXT
	file_await answer && grep -q -- "$1" answer && return
	why "the answer is not \"$1\" but: $(cat answer)"
	return 1
}
# The job begins again, and continues from what it has asked for.
again() {
	rm -f answer
	as_user scontrol requeue "$job" && await "$wait_s" job_is "$job" PENDING || { why "it is not requeued"; return 1; }
	scontrol update jobid="$job" StartTime=now
	await "$wait_s" restarted_once || { why "it does not run again: $(scontrol show job "$job")"; return 1; }
}
restarted_once() { [ "$(job_field "$job" Restarts)" -ge 1 ] && job_is "$job" "RUNNING|FAILED|COMPLETED"; }

# ---- create self ----

of_batch_job() {	# TARGET SBATCH-OPTION…
	begin batch --checkpoint-dir="$images" "${@:2}" <<<"target=$1 exec ./asks" && asks "^made $images/$job.ckpt: " && grep -q "status 0, time 1" answer &&
		as_user ckctl verify "$images/$job.ckpt" && asks "^made $images/$job.ckpt: " && again && answers "^restarted" &&
		grep -q "status 0, time 2" answer && asks "^made $images/$job.ckpt: " && end 7
}

elsewhere() {
	as_user mkdir elsewhere
	begin elsewhere --checkpoint-dir="$images" <<<'exec ./asks MaxWait=100 ImageDir=elsewhere' && asks "^made $work/elsewhere/$job.ckpt: " &&
		as_user ckctl verify "elsewhere/$job.ckpt" && chmod 500 elsewhere && asks "you may not write" || { chmod 700 elsewhere; return 1; }
	chmod 700 elsewhere
	asks "^made" && end 7
}

# The whole job, as that is what is looked after.
of_step_in_job() {
	begin step --checkpoint-dir="$images" <<<'srun -n1 ./asks' && asks "^made $images/$job.ckpt: " && as_user ckctl verify "$images/$job.ckpt" &&
		find "$images/$job.ckpt" -path '*/0/node0.ckpt/manifest.json' | grep . && again && answers "^restarted" && end 7
}

of_own_step() {
	begin own <<<"srun -n1 --checkpoint-dir=images ./asks" && asks "^made $images/$job.0.ckpt: " &&
		as_user ckctl verify "$images/$job.0.ckpt" && end 7
}

with_nobody() {
	begin nobody <<<'exec ./asks' && asks "status 9" && grep -q "nobody on this node could make a checkpoint of job $job" answer && end 7
}

elsewhere_than_keeper() {
	begin node1 -N2 -w node0,node1 --checkpoint-dir="$images" <<<'srun -N1 -n1 -w node1 ./asks' && asks "status 9" &&
		grep -q "the first of its nodes" answer && end 7
}

nothing_left() {
	local found
	found=$(pgrep -af 'ckctl (job-keeper|create)'; compgen -G '/tmp/srun_cr.*')
	[ -z "$found" ] && return
	why "there is still: $found"
	return 1
}

# ---- srun_cr ----

ends_as_its_step() {
	local rc=0
	as_user srun_cr -n1 -Q sh -c 'exit 3' || rc=$?
	[ $rc = 3 ] && as_user srun_cr -n2 hostname >out && [ "$(wc -l <out)" = 2 ] || return
	rc=0
	as_user env PATH=/nonesuch /usr/local/bin/srun_cr hostname || rc=$?
	[ $rc = 127 ] || { why "without srun it ends with $rc"; return 1; }
	rc=0
	as_user srun_cr || rc=$?
	[ $rc = 2 ]
}

# Over its socket, as its header tells.
cat >over.py <<'END'
import json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\n")
text = s.makefile().read()
print(text)
sys.exit(json.loads(text)["code"] if text else 77)
END

over_socket() {
	local path line rc
	rm -f path
	begin socket --checkpoint-dir="$images" <<<"srun_cr -n1 sh -c 'echo \$SLURM_SRUN_CR_SOCKET >path; exec ./asks'" || return
	path=$(cat path)
	[ "$(stat -c '%F %U %a' "$path")" = "socket user 700" ] || { why "the socket is $(stat -c '%F %U %a' "$path")"; return 1; }
	as_user python3 over.py "$path" "checkpoint MaxWait=100 ImageDir=$images" | tee out && grep -q '"code":0' out &&
		grep -q "$images/$job.0.ckpt" out && as_user ckctl verify "$images/$job.0.ckpt" || return
	# What is no request ends the connection.
	for line in nonsense "checkpoint Kill=1" "checkpoint ImageDir=relative" "checkpoint MaxWait=x"; do
		rc=0
		as_user python3 over.py "$path" "$line" || rc=$?
		[ $rc = 77 ] || { why "\"$line\" is answered"; return 1; }
	done
	rc=0
	as_user python3 over.py "$path" "checkpoint ImageDir=$work/nonesuch" || rc=$?
	[ $rc = 9 ] && as_user python3 over.py "$path" "step 99.99"; as_user python3 over.py "$path" "checkpoint ImageDir=$images" || return
	# Nobody else gets in.
	! runuser -u other -- python3 over.py "$path" "checkpoint ImageDir=/tmp" || { why "another user gets in"; return 1; }
	end 7 && [ ! -e "$path" ]
}

# A task asks, and there is nobody but srun_cr.
asks_srun_cr() {
	begin asks_cr <<<'srun_cr -n1 ./asks ImageDir=images' && asks "^made $images/$job.0.ckpt: " &&
		as_user ckctl verify "$images/$job.0.ckpt" && end 7
}

# It is left out with its srun, and comes back with its step and the step's status.
comes_back() {
	begin back --checkpoint-dir="$images" <<<$'srun_cr -n1 ./asks\ns=$?; echo "ended $s"; exit $s' && as_user ckctl create "$job" || return
	as_user ckctl show "$images/$job.ckpt/gen-1/batch/node0.ckpt" >shown
	cat shown
	grep -q srun_cr shown || { why "the image does not know of srun_cr"; return 1; }
	again && asks "^made $images/$job.ckpt: " && grep -q "time 1" answer && as_user ckctl create "$job.0" && end 7 &&
		grep -qx "ended 7" back.out
}

run "a batch job that has a directory only asks, and is answered otherwise when it is requeued" of_batch_job self
run "one with an interval, by its number" of_batch_job '$SLURM_JOB_ID' --checkpoint=10
run "ImageDir and MaxWait" elsewhere
run "a step of a job that is looked after asks for the whole job" of_step_in_job
run "a step with a keeper of its own" of_own_step
run "nobody to ask" with_nobody
run "nobody to ask on another node" elsewhere_than_keeper
run "srun_cr ends with the step's exit status" ends_as_its_step
run "SLURM_SRUN_CR_SOCKET is how a launched step talks to srun_cr, which passes a checkpoint on to that step" over_socket
run "ckctl create self in a step of srun_cr, which learns the step it launched" asks_srun_cr
run "srun_cr launches the step again from the step's image after a restart, and waits for it" comes_back
run "nothing is left" nothing_left
finish
