# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # variables for who sources this
#
# What a test script says, in TAP; sourced by lib.sh and slurm/lib.sh. A test is
# a function that returns non-zero after saying why with "why".

set -u
wait_s=$((30 * ${TIMEOUT_FACTOR:-1}))	# for anything that is sure to happen
nr_results=0 nr_failed=0

skip_all() {	# REASON
	echo "1..0 # SKIP $*"
	exit 4
}
[ -e /run/vm/config ] || skip_all "this runs only in a test VM: scripts/vm.sh run -- /src/selftests/${0##*/}"

# Everything happens in a directory of the test's own.
tap_begin() {	# DIR
	work=$1
	reason=$work/reason
}

why() {	# SENTENCE… or standard input
	{ if [ $# -gt 0 ]; then echo "$*"; else cat; fi; } >>"$reason"
}

# In a test: it cannot be run here. No status says so, as commands have all of them.
skip() {	# SENTENCE…
	why "$*"
	: >"$work/skipped"
	return 1
}

# Run a test; its standard output and error are shown only when it fails.
check() {	# NAME FUNCTION [ARG…]
	local name=$1 rc=0
	shift
	: >"$reason"
	rm -f "$work/skipped"
	"$@" >"$work/log" 2>&1 </dev/null || rc=$?
	nr_results=$((nr_results + 1))
	if [ $rc = 0 ]; then
		echo "ok $nr_results - $name"
	elif [ -e "$work/skipped" ]; then
		echo "ok $nr_results - $name # SKIP $(head -n 1 "$reason")"
	else
		nr_failed=$((nr_failed + 1))
		# What explains a result comes before it.
		tail -n 40 "$work/log" | sed 's/^/#   /'
		sed 's/^/# /' "$reason"
		echo "not ok $nr_results - $name"
	fi
	return 0
}

# The end of every test: the plan, and the status.
tap_end() {
	echo "1..$nr_results"
	[ $nr_failed = 0 ]
	exit
}
