#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317 # check() calls the functions
#
# What happens at any site: image directories that are full or cannot be written,
# and users who are curious about the jobs of others.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/slurm/lib-schedule.sh
. "$here/slurm/lib-schedule.sh"

images=$work/images
as_user mkdir "$images"

# ---- a file system that does not do its part ----

small=$work/small
mkdir "$small"

# A job with its images on a file system of its own; some were made.
small_begin() {	# NAME
	umount -l "$small"
	mount -t tmpfs -o size=4m,mode=700,uid=1000,gid=1000 small "$small" && begin "$1" "$work_on" --checkpoint=0:8 \
		--checkpoint-dir="$small" --error="$1.err" && checkpointed "$job" && as_user ckctl verify "$small/$job.ckpt"
}
small_end() {
	await "$wait_s" umount "$small" || why "there is still somebody in the directory"
	[ ! -s "$reason" ]
}

# After the file system has become useless: that is told everywhere, and harms nobody.
told() {	# SENTENCE
	local before
	field_await "$job" failure.time || return
	before=$(field "$job" last.time)
	as_user ckctl status "$job" | tee status.txt
	grep -q "^failure .*$1" status.txt || { why "the status does not tell of it"; return 1; }
	cat ./*.err
	grep -q "^ckctl: .*$1" ./*.err && grep -q "^ckctl: note: the checkpoint of $job failed; the next try is in" ./*.err ||
		{ why "the job's standard error does not tell of it"; return 1; }
	await "$wait_s" by_hand && [ "$code" = 6 ] && grep -q "$1" by_hand || { why "by hand, it ended with status $code: $(cat by_hand)"; return 1; }
	job_is "$job" RUNNING && as_user ckctl verify "$small/$job.ckpt" || return
	[ "$(field "$job" last.time)" = "$before" ] || { why "but another one was made: $(status "$job")"; return 1; }
	await "$wait_s" one_only || { why "there is half an image: $(ls "$small/$job.ckpt")"; return 1; }
}
# Unless the schedule is just at it.
by_hand() {
	code=0
	as_user ckctl create "$job" >by_hand 2>&1 || code=$?
	[ $code != 10 ]
}
one_only() { [ "$(find "$small/$job.ckpt" -mindepth 1 -maxdepth 1 -name 'gen-*' | wc -l)" = 1 ]; }
# And when it is of use again.
goes_on() {
	checkpointed "$job" && ! has "$job" failure.time || { why "the failure is still there: $(status "$job")"; return 1; }
	as_user ckctl verify "$small/$job.ckpt" && end "$job"
}

full() {
	small_begin full || return
	# One that is under way may take the rest of it.
	await "$wait_s" filled || { why "it does not get full: $(df "$small")"; return 1; }
	told "No space left" || return
	rm "$small/fill"
	goes_on && small_end
}
filled() {
	as_user dd if=/dev/zero of="$small/fill" bs=4k conv=notrunc oflag=append
	has "$job" failure.time
}

read_only() {
	small_begin read_only && await "$wait_s" mount -o remount,ro "$small" && told "Read-only file system" &&
		mount -o remount,rw "$small" && goes_on && small_end
}

# ---- two users ----

as_other() { runuser -u other -- env HOME="$CKPT_SHARE/home/other" USER=other LOGNAME=other "$@"; }
refused() {	# COMMAND…: not permitted, with a sentence
	ends_with 4 "ckctl: " as_other "$@"
}
all_of() { find "$1" -printf '%p %u %m %s %T@ ' | md5sum; }

# A job of "user", with images of the whole and of its step.
of_user() {
	begin theirs "srun -n1 sh -c 'touch begun; $work_on'" && file_await begun && as_user ckctl create "$job.0" &&
		as_user ckctl create "$job" && theirs=$(all_of "$images")
}
untouched() {
	[ "$(job_field "$job" Restarts)" = 0 ] && job_is "$job" RUNNING && [ "$(all_of "$images")" = "$theirs" ] && return
	why "something has happened to the job or its images: $(scontrol -o show job "$job"; ls -lR "$images")"
	return 1
}

jobs_of_others() {
	local v
	of_user || return
	for v in create restart vacate requeue able disable enable error; do
		refused ckctl "$v" "$job" && { [[ $v = @(restart|requeue) ]] || refused ckctl "$v" "$job.0"; } || return
	done
	refused ckctl create "$job" ImageDir=/tmp && ends_with 9 "ckctl: " as_other ckctl status "$job" &&
		ends_with 1 "Access/permission denied" as_other scontrol requeue "$job" && untouched && ends_with 0 Yes as_user ckctl able "$job"
}

images_of_others() {
	local v i
	for i in "$images/$job.ckpt" "$images/$job.0.ckpt"; do
		for v in show verify restart; do refused ckctl "$v" "$i" || return; done
		refused ckctl core -o /tmp/core.other "$i" 1 && [ ! -e /tmp/core.other ] || return
	done
	as_other ckctl list "$images" >said 2>&1
	cat said
	! grep -q "[KM]iB" said || { why "list tells what is in it"; return 1; }
	# Their own program it is that runs then, and they are told why.
	ends_with 0 "Permission denied; it starts from the beginning" as_other srun -n1 -w node1 --restart-dir="$images" echo anew &&
		grep -qx anew said && untouched
}

# Nothing is written through what somebody else has prepared, by "user" or by root.
traps() (
	by='' pid=$(as_user ckctl show --json "$images/$job.ckpt" | python3 -c '
import json, sys
print(json.load(sys.stdin)["parts"][0]["image"]["processes"][0]["pid"])') && as_user mkdir -m 777 "$work/precious" &&
		as_other mkdir -m 777 "$trap" && cd "$trap" || return
	for by in as_user env; do
		as_other ln -s "$work/precious" "$job.ckpt" && ends_with 3 "is not an image" $by ckctl create "$job" ImageDir=. &&
			as_other rm "$job.ckpt" && as_other mkdir -m 777 "$job.ckpt" &&
			ends_with 4 "belongs to user 1001" $by ckctl create "$job" ImageDir=. && as_other rmdir "$job.ckpt" &&
			as_other ln -s "$work/precious/core" "core.$pid" &&
			ends_with 1 "core.$pid exists" $by ckctl core "$images/$job.ckpt" "$pid" && as_other rm "core.$pid" || return
	done
	[ -z "$(ls -A "$work/precious")" ] && untouched || { why "something was written: $(ls -lA "$work/precious")"; return 1; }
)

# What they offer is not taken, and when root continues it, it is still theirs.
image_of_other() {
	local own
	own=$(cd "$trap" && as_other sbatch --parsable -n1 -w node0 -o out --checkpoint-dir=. --wrap "touch runs; sleep 1000") &&
		file_await "$trap/runs" && as_other ckctl create "$own" && chmod -R a+rX "$trap" || return
	for v in show verify restart; do ends_with 4 "belongs to user 1001" as_user ckctl "$v" "$trap/$own.ckpt" || return; done
	ends_with 4 "ckctl: " as_user ckctl restart "$own" ImageDir="$trap" && as_other scancel "$own" && job_await "$own" CANCELLED &&
		ends_with 0 "restarted $own" ckctl restart "$trap/$own.ckpt" && job_await "$own" RUNNING || return
	[ "$(job_field "$own" UserId)" = "other(1001)" ] && await "$wait_s" pgrep -x -u other sleep && as_other scancel "$own"
}

# ---- names ----

# What looks like Slurm's own words, and like another job.
odd_name() {
	local name=$'fit NodeList=node9 UserId=root(0)\nJobId=1 JobName=x UserId=y'
	rm -f stop started
	job=$(as_user sbatch --parsable -J "$name" -w node0 -o odd.out --wrap "touch started; $work_on") && file_await started &&
		ends_with 0 "made $images/$job.ckpt" as_user ckctl create "$job" ImageDir="$images" || return
	NAME=$name python3 - "$images/$job.ckpt"/gen-1/job.json <<-'END' || { why "the image has another name, or node"; return 1; }
		import json, os, sys
		job = json.load(open(sys.argv[1]))["job"]
		print(job)
		assert job["JobName"] == os.environ["NAME"] and job["NodeList"] == "node0" and job["UserId"] == "user(1000)"
	END
	ends_with 0 "ended $job" as_user ckctl vacate "$job" ImageDir="$images" && job_await "$job" CANCELLED &&
		ends_with 0 "restarted $job" as_user ckctl restart "$job" || return
	job=$(sed -n 's/^restarted .* as \([0-9]*\) from .*/\1/p' said)
	job_await "$job" RUNNING && [ "$(squeue -h -j "$job" -o %j)" = "$name" ] || { why "the new job has another name"; return 1; }
	end "$job"
}

none_drained() { sinfo -N; ! sinfo -h -N -o %T | grep drain; }

trap=$CKPT_SHARE/home/other/trap
run "a full image directory: told on the job's standard error and in ckctl status, the job and its image stay" full
run "a read-only image directory" read_only
check "jobs of another user: no verb, no control command" jobs_of_others
check "images of another user: neither looked at nor continued" images_of_others
check "a prepared directory or link makes nobody write elsewhere" traps
check "an image of another user is not taken, and root continues it as theirs" image_of_other
scancel "$job"
run "a job whose name looks like fields and records" odd_name
check "no node was drained" none_drained
rm -rf "$trap"
finish
