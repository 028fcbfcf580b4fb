#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
# shellcheck disable=SC2317 # check() calls the functions
#
# A job that rewrites its memory while it is being written needs a copy of it: one
# that has no room for that must not die of its checkpoint.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

limited() {	# MEGABYTES FILE-OF-LIMIT: the job has 100
	BIG_MB=100 job_start big big && echo "${1}M" >"$(job_cgroup big)/$2" && job_create big >said 2>&1
	local rc=$?
	cat said
	[ $rc = 0 ] && lives
}

lives() {
	job_works big && ! grep -v ' 0$' "$(job_cgroup big)/memory.events.local" | grep oom
}

restarts() { job_kill big && job_restart big && job_works big && job_end big; }

stood_still() { grep -q "note: the job stood still until its memory was written" said; }

roomy() { limited 400 memory.max && ! stood_still && restarts; }
cramped() { limited 150 "$1" && stood_still && restarts; }

# As under Slurm, where limits are those of the job and processes in cgroups below.
above() {
	local top=$cgroup_here cgroup_here=$cgroup_here/cramped rc=0
	mkdir "$cgroup_here" && echo 150M >"$cgroup_here/memory.max" && echo $$ >"$cgroup_here/cgroup.procs" || return
	BIG_MB=100 job_start big big && job_create big >said 2>&1 && stood_still && job_works big && restarts || rc=1
	cat said
	echo $$ >"$top/cgroup.procs"
	rmdir "$cgroup_here" && return $rc
}

echo +memory >"$cgroup_here/cgroup.subtree_control" || skip_all "there is no memory controller"
check "with room for a copy, the job runs while it is written" roomy
check "without, it stands still and lives: memory.max" cramped memory.max
check "without, it stands still and lives: memory.high" cramped memory.high
check "a limit of a cgroup above counts" above
finish
