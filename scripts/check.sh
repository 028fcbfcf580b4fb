#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   scripts/check.sh [--kernel K] [PART…]
#
# Run the checks: lint (static), unit (the tools' unit tests), vm (the tests
# in a virtual machine) and slurm (some of those in a cluster), or the PARTs named.
# A part that fails does not stop the others; the last line counts all their cases.
set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$REPO" || exit

kernel=default
if [ "${1:-}" = --kernel ]; then
	kernel=$2
	shift 2
fi
[ $# -gt 0 ] || set -- lint unit vm slurm

part_lint() { scripts/lint.sh; }
part_unit() { make -s unit; }

# Two machines, as under emulation one uses little more than one processor; they
# take the tests from one queue. The debug kernel is slow: ten times the time.
part_vm() {
	local factor=1 work status=0
	make -s selftests || return
	if [ "$kernel" = debug ]; then factor=10; fi
	work=$(mktemp -d)
	mkdir "$work/queue"
	one_vm "$work" "$factor" >"$work/second" 2>&1 &
	one_vm "$work" "$factor" | tee "$work/first" | sed -u '/^[0-9]* passed, /d'
	[ "${PIPESTATUS[0]}" = 0 ] || status=1
	wait $! || status=1
	echo "# the second machine:"
	sed '/^[0-9]* passed, /d' "$work/second"
	# A machine that died has no summary: its status tells.
	cat "$work/first" "$work/second" | awk '
		/^[0-9]+ passed, / { passed += $1; failed += $3; skipped += $5 }
		END { printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : "" }'
	rm -rf "$work"
	return $status
}

one_vm() {	# DIR FACTOR
	scripts/vm.sh run --kernel "$kernel" --rootfs full --disk 2G --share "$1/queue" --timeout $((2400 * $2)) -- \
		/src/selftests/run-all.sh --timeout-factor "$2" --queue "$1/queue"
}

# What all the rest under Slurm stands on: a job is checkpointed on two nodes, loses one
# and goes on. The others take an hour: make check-slurm.
part_slurm() {
	make -s selftests || return
	scripts/cluster.sh run --timeout 900 -- /src/selftests/run-all.sh --dir slurm continue:node_off
}

passed=0 failed=0 skipped=0

# Run a part; what it says goes to a file, and its status and time into others.
run_part() {	# PART
	local start=$SECONDS
	echo "# ---- $1"
	"part_$1" 2>&1 | tee "$logs/$1"
	echo "${PIPESTATUS[0]} $((SECONDS - start))" >"$logs/$1.status"
}

# Its own summary where it has one, else its lines.
count_part() {	# PART
	local status took oks bad skips log=$logs/$1
	read -r status took <"$log.status"
	if [[ $(grep -E '[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1) =~ \
		([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
		oks=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]} skips=${BASH_REMATCH[4]:-0}
	else
		skips=$(grep -Ec '^ok .*# SKIP' "$log")
		oks=$(($(grep -Ec '^ok ' "$log") - skips))
		bad=$(grep -Ec '^not ok ' "$log")
	fi
	if [ "$bad" = 0 ] && [ "$status" != 0 ]; then
		echo "not ok - $1: ended with status $status"
		bad=1
	fi
	passed=$((passed + oks)) failed=$((failed + bad)) skipped=$((skipped + skips))
	echo "# $1 took $took s"
}

# One summary is enough: the parts' own are dropped.
without_summary() { sed -uE '/^[0-9]+ passed, [0-9]+ failed/d'; }

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
beside=() alone=()
for part in "$@"; do
	case $part in
	lint | unit) beside+=("$part") ;;
	*) alone+=("$part") ;;
	esac
done
# These take what processor time the virtual machines leave, and tell at the end.
(
	renice -n 19 "$BASHPID" >/dev/null
	for part in "${beside[@]}"; do run_part "$part" >"$logs/$part.said"; done
) &
for part in "${alone[@]}"; do run_part "$part" | without_summary; done
wait
for part in "${beside[@]}"; do without_summary <"$logs/$part.said"; done
for part in "$@"; do count_part "$part"; done
summary="$passed passed, $failed failed"
[ "$skipped" = 0 ] || summary+=", $skipped skipped"
echo "$summary"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
