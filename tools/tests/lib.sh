# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # variables for who sources this
# What the unit tests that are scripts share: a directory of their own, and TAP.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
nr=0 failed=0

check() {	# WHAT COMMAND…
	local what=$1 result=ok
	shift
	nr=$((nr + 1))
	"$@" || { result='not ok' failed=$((failed + 1)); }
	echo "$result $nr - $what"
}

finish() {
	echo "1..$nr"
	[ "$failed" -eq 0 ]
	exit
}
