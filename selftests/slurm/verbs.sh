#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317 # check() calls the functions
#
# The old verbs of "scontrol checkpoint", besides create and restart: what they say,
# whom they obey, and what becomes of the job.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"

images=$work/images
as_user mkdir "$images"
where=(-w node0)
# Long enough for any test; ends at once when it is told to.
work_on='touch started; while [ ! -e stop ]; do sleep 0.2; done'

begin() {	# NAME SBATCH-OPTION…: a batch job that runs
	local name=$1
	shift
	rm -f stop started
	job_submit "$name" "${where[@]}" --checkpoint-dir="$images" "$@" <<<$'#!/bin/bash\n'"$work_on" && file_await started &&
		job_await "$job" RUNNING
}
end() {
	touch stop
	job_await "$job" COMPLETED
}

verb() { as_user ckctl "$@"; }
makes_image() { ends_with 0 "made $images/$1.ckpt" verb create "$1"; }
image_time() { stat -c %y "$images/$1.ckpt/manifest.json"; }

# ---- able, disable, enable ----

flags() {
	local before
	begin flags && makes_image "$job" && before=$(image_time "$job") || return
	ends_with 0 Yes verb able "$job" || return
	# A flag: as often as one likes.
	verb disable "$job" && verb disable "$job" && ends_with 0 No verb able "$job" &&
		ends_with 3 disabled verb create "$job" && [ "$(image_time "$job")" = "$before" ] || return
	ends_with 0 '"able": false' verb --json able "$job" && verb enable "$job" && ends_with 0 Yes verb able "$job" &&
		verb enable "$job" && makes_image "$job" && end
}

# All of a job is saved, or nothing: both have a say.
flags_of_step() {
	work_on="srun -N1 -n1 sh -c '$work_on'" begin flags2 || return
	verb disable "$job.0" && ends_with 0 No verb able "$job.0" && ends_with 0 No verb able "$job" &&
		ends_with 3 "$job.0 were disabled by user" verb create "$job.0" && ends_with 3 "$job.0 were disabled" verb create "$job" &&
		verb enable "$job.0" && ends_with 0 Yes verb able "$job" && makes_image "$job" &&
		verb disable "$job" && ends_with 0 No verb able "$job.0" && verb enable "$job" &&
		ends_with 0 Yes verb able "$job.0" && ends_with 9 "no step 7" verb able "$job.7" && end
}

# The schedule stands still as well, and the job's owner is told.
disabled_schedule() {
	local before
	begin schedule --checkpoint=0:3 && file_await "$images/$job.ckpt/manifest.json" && verb disable "$job" || return
	told() { grep -q "checkpoints of $job were disabled by user" schedule.out; }
	await "$wait_s" told || { why "the job's output does not tell of it: $(cat schedule.out)"; return 1; }
	before=$(image_time "$job")
	read -r -t 7 -u "$never"
	[ "$(image_time "$job")" = "$before" ] || { why "it was checkpointed all the same"; return 1; }
	goes_on() { [ "$(image_time "$job")" != "$before" ]; }
	verb enable "$job" && await "$wait_s" goes_on || { why "the schedule does not go on"; return 1; }
	end
}

began() {
	local client rc=0
	begin began || return
	# One that takes long enough: it waits for a stopped client's output, two seconds.
	pkill -STOP -u user -x sleep
	verb create "$job" >created 2>&1 & client=$!
	under_way() { [[ $(verb able "$job") == "Began at 20"* ]]; }
	await "$wait_s" under_way || why "able does not tell that one is under way: $(verb able "$job")"
	wait $client || rc=$?
	pkill -CONT -u user -x sleep
	[ $rc = 0 ] || why "create: $(cat created)"
	ends_with 0 Yes verb able "$job" && end && [ ! -s "$reason" ]
}

# ---- error ----

errors() {
	begin errors && ends_with 0 "no error" verb error "$job" || return
	chmod 500 "$images"
	verb create "$job" || true
	ends_with 0 "error(4): " verb error "$job" && grep -q "you may not write" said &&
		ends_with 0 '"code": 4' verb --json error "$job" || { chmod 700 "$images"; return 1; }
	chmod 700 "$images"
	makes_image "$job" && ends_with 0 "no error" verb error "$job" && end
}

# ---- vacate ----

vacates() {
	begin vacate && ends_with 0 "ended $job" verb vacate "$job" && grep -q "^made $images/$job.ckpt" said &&
		job_await "$job" CANCELLED && as_user ckctl verify "$images/$job.ckpt"
}

# The old one ended the job whatever became of the image.
vacates_not() {
	begin vacate2 && chmod 500 "$images"
	ends_with 4 "you may not write" verb vacate "$job" || { chmod 700 "$images"; return 1; }
	chmod 700 "$images"
	job_is "$job" RUNNING && verb disable "$job" && ends_with 3 disabled verb vacate "$job" &&
		job_is "$job" RUNNING && end
}

vacates_step() {
	work_on="srun -N1 -n1 sh -c '$work_on'; touch over; while [ ! -e stop ]; do sleep 0.2; done" begin vacate3 &&
		ends_with 0 "ended $job.0" verb vacate "$job.0" ImageDir="$images" && file_await over && job_is "$job" RUNNING &&
		as_user ckctl verify "$images/$job.0.ckpt" && end
}

# ---- requeue ----

requeues() {
	begin requeue && rm started && ends_with 0 "requeued $job" verb requeue "$job" || return
	again() { [ "$(job_field "$job" Restarts)" = 1 ] && job_is "$job" RUNNING; }
	await "$wait_s" again || { why "it does not run again: $(scontrol show job "$job")"; return 1; }
	as_user ckctl verify "$images/$job.ckpt" && end
}

requeues_not() {
	begin requeue2 --no-requeue && ends_with 3 "may not be requeued" verb requeue "$job" && [ ! -e "$images/$job.ckpt" ] &&
		job_is "$job" RUNNING && ends_with 2 "a step cannot be requeued" verb requeue "$job.0" || return
	scontrol update jobid="$job" Requeue=1 && chmod 500 "$images"
	ends_with 4 "you may not write" verb requeue "$job" || { chmod 700 "$images"; return 1; }
	chmod 700 "$images"
	job_is "$job" RUNNING && [ "$(job_field "$job" Restarts)" = 0 ] && end
}

# Slurm has accepted it: who does not want to wait any more need not.
interrupted() {
	local client rc=0 begun
	work_on="trap '' TERM; $work_on" begin interrupt || return
	verb requeue "$job" >said 2>&1 & client=$!
	over() { ! job_is "$job" RUNNING; }
	await "$wait_s" over || why "it is not requeued: $(cat said)"
	begun=$SECONDS
	pkill -INT -f "^ckctl requeue $job" || why "it has ended by itself: $(cat said)"
	wait $client || rc=$?
	cat said
	[ $rc = 0 ] && ((SECONDS - begun <= 2)) || why "it ended with status $rc after $((SECONDS - begun)) s"
	grep -q "begins again all the same" said && grep -q "^requeued $job" said || why "it says: $(cat said)"
	scancel "$job"
	job_await "$job" CANCELLED && [ ! -s "$reason" ]
}

# ---- who, and what else ----

others() {
	local v
	begin others || return
	for v in able disable enable error vacate requeue; do
		ends_with 4 "" runuser -u other -- env HOME="$CKPT_SHARE/home/other" ckctl $v "$job" || return
	done
	job_is "$job" RUNNING && ends_with 0 Yes ckctl able "$job" && ckctl disable "$job" && ends_with 0 No verb able "$job" &&
		ckctl enable "$job" && ends_with 0 Yes verb able "$job" && end
}

no_such_job() {
	local v
	for v in able disable enable error vacate requeue; do
		ends_with 9 "no job 4000000" verb $v 4000000 && ends_with 2 "is no job of Slurm" verb $v abc || return
	done
	for v in able disable enable error; do
		ends_with 2 "do not go with this command" verb $v 4000000 MaxWait=3 || return
	done
}

# ---- as it was typed ----

front() { as_user env PATH="/usr/local/libexec/ckpt:$PATH" scontrol "$@"; }
by_habit() {
	local where=()
	on_node1 begin habit && ends_with 0 "made $images/$job.ckpt" front checkpoint create "$job" &&
		ends_with 0 Yes front CHECK able "$job" && front ch dis "$job" && ends_with 0 No verb able "$job" &&
		ends_with 3 disabled front checkpoint cr "$job" imagedir="$images" maxwait=60 && front ch en "$job" &&
		ends_with 0 "JobId=$job" front -o show job "$job" && ends_with 0 "UP" front ping &&
		ends_with 1 "invalid keyword" front chec2 able "$job" && ends_with 0 "ended $job" front checkpoint vacate "$job" &&
		job_await "$job" CANCELLED && ends_with 0 "restarted $job from $images/$job.ckpt" front checkpoint restart "$job" \
		STICKTONODES && job_await "$job" RUNNING && [ "$(job_field "$job" BatchHost)" = node1 ] && end
}

run "able, disable, enable: a flag of the job" flags
run "able, disable, enable: a flag of a step" flags_of_step
run "disable stops the schedule, enable lets it go on" disabled_schedule
run "able tells that a checkpoint is under way" began
run "error tells why the last one failed" errors
run "vacate (create, then end the job)" vacates
run "vacate: no image, no end" vacates_not
run "vacate of a step leaves the batch script" vacates_step
run "requeue (create, then requeue so that it continues from the image): at once" requeues
run "requeue: refused, or without an image: the job runs on" requeues_not
run "requeue: interrupted while the job comes to its end" interrupted
run "whose job it is, and root" others
run "no such job, no such option" no_such_job
run "scontrol checkpoint create|restart|… typed by habit; keywords are case-insensitive" by_habit
finish
