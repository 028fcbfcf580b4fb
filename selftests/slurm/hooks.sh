#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317 # check() calls the functions
#
# Prolog and epilog, as make install-slurm has put them: what becomes of a node
# without the module, and of what a job that was killed has left behind.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"

images=$work/images
as_user mkdir "$images"
conf=/etc/ckpt/ckpt.conf
at=/sys/fs/cgroup/system.slice/node1_slurmstepd.scope

# The site's slurm.conf on all nodes, and with it both hooks.
site_wants_hooks() {
	local n
	for ((n = 0; n < CKPT_NODES; n++)); do
		node-run "node$n" sh -c 'printf "%s\n" "Prolog=/etc/slurm/prolog.d/*" "Epilog=/etc/slurm/epilog.d/*" \
			PrologFlags=Alloc >>/etc/slurm/slurm.conf' || return
	done
	scontrol reconfigure && await "$wait_s" node_is node1 idle && scontrol show config | grep 'prolog.d'
}

module_on_node1() { node-run node1 grep -q '^ckpt ' /proc/modules; }
# As if there were none for this kernel; and back again.
module_hide() {
	node-run node1 sh -c 'rmmod ckpt; mkdir -p /etc/modprobe.d; echo install ckpt /bin/false >/etc/modprobe.d/hidden.conf' &&
		! module_on_node1
}
module_show() { node-run node1 rm -f /etc/modprobe.d/hidden.conf; }

on_node1() { as_user timeout 60 srun -w node1 -n1 "$@"; }

loads_module() {
	node-run node1 rmmod ckpt && ! module_on_node1 && on_node1 true && module_on_node1 && node_await node1 idle
}

drains_nothing() {
	module_hide && on_node1 hostname && ! module_on_node1 && node_await node1 idle && module_show
}

drains_if_asked() {
	module_hide
	node-run node1 sh -c "mkdir -p /etc/ckpt && echo 'require_module = yes' >$conf" || return
	job=$(as_user sbatch --parsable -w node1 --wrap hostname) && node_await node1 drain || return
	sinfo -R
	scancel "$job"
	# With the module it is a node like any other again.
	module_show && scontrol update nodename=node1 state=resume && node_await node1 idle && on_node1 hostname &&
		module_on_node1 && node_await node1 idle
}

# A file that users could have written asks for nothing.
drains_not_for_users() {
	node-run node1 chmod 666 "$conf" && module_hide && on_node1 hostname && node_await node1 idle && module_show &&
		node-run node1 rm "$conf"
}

# ---- leftovers ----

# A job on node1, and within it what ckctl leaves when it is killed.
leaves_cgroups() {
	module_show
	local other
	job_submit stays -w node1 <<<$'#!/bin/bash\ntouch stays; while [ ! -e stop ]; do sleep 0.2; done' &&
		file_await stays && other=$job || return
	job_submit goes -w node1 <<<$'#!/bin/bash\ntouch goes; sleep 1000' && file_await goes || return
	# Not even Slurm can remove its own then.
	node-run node1 sh -c "cd $at && mkdir job_$job/step_batch/user/task_0/ckpt-x job_$other/step_batch/user/task_0/ckpt-y ||
		mkdir job_$job/step_batch/user/task_special/ckpt-x job_$other/step_batch/user/task_special/ckpt-y"
	[ "$(node-run node1 find $at -name 'ckpt-[xy]' | wc -l)" = 2 ] || { why "cgroups are elsewhere: $(node-run node1 find $at -type d)"; return 1; }
	scancel "$job" && job_await "$job" CANCELLED && await "$wait_s" no_job_dir || { why "there is still: $(node-run node1 find $at -name "*_$job" -o -name ckpt-x)"; return 1; }
	[ -n "$(node-run node1 find $at -name ckpt-y)" ] || { why "that of another job is gone, too"; return 1; }
	touch stop
	job=$other
	job_await "$job" COMPLETED && await "$wait_s" no_job_dir
}
no_job_dir() { [ -z "$(node-run node1 find $at -name "job_$job")" ]; }

# Halves: a generation that no manifest names, and the names of manifests that never came.
half() {	# IMAGE
	as_user mkdir -p "$1/gen-77/batch/node1.ckpt/gen-1" && chmod -R 700 "$1" &&
		as_user touch "$1/gen-77/job.json" "$1/gen-77/batch/node1.ckpt/gen-1/pages" "$1/manifest.json.tmp"
}

leaves_halves() {
	local elsewhere=$work/elsewhere image
	as_user mkdir -p "$elsewhere"
	rm -f halves
	job_submit halves -w node1 --checkpoint-dir="$images" <<<$'#!/bin/bash\ntouch halves; sleep 1000' && file_await halves &&
		as_user ckctl create "$job" && as_user ckctl create "$job" ImageDir="$elsewhere" || return
	image=$images/$job.ckpt
	half "$image" && half "$elsewhere/$job.ckpt" && half "$images/$job.0.ckpt" && half "$images/$((job + 1)).ckpt" &&
		half "$images/${job}0.ckpt" || return
	scancel "$job" && job_await "$job" CANCELLED && node_await node1 idle || return
	find "$images" "$elsewhere" -maxdepth 2
	as_user ckctl verify "$image" && as_user ckctl verify "$elsewhere/$job.ckpt" || return
	[ ! -e "$image/gen-77" ] && [ ! -e "$image/manifest.json.tmp" ] && [ ! -e "$elsewhere/$job.ckpt/gen-77" ] ||
		{ why "a half is left"; return 1; }
	[ ! -e "$images/$job.0.ckpt" ] || { why "an image that never was is left"; return 1; }
	[ -e "$images/$((job + 1)).ckpt/gen-77" ] && [ -e "$images/${job}0.ckpt/gen-77" ] ||
		{ why "those of other jobs are gone, too"; return 1; }
}

# Paths of the user's own making that lead elsewhere; root would go there.
traps() {
	local victim=$work/victim images=$work/others image
	as_user mkdir "$images"
	mkdir -p "$victim/gen-77" && touch "$victim/gen-77/precious" "$victim/manifest.json.tmp" && chmod -R 755 "$victim"
	chown -R root: "$victim"
	rm -f traps
	job_submit traps -w node1 --checkpoint-dir="$images" <<<$'#!/bin/bash\ntouch traps; sleep 1000' && file_await traps || return
	image=$images/$job.ckpt
	as_user ln -s "$victim" "$image" && as_user mkdir -m 700 "$images/$job.0.ckpt" &&
		as_user ln -s "$victim/gen-77" "$images/$job.0.ckpt/gen-77" || return
	scancel "$job" && job_await "$job" CANCELLED && node_await node1 idle || return
	find "$victim" "$images" -maxdepth 2
	[ -e "$victim/gen-77/precious" ] && [ -e "$victim/manifest.json.tmp" ] && [ -L "$image" ] || { why "root went where a link leads"; return 1; }
}

# One that is at work on another node, which node1 cannot lock out here.
leaves_others_alone() {
	local image
	rm -f busy
	job_submit busy -w node1 --checkpoint-dir="$images" <<<$'#!/bin/bash\ntouch busy; sleep 1000' && file_await busy || return
	image=$images/$job.ckpt
	half "$image" && as_user sh -c "printf '{\"since\": 1, \"alive\": %s, \"host\": 1, \"pid\": 1}' \$(date +%s) >\$HOME/.ckpt/jobs/ckpt/$job.began.json" &&
		chmod 600 "$CKPT_SHARE/home/user/.ckpt/jobs/ckpt/$job.began.json" || return
	scancel "$job" && job_await "$job" CANCELLED && node_await node1 idle && [ -e "$image/gen-77" ] && return
	why "the half of one that is at work is gone"
	return 1
}

by_hand() {
	local rc=0
	as_user ckctl job-epilog || rc=$?
	[ $rc = 2 ] && /etc/slurm/epilog.d/50-ckpt && SLURM_JOB_ID=1 SLURM_JOB_UID=99999 /etc/slurm/epilog.d/50-ckpt &&
		/etc/slurm/prolog.d/50-ckpt
}

none_drained() { sinfo -N; ! sinfo -h -N -o %T | grep -E 'drain|down'; }

check "slurm.conf with both" site_wants_hooks
check "modprobe ckpt from the prolog" loads_module
check "hooks never drain a node for nothing: one without the module is not drained" drains_nothing
check "it is when the site wants that" drains_if_asked
check "a configuration that users could have written drains nothing" drains_not_for_users
check "cgroups of the job that nobody is in are removed, and no others" leaves_cgroups
check "halves of the job's images are removed, and no others" leaves_halves
check "no link leads the epilog astray" traps
check "a checkpoint at work on another node is left alone" leaves_others_alone
check "called without a job, it does nothing and does not fail" by_hand
check "no node is drained" none_drained
finish
