#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1500
# shellcheck disable=SC2317 # check() calls the functions
#
# Jobs that Slurm requeues go on from their images, without anyone typing.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=selftests/slurm/lib-restart.sh
. "$here/slurm/lib-restart.sh"

# Nobody's image is where it was: what comes before the line is of no account.
requeued() {
	begin requeued -N2 --ntasks-per-node=2 <<-'END' || return
		#!/bin/bash
		echo "begin of $SLURM_JOB_ID"
		srun ./rounds.py 150 7 2>srun.err
		echo "end $?"
		exit 5
	END
	rounds_await 4 20 && create && rounds_await 4 40 && scontrol requeue "$job" && goes_on || return
	job_await "$job" FAILED && [ "$(job_field "$job" ExitCode)" = 5:0 ] || return
	as_if_undisturbed "begin of $job" 4 150 "end 7"
}

run "scontrol requeue: the batch shell and its step go on from the image" requeued
finish
