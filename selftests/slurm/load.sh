#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317 # check() calls the functions
#
# Fifty jobs with short intervals on one node, far more than it has processors.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"

nr=50 interval=20	# seconds
node=node$((CKPT_NODES - 1))
# They take turns, one at a time.
wait_s=$((wait_s * 10))
images=$work/images
as_user mkdir "$images"

# Each line tells what is known: none may be missing, and none come twice.
cat >tiny.sh <<'END2'
#!/bin/bash
exec {never}<> <(:)
n=0
while [ ! -e stop ]; do
	n=$((n + 1))
	echo "round $n"
	read -r -t 5 -u "$never"
done
echo "end after $n"
END2

cat >statuses.py <<'END2'
import json, subprocess, sys
print(json.dumps([json.loads(subprocess.run(["ckctl", "--json", "status", job], check=True, stdout=subprocess.PIPE).stdout)
                  for job in sys.argv[1:]]))
END2
# What is known of all jobs' schedules, for the Python program on standard input.
statuses() {	# ARGUMENT…
	as_user python3 statuses.py "${jobs[@]}" >statuses && python3 - "$@"
}

in_use() { node-run "$node" awk '$1 == "ckpt" { print $3 }' /proc/modules; }
free_kb() { node-run "$node" awk '/^MemAvailable/ { print $2 }' /proc/meminfo; }

# Not to be a load itself.
pause() { read -r -t 5 -u "$never"; }

# ---- they run ----

all_run() { pause; [ "$(squeue -h -r -j "$array" -t RUNNING -o %A | wc -l)" = $nr ]; }
begins() {
	uses=$(in_use) free=$(free_kb)
	scontrol update partitionname=p OverSubscribe=FORCE:16 && array=$(as_user sbatch --parsable -w "$node" --array=1-$nr \
		--checkpoint=0:$interval --checkpoint-dir="$images" -o '%a.out' tiny.sh) || return
	await "$wait_s" all_run || { why "not all run: $(squeue)"; return 1; }
	mapfile -t jobs < <(squeue -h -r -j "$array" -o %A)
	sdiag --reset
	[ ${#jobs[@]} = $nr ] || { why "there are ${#jobs[@]}"; return 1; }
}

# ---- they are checkpointed ----

images_made() { find "$images" -mindepth 2 -maxdepth 2 -name manifest.json -newer "$1" | wc -l; }
all_made() { pause; [ "$(images_made "$1")" -ge $nr ]; }
# A checkpoint of each after this moment.
each_one() {
	local begun=$SECONDS
	touch moment
	await "$wait_s" all_made moment || { why "there are $(images_made moment) new images after $wait_s s"; return 1; }
	echo "# all $nr have been checkpointed within $((SECONDS - begun)) s" >&"$told"
}

# When a schedule is due, counted from its start, is up to its job's number.
spread() {
	statuses "$interval" <<-'END2'
		import collections, json, sys
		all, interval = json.load(open("statuses")), int(sys.argv[1])
		offset = collections.Counter((s["next"] - s["started"]) % interval for s in all if not s["failure"])
		begun = collections.Counter(int(s["last"]["time"] - s["last"]["seconds"]) for s in all if s["last"])
		took = sorted(s["last"]["seconds"] for s in all if s["last"])
		stood = sorted(s["last"]["standstill_ms"] for s in all if s["last"])
		print("offsets", offset, "begun", begun, "took", took, "stood still", stood)
		assert stood[len(stood) // 2] < 1000, "half of them stand still for a second and more"
		assert max(offset.values()) <= len(all) * 2 // 3, "all are due at the same offset"
		assert max(begun.values()) <= len(all) // 4, "too many begin in one second"
	END2
}

none_failed() {
	statuses <<-'END2'
		import json
		failed = [s for s in json.load(open("statuses")) if s["failure"]]
		for s in failed:
		    print(s["job"], s["failure"])
		assert not failed
	END2
	grep -h '^ckctl' ./*.out && { why "their output tells of it: $(grep -h '^ckctl' ./*.out | sort | uniq -c)"; return 1; }
	return 0
}

# What a checkpoint asks of slurmctld, and keepers that sleep ask nothing.
asks_little() {
	local asked made
	asked=$(sdiag | sed -n 's/^\tuser .*count:\([0-9]*\) .*/\1/p')
	made=$(find "$images" -mindepth 2 -maxdepth 2 -name 'gen-*' | sed 's/.*gen-//' | awk '{ n += $1 } END { print n }')
	sdiag | sed -n '/message type/,$p'
	echo "# $asked requests for $made checkpoints; free memory of the node: $free kB before, $(free_kb) kB now" >&"$told"
	# Six commands, each of which asks for federations as well, and what a keeper asks at first.
	[ "$asked" -le $((made * 20)) ] || { why "slurmctld was asked $asked times for $made checkpoints"; return 1; }
}

# ---- they end ----

none_queued() { pause; [ -z "$(squeue -h -r -j "$array" -o %A)" ]; }
ends() {
	local f
	touch stop
	await "$wait_s" none_queued || { why "there are still: $(squeue)"; return 1; }
	scontrol -o show job "$array" >states
	[ "$(grep -c 'JobState=COMPLETED .* ExitCode=0:0 ' states)" = $nr ] || { why "not all are completed: $(grep -v 'JobState=COMPLETED .* ExitCode=0:0 ' states)"; return 1; }
	for ((f = 1; f <= nr; f++)); do
		awk '/^round/ { n++; if ($2 != n) exit 1 } END { exit $0 != "end after " n }' $f.out ||
			{ why "the output of task $f is wrong: $(tail -n 5 $f.out)"; return 1; }
	done
}

node_clean() {
	[ -z "$(node-run "$node" sh -c 'pgrep -x ckctl; find /sys/fs/cgroup/system.slice -name "job_*"')" ] && [ "$(in_use)" = "$uses" ]
}
leaves_nothing() {
	local image
	await "$wait_s" node_clean || { why "there is still: $(node-run "$node" sh -c 'pgrep -af ckctl; find /sys/fs/cgroup/system.slice -name "job_*"; grep ^ckpt /proc/modules'), the module was used $uses times"; return 1; }
	[ "$(find "$images" -mindepth 2 -maxdepth 2 -name 'gen-*' | wc -l)" = $nr ] || { why "there are halves: $(ls "$images"/*)"; return 1; }
	for image in "$images"/*.ckpt; do as_user ckctl verify "$image" || return; done
}

none_drained() { sinfo -N; ! sinfo -h -N -o %T | grep drain; }

exec {told}>&1
check "50 jobs with short intervals on one node begin" begins
check "each of them is checkpointed" each_one
check "they do not start in the same second, and stand still no longer than one alone" spread
check "no checkpoint fails" none_failed
check "slurmctld is asked for what is needed only" asks_little
check "all end with status 0 and the right output" ends
check "no process of ckctl's, no cgroup, no use of the module and no half image is left" leaves_nothing
check "no node was drained" none_drained
scontrol update partitionname=p OverSubscribe=NO
finish
