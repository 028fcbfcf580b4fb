#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   selftests/run-all.sh [-v] [--timeout-factor N] [TEST…]
#
# Run the tests as root inside a test VM ("make check" and "make test T=…" do
# that): those named, by path or by name, else those that the file
# selftests/TESTS lists, one on a line, else every executable selftests/*.sh
# and selftests/build/test_*. The last line says how many passed.
#
# A test prints TAP: a plan "1..N" and an "ok" or "not ok" line for each case.
# It fails as a whole if it prints no plan or not as many cases as planned, if
# its status is not 0 (4: skipped), if it takes longer than its time, or if
# the kernel complains meanwhile. Its time is 60 seconds, or what "timeout=N"
# says, in the file NAME.settings beside it or in a comment at the top of a
# script.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
splats=$here/../scripts/vm/kernel-splats
verbose='' factor=1
while [ $# -gt 0 ]; do
	case $1 in
	-v) verbose=1; shift ;;
	--timeout-factor) factor=$2; shift 2 ;;
	*) break ;;
	esac
done
if [ ! -e /run/vm/config ]; then
	# It kills whatever a test leaves behind, and loads and unloads ckpt.ko.
	echo "run-all.sh: this runs only in a test VM: scripts/vm.sh run -- /src/selftests/run-all.sh" >&2
	exit 2
fi

find_test() {
	local f
	for f in "$1" "$here/$1" "$here/$1.sh" "$here/build/$1"; do
		if [ -f "$f" ] && [ -x "$f" ]; then
			echo "$f"
			return
		fi
	done
	# A test that is not there must fail, not vanish.
	echo "$here/$1"
}

tests=()
if [ $# -eq 0 ] && [ -f "$here/TESTS" ]; then
	mapfile -t names < <(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$here/TESTS")
	set -- "${names[@]}"
fi
if [ $# -gt 0 ]; then
	for t in "$@"; do tests+=("$(find_test "$t")"); done
else
	for t in "$here"/*.sh "$here"/build/test_*; do
		case ${t##*/} in
		run-*.sh | lib*.sh) ;;
		*) if [ -f "$t" ] && [ -x "$t" ]; then tests+=("$t"); fi ;;
		esac
	done
fi

work=$(mktemp -d)
mkfifo "$work/done"
mkfifo "$work/pause"
exec {done}<>"$work/done" {pause}<>"$work/pause"
before=" $(cd /proc && echo [0-9]*) "	# processes that are not the tests'
runner=

test_time() {
	local s
	s=$({ cat "${1%.sh}.settings"; [[ $1 != *.sh ]] || head -n 20 "$1"; } 2>/dev/null |
		sed -n 's/^[# ]*timeout[=:] *\([0-9][0-9]*\).*/\1/p' | head -n 1)
	echo $(( ${s:-60} * factor ))
}

# Put what the kernel has said since the last call into $work/kernel.
kernel_last=
kernel_news() {
	dmesg >"$work/dmesg"
	# The log is a ring: go by the last line seen, not by a number.
	awk -v last="$kernel_last" '
		{ line[NR] = $0; if ($0 == last) from = NR }
		END { for (i = from + 1; i <= NR; i++) print line[i] }' "$work/dmesg" >"$work/kernel"
	kernel_last=$(tail -n 1 "$work/dmesg")
}

# End what a test left behind, thawed so that it can die, and its cgroups.
tidy() {
	local p d again roots=(/sys/fs/cgroup/*/)
	for again in 1 2 3; do
		for d in "${roots[@]}"; do
			[ ! -d "$d" ] || while read -r d; do
				echo 0 >"$d/cgroup.freeze"
			done < <(find "$d" -type d)
		done
		for p in /proc/[0-9]*; do
			p=${p#/proc/}
			[[ "$before $$ $runner " == *" $p "* ]] || kill -9 "$p"
		done
		# Removing a cgroup works once its last process is gone for good.
		roots=(/sys/fs/cgroup/*/)
		[ -d "${roots[0]}" ] || break
		find "${roots[@]}" -depth -type d -exec rmdir {} + && break
		read -r -t 0."$again" -u "$pause"
	done 2>/dev/null
}

# Run one test; sets result (ok, skip, or why it failed).
run_test() {
	local test=$1 limit rc plan cases bad
	cases=0
	if [ ! -x "$test" ]; then
		result="there is no such executable"
		return
	fi
	limit=$(test_time "$test")
	(
		# In a session of its own; its directory is its own as well.
		mkdir -p "$work/dir" && cd "$work/dir" || exit 1
		setsid -w "$test" >"$work/out" 2>&1 </dev/null {done}>&- {pause}>&-
		echo "$?" >&"$done"
	) 2>/dev/null &
	runner=$!
	rc=
	if ! read -r -t "$limit" -u "$done" rc; then
		echo w >/proc/sysrq-trigger	# what does it wait for?
		tidy
		if ! read -r -t $((10 * factor)) -u "$done" rc; then
			result="no end after $limit seconds, and it cannot be killed"
			fatal=1
			return
		fi
		rc=timeout
	fi
	wait
	tidy
	rm -rf "$work/dir"
	kernel_news

	plan=$(sed -n 's/^1\.\.\([0-9][0-9]*\).*/\1/p' "$work/out" | head -n 1)
	cases=$(grep -Ec '^(not )?ok\b' "$work/out")
	bad=$(grep -E '^not ok\b' "$work/out" | grep -Evc '# *(TODO|XFAIL)')
	detail="$cases cases"
	if grep -Eq -f "$splats" "$work/kernel"; then
		result="kernel: $(grep -E -m 1 -f "$splats" "$work/kernel")"
	elif [ "$rc" = timeout ]; then
		result="no end after $limit seconds"
	elif [ "$rc" = 4 ]; then
		result=skip
		detail=$(sed -n 's/.*# *SKIP *//p' "$work/out" | head -n 1)
	elif [ "$bad" != 0 ]; then
		result="$bad of ${plan:-$cases} cases failed"
	elif [ "$rc" != 0 ]; then
		result="exit status $rc"
	elif [ -z "$plan" ]; then
		result="it printed no plan"
	elif [ "$cases" != "$plan" ]; then
		result="$cases cases of $plan planned"
	else
		result=ok
	fi
}

passed=0 failed=0 skipped=0 n=0 fatal=''
report() {	# NAME SECONDS
	n=$((n + 1))
	case $result in
	ok) passed=$((passed + 1)); echo "ok $n - $1 ($detail, $2 s)" ;;
	skip) skipped=$((skipped + 1)); echo "ok $n - $1 # SKIP ${detail:-no reason given}" ;;
	*)
		failed=$((failed + 1))
		sed 's/^/# /' "$work/out" 2>/dev/null
		if [ -s "$work/kernel" ]; then
			echo "# kernel log during the test:"
			tail -n 100 "$work/kernel" | sed 's/^/#   /'
		fi
		echo "not ok $n - $1: $result"
		;;
	esac
	[ -z "$verbose" ] || [[ $result != ok && $result != skip ]] || sed 's/^/# /' "$work/out"
}

# The last test: without any test around, the module can be removed, and
# loaded again; in the debug kernel nothing has leaked.
test_unload() {
	local leaks=/sys/kernel/debug/kmemleak
	: >"$work/out"
	result=ok detail=
	[ -d /sys/module/ckpt ] || { result=skip detail="ckpt.ko is not loaded"; return; }
	if [ -w $leaks ]; then
		# A block must be unreferenced in two scans to count.
		echo scan >$leaks
		echo scan >$leaks
		if grep -q '\[ckpt\]' $leaks; then
			cat $leaks >"$work/out"
			result="memory leaked"
			return
		fi
	fi
	if ! modprobe -r ckpt >"$work/out" 2>&1; then
		result="the module cannot be unloaded"
	elif ! modprobe ckpt >"$work/out" 2>&1; then
		result="the module cannot be loaded again"
	fi
	kernel_news
	! grep -Eq -f "$splats" "$work/kernel" || result="kernel: $(grep -E -m 1 -f "$splats" "$work/kernel")"
	detail="unloaded and loaded again"
}

echo "TAP version 13"
kernel_news
for t in "${tests[@]}"; do
	name=${t##*/} name=${name%.sh}
	: >"$work/out"
	: >"$work/kernel"
	start=$SECONDS
	run_test "$t"
	report "$name" $((SECONDS - start))
	[ -z "$fatal" ] || { echo "Bail out! $name cannot be ended; the tests after it did not run."; break; }
done
if [ $# -eq 0 ] || [ ${#tests[@]} -gt 1 ]; then
	if [ -z "$fatal" ]; then
		start=$SECONDS
		test_unload
		report module-unload $((SECONDS - start))
	fi
fi
echo "1..$n"
rm -rf "$work"
summary="$passed passed, $failed failed"
[ "$skipped" = 0 ] || summary+=", $skipped skipped"
echo "$summary"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
