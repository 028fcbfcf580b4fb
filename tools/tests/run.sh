#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Run TAP programs one after the other; fail when one fails, dies, or says
# nothing.  What an earlier check sees, a later one does not hide.
status=0 passed=0 failed=0
for program in "$@"; do
	output=$("$program" 2>&1)
	rc=$?
	good=$(printf '%s\n' "$output" | grep -c '^ok ')
	bad=$(printf '%s\n' "$output" | grep -c '^not ok ')
	if [ "$rc" -ne 0 ] || [ "$bad" -ne 0 ] || ! printf '%s\n' "$output" | grep -q '^1\.\.'; then
		printf '%s\n' "$output" | grep -v '^ok '
		printf '# %s: FAILED (status %d)\n' "$program" "$rc"
		status=1
		[ "$bad" -ne 0 ] || bad=1
	else
		printf '# %s: %d ok\n' "$program" "$good"
	fi
	passed=$((passed + good)) failed=$((failed + bad))
done
printf '# unit tests: %d passed, %d failed\n' "$passed" "$failed"
exit $status
