#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   selftests/run-all.sh [-v] [--timeout-factor N] [--queue DIR] [--dir DIR] [TEST…]
#
# Run the tests as root inside a test VM ("make check" and "make test T=…" do
# that): those named, by path or by name, else those that the file
# selftests/TESTS lists, one on a line, else every executable selftests/*.sh
# and selftests/build/test_*. "NAME:WORD,WORD" gives the test arguments, such as the
# cases that it shall run. The last line says how many cases passed.
#
# A test prints TAP: a plan "1..N" and an "ok" or "not ok" line for each case;
# the cases of all tests appear here as they come, numbered through. One more
# case fails if a test prints no plan or not as many cases as planned, if its
# status is not 0 (4: skipped) though no case failed, if it takes longer than
# its time, or if the kernel complains meanwhile. Its time is 60 seconds, or
# what "timeout=N" says in the file NAME.settings beside it or in a comment at
# the top of a script.
#
# With --dir, the tests are those of another directory here: "--dir slurm" runs
# selftests/slurm in a cluster ("make check-slurm").
#
# With --queue, the machines that share DIR share the tests: each test is run by
# the one that comes to it first.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
splats=$here/../scripts/vm/kernel-splats
verbose='' factor=1 queue='' dir=$here
while [ $# -gt 0 ]; do
	case $1 in
	-v) verbose=1; shift ;;
	--timeout-factor) factor=$2; shift 2 ;;
	--queue) queue=$2; shift 2 ;;
	--dir) dir=$here/$2; shift 2 ;;
	*) break ;;
	esac
done
export TIMEOUT_FACTOR=$factor	# tests wait for things as well
if [ ! -e /run/vm/config ]; then
	# It kills whatever a test leaves behind, and loads and unloads ckpt.ko.
	echo "run-all.sh: this runs only in a test VM: scripts/vm.sh run -- /src/selftests/run-all.sh" >&2
	exit 2
fi

find_test() {
	local f name=${1%%:*}
	for f in "$name" "$dir/$name" "$dir/$name.sh" "$dir/build/$name" "$dir/build/test_$name"; do
		if [ -f "$f" ] && [ -x "$f" ]; then
			echo "$f${1#"$name"}"
			return
		fi
	done
	# A test that is not there must fail, not vanish.
	echo "$dir/$1"
}

tests=()
if [ $# -eq 0 ] && [ -f "$dir/TESTS" ]; then
	mapfile -t names < <(sed 's/#.*//; s/[[:space:]]*$//; /^$/d' "$dir/TESTS")
	set -- "${names[@]}"
fi
if [ $# -gt 0 ]; then
	for t in "$@"; do tests+=("$(find_test "$t")"); done
else
	for t in "$dir"/*.sh "$dir"/build/test_*; do
		case ${t##*/} in
		run-*.sh | lib*.sh) ;;
		*) if [ -f "$t" ] && [ -x "$t" ]; then tests+=("$t"); fi ;;
		esac
	done
fi

work=$(mktemp -d)
# A test's output comes through "said"; nothing ever does through "pause".
mkfifo "$work/said" "$work/pause"
exec {said}<>"$work/said" {pause}<>"$work/pause"
before=" $(cd /proc && echo [0-9]*) "	# processes that are not the tests'
runner=

passed=0 failed=0 skipped=0 n=0

# pass, skip and fail each count and print one case.
pass() { n=$((n + 1)) passed=$((passed + 1)); echo "ok $n - $1"; }
skip() { n=$((n + 1)) skipped=$((skipped + 1)); echo "ok $n - $1 # SKIP ${2:-no reason given}"; }
fail() { n=$((n + 1)) failed=$((failed + 1)); echo "not ok $n - $1"; }

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

kernel_complains() { grep -Eq -f "$splats" "$work/kernel"; }
complaint() { grep -E -m 1 -f "$splats" "$work/kernel"; }
show_kernel() {
	[ -s "$work/kernel" ] || return 0
	echo "# kernel log during the test:"
	tail -n 100 "$work/kernel" | sed 's/^/#   /'
}

# Processes that a test left behind.
strangers() {
	local p
	for p in /proc/[0-9]*; do
		p=${p#/proc/}
		[[ "$before $$ $runner " == *" $p "* ]] || echo "$p"
	done
}

# End what a test left behind, thawed so that it can die, and its cgroups.
tidy() {
	local d again roots=(/sys/fs/cgroup/*/)
	for again in 1 2 3; do
		for d in "${roots[@]}"; do
			[ ! -d "$d" ] || while read -r d; do
				echo 0 >"$d/cgroup.freeze"
			done < <(find "$d" -type d)
		done
		# shellcheck disable=SC2046 # one word each
		kill -9 $(strangers)
		# Removing a cgroup works once its last process is gone for good.
		roots=(/sys/fs/cgroup/*/)
		[ -d "${roots[0]}" ] || break
		find "${roots[@]}" -depth -type d -exec rmdir {} + && break
		read -r -t 0."$again" -u "$pause"
	done 2>/dev/null
}

# A directory may have a way of its own to do that.
# shellcheck source=/dev/null
[ ! -f "$dir/tidy.sh" ] || . "$dir/tidy.sh"

# One line that test $name said. Lines between cases explain the next one and
# are shown if that failed. Sets plan, cases, bad.
told=()
heard() {
	local line=$1 what
	case $line in
	'ok '* | 'not ok '*)
		cases=$((cases + 1))
		[[ $line =~ ^(not )?ok\ *[0-9]*\ *-?\ * ]] && what=${line#"${BASH_REMATCH[0]}"}
		case $line in
		*'# SKIP'*) skip "$name: ${what%% \# SKIP*}" "${what##*\# SKIP }" ;;
		'not ok '*'# TODO'* | 'not ok '*'# XFAIL'*) skip "$name: $what" "known to fail" ;;
		'ok '*) pass "$name: $what" ;;
		*)
			bad=$((bad + 1))
			show_told
			fail "$name: $what"
			;;
		esac
		told=()
		;;
	1..*)
		plan=${line#1..} plan=${plan%% *}
		[[ $line != *'# SKIP'* ]] || reason=${line##*\# SKIP }
		;;
	'TAP version'* | '') ;;
	*)
		if [ -n "$verbose" ]; then echo "# $line"; else told+=("$line"); fi
		;;
	esac
}
show_told() { [ ${#told[@]} = 0 ] || printf '%s\n' "${told[@]}" | tail -n 200 | sed 's/^#* */# /'; }

# Run one test and tell its cases; sets fatal if it cannot be ended.
fatal=
run_test() {
	local test=${1%%:*} words limit end rc='' line plan='' cases=0 bad=0 reason='' wrong=''
	IFS=, read -ra words <<<"${1:${#test}+1}"
	name=${test##*/} name=${name%.sh} name=${name#test_}
	told=()
	if [ ! -x "$test" ]; then
		fail "$name: there is no such executable"
		return
	fi
	limit=$(test_time "$test")
	(
		# In a session and a directory of its own.
		mkdir -p "$work/dir" && cd "$work/dir" || exit 1
		setsid -w "$test" "${words[@]}" >&"$said" 2>&1 </dev/null {said}>&- {pause}>&-
		printf '\n@end %s\n' "$?" >&"$said"
	) 2>/dev/null &
	runner=$!
	end=$((SECONDS + limit))
	while [ -z "$rc" ]; do
		if [ $SECONDS -lt $end ] && IFS= read -r -t $((end - SECONDS)) -u "$said" line; then
			case $line in
			'@end '*) rc=${line#@end } ;;
			*) heard "$line" ;;
			esac
		elif [ -n "$wrong" ]; then
			fatal=1
			break
		else
			echo w >/proc/sysrq-trigger	# what does it wait for?
			wrong="no end after $limit seconds"
			tidy
			end=$((SECONDS + 10 * factor))
		fi
	done
	[ -n "$fatal" ] || wait "$runner"
	tidy
	# What others than the test itself were still saying.
	while read -r -t 0.01 -u "$said" line; do told+=("$line"); done
	rm -rf "$work/dir"
	kernel_news

	if [ -n "$fatal" ]; then
		wrong+=", and it cannot be killed"
	elif kernel_complains; then
		wrong="kernel: $(complaint)"
	elif [ -n "$wrong" ]; then
		:
	elif [ "$rc" = 4 ] && [ "$bad" = 0 ]; then
		[ "$cases" -gt 0 ] || skip "$name" "$reason"
	elif [ "$rc" != 0 ] && [ "$bad" = 0 ]; then
		wrong="exit status $rc"
	elif [ -z "$plan" ]; then
		wrong="it printed no plan"
	elif [ "$cases" != "$plan" ]; then
		wrong="$cases cases of $plan planned"
	fi
	if [ -n "$wrong" ]; then
		show_told
		show_kernel
		fail "$name: $wrong"
	fi
}

# The last test: without any test around, the module can be removed, and
# loaded again; in the debug kernel nothing has leaked.
test_unload() {
	local leaks=/sys/kernel/debug/kmemleak wrong=
	if [ ! -d /sys/module/ckpt ]; then
		skip module-unload "ckpt.ko is not loaded"
		return
	fi
	if [ -w $leaks ]; then
		# A block must be unreferenced in two scans to count.
		echo scan >$leaks
		echo scan >$leaks
		if grep -q '\[ckpt\]' $leaks; then
			sed 's/^/# /' $leaks
			fail "module-unload: memory leaked"
			return
		fi
	fi
	if ! modprobe -r ckpt; then
		wrong="the module cannot be unloaded"
	elif ! modprobe ckpt; then
		wrong="the module cannot be loaded again"
	fi
	kernel_news
	! kernel_complains || wrong="kernel: $(complaint)"
	if [ -n "$wrong" ]; then
		show_kernel
		fail "module-unload: $wrong"
	else
		pass "module-unload: unloaded and loaded again"
	fi
}

echo "TAP version 13"
kernel_news
for t in "${tests[@]}"; do
	[ -z "$queue" ] || mkdir "$queue/${t##*/}" 2>/dev/null || continue
	start=$SECONDS
	run_test "$t"
	echo "# $name took $((SECONDS - start)) s"
	[ -z "$fatal" ] || { echo "Bail out! $name cannot be ended; the tests after it did not run."; break; }
done
if [ -z "$fatal" ] && { [ $# -eq 0 ] || [ ${#tests[@]} -gt 1 ]; }; then
	test_unload
fi
echo "1..$n"
rm -rf "$work"
summary="$passed passed, $failed failed"
[ "$skipped" = 0 ] || summary+=", $skipped skipped"
echo "$summary"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
