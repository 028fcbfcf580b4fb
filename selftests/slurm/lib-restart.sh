# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # variables for who sources this, and of lib.sh
#
# What the tests of jobs that continue share: a task whose output tells all that
# it has done, and what that is when nothing comes in between.

images=$work/images
as_user mkdir "$images"

# Each round, a number goes through a child process and its pipes, and is added up by a
# thread: what comes out is a line of standard output and of a file of the task's own.  The last
# ones are made when the file "finish" is there: no job ends before it was interrupted.
cat >rounds.py <<'END'
#!/usr/bin/env python3
import os, subprocess, sys, threading
rounds, status = int(sys.argv[1]), int(sys.argv[2])
rank = int(os.environ["SLURM_PROCID"])
tag = sys.argv[3] if len(sys.argv) > 3 else "task"
child = subprocess.Popen(["sh", "-c", "while read n; do echo $((n * n)); done"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
asked, added, never = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
value = total = 0
def add():
    global total
    while True:
        asked.acquire()
        total += value
        added.release()
threading.Thread(target=add, daemon=True).start()
own = os.open("%s.%d" % (tag, rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
for i in range(1, rounds + 1):
    while i > rounds - 10 and not os.path.exists("finish"):
        never.wait(0.1)
    child.stdin.write(b"%d\n" % i)
    child.stdin.flush()
    value = int(child.stdout.readline())
    asked.release()
    added.acquire()
    line = b"%s %d round %d: %d\n" % (tag.encode(), rank, i, total)
    os.write(own, line)
    os.write(1, line)
    never.wait(0.05)
child.stdin.close()
child.wait()
sys.exit(status)
END
chmod +x rounds.py

# Submit the script on standard input; its tasks use rounds.py. Sets job.
begin() {	# NAME SBATCH-OPTION…
	rm -f task.* ./*.out finish
	job_submit "$1" --requeue --checkpoint-dir="$images" --checkpoint=1-0 "${@:2}"
}

create() { as_user ckctl create "$job"; }

rounds_of() { cat "${2:-task}.$1" 2>/dev/null | wc -l; }
rounds_reached() { [ "$(rounds_of "$1" "${3:-task}")" -ge "$2" ]; }
# Until each of the tasks of ranks 0 to NR - 1 has done that many.
rounds_await() {	# NR ROUNDS [TAG]
	local r
	for ((r = 0; r < $1; r++)); do
		await "$wait_s" rounds_reached "$r" "$2" "${3:-task}" && continue
		why "task $r has done $(rounds_of "$r" "${3:-task}") rounds after $wait_s s, not $2; the job: $(job_field "$job" JobState) $(job_field "$job" Reason) $(cat ./*.out)"
		return 1
	done
}

# Slurm has it wait for two minutes after a requeue, which its owner may cut short.
goes_on() {
	touch finish
	job_await "$job" PENDING && as_user scontrol update jobid="$job" StartTime=now && job_await "$job" "RUNNING|COMPLETED|FAILED"
}

undisturbed() {	# NR ROUNDS [TAG]: what the tasks print
	python3 -c '
import sys
for r in range(int(sys.argv[1])):
    total = 0
    for i in range(1, int(sys.argv[2]) + 1):
        total += i * i
        print(sys.argv[3], r, "round %d: %d" % (i, total))' "$1" "$2" "${3:-task}"
}

same() {	# WHAT FILE EXPECTED
	local found
	found=$(diff "$2" "$3") && return
	why "$1 is not that of an undisturbed run: $(head -n 12 <<<"$found")"
	return 1
}

# The lines of each task in their order, and what is in the files of their own.
tasks_undisturbed() {	# NR ROUNDS [TAG]
	local tag=${3:-task}
	undisturbed "$1" "$2" "$tag" >expected
	same "the output" <(grep -h "^$tag [0-9]* round" ./*.out | sort -s -k2,2n) expected &&
		same "what is in files" <(cat "$tag".*) expected
}

# The lines of the script itself, and nothing of anybody else.
script_undisturbed() {	# LINE…
	same "the output of the script" <(grep -hv "^[a-z0-9]* [0-9]* round [0-9]*: [0-9]*$" ./*.out) <(printf '%s\n' "$@")
}

ended_with() {	# STATE-PATTERN EXIT-STATUS
	local code
	job_await "$job" "$1" || return
	code=$(job_field "$job" ExitCode)
	[ "$code" = "$2:0" ] && return
	why "the job's exit code is $code"
	return 1
}
