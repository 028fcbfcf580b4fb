#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   scripts/check.sh [--kernel K] [PART…]
#
# Run the checks: lint (static), unit (the tools' unit tests) and vm (the tests
# in a virtual machine), or the PARTs named. A part that fails does not stop
# the others; the last line counts all their cases.
set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$REPO" || exit

kernel=default
if [ "${1:-}" = --kernel ]; then
	kernel=$2
	shift 2
fi
[ $# -gt 0 ] || set -- lint unit vm

# The debug kernel is slow: tests get ten times their time.
part_lint() { scripts/lint.sh; }
part_unit() { make -s unit; }
part_vm() {
	local options=(--kernel "$kernel" --rootfs full --disk 2G) factor=1
	make -s selftests || return
	if [ "$kernel" = debug ]; then factor=10; fi
	scripts/vm.sh run "${options[@]}" --timeout $((2400 * factor)) -- \
		/src/selftests/run-all.sh --timeout-factor $factor
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0
for part in "$@"; do
	echo "# ---- $part"
	start=$SECONDS
	# One summary is enough: the parts' own are dropped.
	"part_$part" | tee "$log" | sed -uE '/^[0-9]+ passed, [0-9]+ failed/d'
	status=${PIPESTATUS[0]}
	# Its own summary where it has one, else its lines.
	if [[ $(grep -E '[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1) =~ \
		([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
		oks=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]} skips=${BASH_REMATCH[4]:-0}
	else
		skips=$(grep -Ec '^ok .*# SKIP' "$log")
		oks=$(($(grep -Ec '^ok ' "$log") - skips))
		bad=$(grep -Ec '^not ok ' "$log")
	fi
	if [ "$bad" = 0 ] && [ "$status" != 0 ]; then
		echo "not ok - $part: ended with status $status"
		bad=1
	fi
	passed=$((passed + oks)) failed=$((failed + bad)) skipped=$((skipped + skips))
	echo "# $part took $((SECONDS - start)) s"
done
summary="$passed passed, $failed failed"
[ "$skipped" = 0 ] || summary+=", $skipped skipped"
echo "$summary"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
