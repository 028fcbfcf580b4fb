# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# How run-all.sh ends what a test under Slurm left behind: its own processes
# here, jobs everywhere, and nodes that are off or out of use.

on_all_nodes() {	# SHELL-COMMAND
	local n
	for ((n = 0; n < CKPT_NODES; n++)); do node-run "node$n" sh -c "$1"; done
}

tidy() {
	local n p jobs
	for p in $(strangers); do
		# A test may have started Slurm anew.
		case $(cat "/proc/$p/comm") in
		slurm* | munged) ;;
		*) kill -9 "$p" ;;
		esac
	done
	for ((n = 1; n < CKPT_NODES; n++)); do node-on "node$n"; done
	mapfile -t jobs < <(squeue -h -o %A)
	if [ ${#jobs[@]} -gt 0 ]; then
		# What is frozen cannot die.
		on_all_nodes 'find /sys/fs/cgroup/system.slice -name cgroup.freeze | while read -r f; do echo 0 >"$f"; done'
		scancel "${jobs[@]}"
	fi
	! sinfo -h -o %T | grep -Eq 'down|drain|fail' || scontrol update nodename=ALL state=resume
	# What escaped from a job has to go as well.
	node-idle || on_all_nodes 'pkill -KILL -u user,other'
} >/dev/null 2>&1
