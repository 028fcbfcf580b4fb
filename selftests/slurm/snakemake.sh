#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317 # check() calls the functions
#
# A Snakemake workflow, one job a rule, as README.md shows it: a preempted rule
# continues in the middle, and neither the Snakemake in its job nor the one that
# waits for it notices.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
command -v snakemake >/dev/null ||
	skip_all "snakemake is not installed; it is in scripts/cluster.sh --rootfs workflow"
# shellcheck source=selftests/slurm/lib-restart.sh
. "$here/slurm/lib-restart.sh"

# Each job begins with a Snakemake of its own, which takes its time to begin.
wait_s=$((wait_s * 3))
rounds=300

# What people copy is what is tested.
readme=$here/../README.md
sed -n '/^    #!.*--block-signal/,/^    {exec_job}/s/^    //p' "$readme" >job.sh
command=$(sed -n 's/^    \(snakemake .*\)/\1/p' "$readme")
as_user mkdir -p "$CKPT_SHARE/home/user/images"

sed "s/ROUNDS/$rounds/" >Snakefile <<'END'
rule all:
    input: "report"

rule prepare:
    output: "rounds"
    shell: "echo ROUNDS >{output}"

rule count:
    input: "rounds"
    output: "lines"
    log: "count.log"
    shell: "echo begin >>{log}; ./rounds.py $(cat {input}) 0 count >{output}; echo end >>{log}"

rule report:
    input: "lines"
    output: "report"
    shell: "sha256sum <{input} >{output}"
END

# The workflow, in the background; "ended" is there when it is not any more.
manage() {
	local rc=0
	as_user bash -c "$command" >manager.out 2>&1 || rc=$?
	: >ended
	return $rc
}

is_job_of() {	# RULE: sets job
	job=$(squeue -h -n "$1" -o %A)
	[ -n "$job" ]
}

# Slurm's SIGKILL may come before Snakemake has done anything about SIGTERM, and a
# preemption alone would prove nothing: here SIGTERM has all the time. It is in the
# image, as it is when a partition with a GraceTime has the last checkpoint made.
term_waits() {
	node-run "$(job_field "$job" NodeList)" sh -c "grep '^ShdPnd:.*4...\$' /proc/\$(pgrep -f '[r]ounds.py $rounds')/status"
}
term_sent() {
	as_user scancel --full --signal=TERM "$job" && await "$wait_s" term_waits && return
	why "SIGTERM has not come to the rule's program, or is not blocked: $(job_field "$job" JobState)"
	return 1
}

count_preempted() {
	local urgent
	await "$wait_s" is_job_of count || { why "there is no job of the rule count"; return 1; }
	rounds_await 1 20 count && term_sent && create && rounds_await 1 40 count || return
	urgent=$(as_user sbatch --parsable -p urgent -N2 --exclusive -o /dev/null --wrap true) || return
	job_await "$urgent" COMPLETED || return
	[ "$(job_field "$job" Restarts)" = 1 ] || { why "the rule was not preempted"; return 1; }
	# It was in the middle, and nobody has tidied up behind it.
	! grep -q end count.log && [ -s lines ] || { why "the rule has ended, or its output is gone"; return 1; }
	goes_on
}

manager_succeeded() {
	local rc=0
	file_await ended || return
	wait "$manager" || rc=$?
	[ $rc = 0 ] || { why "snakemake ended with status $rc"; return 1; }
}

# All that was written, once: by the rule's program into both its files, by the
# shell around it, and by the Snakemake around that.
lines_undisturbed() {
	undisturbed 1 $rounds count >expected
	same "the output of the rule" lines expected && same "its own file" count.0 expected &&
		same "the log of the rule" count.log <(printf '%s\n' begin end) &&
		same "the result of the workflow" report <(sha256sum <expected) || return
	[ "$(grep -c "Building DAG" "slurm-$job.out")" = 1 ] || { why "the job's Snakemake has begun anew"; return 1; }
}

preempted_rule() {
	local manager rc=0
	manage & manager=$!
	count_preempted && manager_succeeded && ended_with COMPLETED 0 && lines_undisturbed && return
	rc=$?
	why <manager.out
	cat slurm-*.out
	# It would wait for its jobs for ever.
	[ -e ended ] || pkill -u user -x snakemake
	return $rc
}

run "a rule is preempted and continues in the middle; the workflow ends well" preempted_rule
finish
