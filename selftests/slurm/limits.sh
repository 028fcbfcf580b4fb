#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317 # check() calls the functions
#
# A job that Slurm keeps within its memory and whose use it counts, before a
# checkpoint, during it and after a restart.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/slurm/lib-restart.sh
. "$here/slurm/lib-restart.sh"

have=70	# megabytes that the task has

# It rewrites them; with "grow" it takes more than its limit allows.
cat >holder.py <<'END'
import os, resource, threading
have = bytearray(os.urandom(1 << 20)) * int(os.environ["HAVE"])
own = os.open("task.0", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
n = 0
while not os.path.exists("stop"):
    n += 1
    for at in range(0, len(have), 4096):
        have[at] = n & 255
    assert all(b == n & 255 for b in have[::4096])
    os.write(own, b"round %d, %d descriptors\n" % (n, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    if os.path.exists("grow"):
        more = [os.urandom(1 << 20) for _ in range(400)]
    threading.Event().wait(0.1)
END

# What is selected by is read at the start only.
slurm_anew() {
	local node
	controller_again TERM && await 30 scontrol ping || return
	for node in $(sinfo -h -N -o %N); do
		node-run "$node" sh -c 'd="slurmd(-wlm)?"; pkill -x "$d"; while pgrep -x "$d"; do :; done >/dev/null; slurmd' || return
	done
	node-idle && scontrol show config | grep -E '^(SelectTypeParameters|JobAcctGatherType)'
}

# On every node, which sinfo names once for each partition: limits that hold, and somebody who counts.
site_limits() {
	local node
	for node in $(sinfo -h -N -o %N); do
		node-run "$node" sh -c 'cd /etc/slurm && cp -pn cgroup.conf cgroup.before && cp -pn slurm.conf slurm.before &&
			sed -i s/ConstrainRAMSpace=no/ConstrainRAMSpace=yes/ cgroup.conf &&
			sed -i -e "s/^SelectTypeParameters=.*/SelectTypeParameters=CR_Core_Memory\nDefMemPerCPU=150/" \
				-e "s/^JobAcctGatherType=.*/JobAcctGatherType=jobacct_gather\/cgroup\nJobAcctGatherFrequency=task=2/" slurm.conf' || return
	done
	slurm_anew
}
# For the tests after this one.
no_limits() {
	local node
	for node in $(sinfo -h -N -o %N); do
		node-run "$node" sh -c 'cd /etc/slurm && for f in cgroup slurm; do [ ! -e $f.before ] || mv $f.before $f.conf; done' || return
	done
	slurm_anew && ! scontrol show config | grep -i '^SelectTypeParameters.*MEMORY'
}

submit() {	# MEGABYTES
	rm -f grow stop
	HAVE=$have begin "limited$1" -w node0 -N1 -n1 --mem="${1}M" <<-'END' || return
		#!/bin/bash
		ulimit -Sn 600
		srun python3 holder.py 2>srun.err
		echo "end $?"
	END
	rounds_await 1 5
}

limit_of() { cat /sys/fs/cgroup/system.slice/*/job_"$job"/memory.max; }
is_limited() { [ "$(limit_of)" = $(($1 << 20)) ] || { why "the limit is $(limit_of)"; return 1; }; }

# The task is where its step's limits and accounts are.
is_in_step() {
	local pid
	for pid in $(pgrep -f '^[^ ]*python3 holder.py'); do
		grep -q "/job_$job/step_0/user/task_0$" "/proc/$pid/cgroup" || { why "it is in $(cat "/proc/$pid/cgroup")"; return 1; }
	done
	[ -n "${pid:-}" ]
}

# Slurm says so in kilobytes, or with a letter.
counted() {
	rss=$(sstat -n -P -j "$job.0" -o MaxRSS | head -n 1 | numfmt --from=iec 2>/dev/null) && [ "${rss:-0}" -ge $((have << 20)) ]
}
is_counted() { await "$wait_s" counted || { why "sstat says $(sstat -n -P -j "$job.0" -o JobID,MaxRSS,NTasks)"; return 1; }; }

saved_and_requeued() {	# MEGABYTES
	local rounds
	submit "$1" && is_limited "$1" && is_in_step && is_counted || return
	create >said 2>&1
	local rc=$?
	cat said
	[ "$rc" = 0 ] || return
	rounds=$(rounds_of 0)
	rounds_await 1 $((rounds + 5)) && as_user scontrol requeue "$job" && goes_on && rounds_await 1 $((rounds + 20)) || return
	[ "$(sort -k2,2n task.0 | uniq -d)" = "" ] && ! grep -v ', 600 descriptors$' task.0
}

acts() {
	saved_and_requeued 160 && is_limited 160 && is_in_step && is_counted || return
	[ "$rss" -lt $((160 << 20)) ] || { why "$rss bytes are counted"; return 1; }
	touch stop && job_await "$job" COMPLETED && grep "^end 0" ./*.out
}

ends_at_its_limit() {
	saved_and_requeued 160 && touch grow && job_await "$job" "OUT_OF_MEMORY|COMPLETED" && grep "^end [1-9]" ./*.out &&
		grep -i "oom\|killed" srun.err
}

# No room for a copy of what it rewrites: then it stands still, and does not die.
cramped() {
	saved_and_requeued 110 && grep "note: the job stood still until its memory was written" said && is_limited 110 &&
		touch stop && job_await "$job" COMPLETED && grep "^end 0" ./*.out
}

check "a site that keeps jobs within their memory and counts" site_limits
run "Accounting, cgroup limits act on the restarted tasks as on any others" acts
run "cgroup limits act on the restarted tasks: who takes more than that is killed, and Slurm knows" ends_at_its_limit
run "cgroup limits: a job whose limit has no room for a copy of its memory survives its checkpoint" cramped
check "the cluster is as it was" no_limits
finish
