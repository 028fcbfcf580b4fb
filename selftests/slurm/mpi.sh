#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317 # check() calls the functions
#
# Steps of MPI, Debian's Open MPI over two nodes: refused by name while they run, and
# between them their job is checkpointed and continues like any other.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"
python3 -c 'import mpi4py' 2>/dev/null ||
	skip_all "mpi4py is not installed; it is in scripts/cluster.sh --rootfs workflow"
# shellcheck source=selftests/slurm/lib-restart.sh
. "$here/slurm/lib-restart.sh"

# All that it needs to load comes over the tests' slow file system.
wait_s=$((wait_s * 2))

# The sum of what the tasks add comes to all of them, round after round. The last rounds
# are those after TAG.end.
cat >mpi.py <<'END'
import os, sys, time
from mpi4py import MPI
world, tag, total = MPI.COMM_WORLD, sys.argv[1], 0
for i in range(1, 101):
    if i == 10:
        open("%s.%d" % (tag, world.rank), "w").close()
    while i > 90 and not os.path.exists(tag + ".end"):
        time.sleep(0.1)
    total = world.allreduce(total + world.rank * i) % 1000003
print(tag, world.rank, "of", world.size, total, flush=True)
END
total=$(python3 -c '
t = 0
for i in range(1, 101):
    t = (4 * t + 6 * i) % 1000003
print(t)')

step_await() {	# TAG: all four tasks of it talk to each other
	local r
	for r in 0 1 2 3; do file_await "$1.$r" || return; done
}

printed() {	# TAG
	same "what the tasks of step $1 print" <(grep -h "^$1 " ./*.out | sort) <(printf "$1 %d of 4 $total\n" 0 1 2 3)
}

mpi() {
	begin mpi -N2 -n4 <<-'END' || return
		#!/bin/bash
		srun --mpi=pmix python3 mpi.py first 2>first.err
		echo "first: $?"
		: >between
		until [ -e finish ]; do sleep 0.2; done
		srun --mpi=pmix python3 mpi.py second 2>second.err
		echo "second: $?"
	END
	step_await first || { why "it says: $(cat first.err)"; return 1; }
	ends_with 3 "is a socket" create && grep -q node1 said && [ ! -e "$images/$job.ckpt" ] || return
	: >first.end
	file_await between && printed first && create && as_user scancel "$job" && job_await "$job" CANCELLED || return
	rm between
	: >second.end
	touch finish
	as_user ckctl restart "$job" && ended_with COMPLETED 0 && printed first && printed second &&
		same "the output of the script" <(grep -h ": " mpi.out) <(printf '%s: 0\n' first second) && [ ! -e between ]
}

run "a step of MPI is refused by name, and runs on; between steps the job continues from its image" mpi
finish
