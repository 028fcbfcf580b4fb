#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   scripts/readme-table.sh [--check]
#
# Put the table of what is saved, as ckctl itself tells it, into README.md; or
# only tell whether the one there is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

ckctl=tools/build/ckctl.bin
[ -x "$ckctl" ] || { echo "readme-table.sh: $ckctl is not built; run make tools." >&2; exit 2; }
new=$(mktemp)
trap 'rm -f "$new"' EXIT
"$ckctl" status --state-table >"$new.table"
awk -v table="$new.table" '
	/^<!-- state-table -->$/ { print; while ((getline line < table) > 0) print line; skip = 1; next }
	/^<!-- \/state-table -->$/ { skip = 0 }
	!skip' README.md >"$new"
rm -f "$new.table"
if [ "${1:-}" = --check ]; then
	cmp -s "$new" README.md || { echo "README.md: the table of what is saved is out of date; run scripts/readme-table.sh." >&2; exit 1; }
else
	cat "$new" >README.md
fi
