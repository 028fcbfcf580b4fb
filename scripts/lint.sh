#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Static checks of the whole tree, one "ok" or "not ok" line each; fails if any does.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$REPO"
cache_init
"$REPO/scripts/deps.sh" --quick

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0 bad=0

# verdict NAME FILE: the check fails if FILE has any line; the lines are shown.
verdict() {
	n=$((n + 1))
	if [ -s "$2" ]; then
		bad=$((bad + 1))
		sed 's/^/# /' "$2" | head -n 200
		echo "not ok $n - $1"
	else
		echo "ok $n - $1"
	fi
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }

# Every file of ours that is text, by kind.
find . \( -name .git -o -path ./build -o -path ./selftests/build \) -prune -o \
	-type f ! -name '*.mod.c' ! -name '*.o' ! -name '*.ko' ! -name '*.cmd' ! -name '*.d' -size -2000k -print |
	sed 's|^\./||' | sort >"$work/all"
grep -E '\.[chS]$' "$work/all" >"$work/c" || true
xargs -d '\n' grep -lIE '^(#!.*(/bash|/sh|busybox sh)( .*)?|# shellcheck shell=.*)$' <"$work/all" >"$work/shell" || true
{ cat "$work/c" "$work/shell"; grep -E '(\.(sh|py|config)|(^|/)(Makefile|Kbuild))$' "$work/all"; } |
	sort -u >"$work/source" || true

xargs -d '\n' -r shellcheck -x -S warning -f gcc <"$work/shell" >"$work/out" || true
verdict shellcheck "$work/out"

while read -r f; do
	case $(head -n 1 "$f") in '#!'*) line=2 ;; *) line=1 ;; esac
	sed -n "${line}p" "$f" | grep -q 'SPDX-License-Identifier: ' || echo "$f:$line: no SPDX-License-Identifier"
done <"$work/source" >"$work/out"
verdict "SPDX line first in every source file" "$work/out"

xargs -d '\n' -r grep -nIE '[[:space:]]+$' <"$work/source" >"$work/out" || true
verdict "no trailing white space" "$work/out"

while read -r f; do
	lines=$(wc -l <"$f")
	[ "$lines" -le 600 ] || echo "$f: $lines lines; split it by subject"
done < <(grep -v '\.config$' "$work/source") >"$work/out"
verdict "no file over 600 lines" "$work/out"

# A function in kernel style: its braces stand alone in column one.
while read -r f; do
	awk -v f="$f" '
		/^{/ { start = NR; name = last }
		/^}/ && start { if (NR - start - 1 > 80) print f ":" start ": " NR - start - 1 " lines: " name; start = 0 }
		!/^[{}]/ { last = $0 }' "$f"
done < <(grep '\.c$' "$work/c") >"$work/long"
: >"$work/out"
sed 's/^/# warning: function over 80 lines: /' "$work/long"
verdict "functions of at most 80 lines ($(wc -l <"$work/long") longer; a warning only)" "$work/out"

{ grep -E '^(kmod/|Kbuild)' "$work/all" | grep -v '^kmod/compat/' |
	xargs -d '\n' -r grep -nE '\b(LINUX_VERSION_CODE|KERNEL_VERSION)\b'; } >"$work/out" || true
verdict "kernel versions are told apart in kmod/compat alone" "$work/out"

{ grep -E '^kmod/' "$work/all" |
	xargs -d '\n' -r grep -nE '\b(kallsyms_[a-z_]+|(un)?register_k(ret)?probes?|struct k(ret)?probe)\b'; } >"$work/out" || true
verdict "no look-up of hidden symbols" "$work/out"

if [ -e Kbuild ]; then
	grep -oE '\bkmod/[^ ]*\.o\b' Kbuild | sed 's/\.o$/.c/' | sort >"$work/listed"
	{
		uniq -d "$work/listed" | sed 's/$/: more than once in Kbuild/'
		{ grep -E '^kmod/.*\.[cS]$' "$work/c" || true; } | sed 's/\.S$/.c/' >"$work/have"
		comm -13 <(sort -u "$work/listed") "$work/have" | sed 's/$/: not in Kbuild/'
		comm -23 <(sort -u "$work/listed") "$work/have" | sed 's/$/: in Kbuild, but there is no such file/'
	} >"$work/out"
	verdict "every file of kmod once in Kbuild" "$work/out"

	# One build gives both: gcc's warnings carry the name of their option.
	if scripts/build-module.sh --fresh W=1 C=2 2>"$work/build"; then
		ours='^(kmod|uapi)/[^:]*:[0-9:]* '
		{ grep -E "$ours" "$work/build" | grep -E '(warning|error):.*\[-W'; } >"$work/out" || true
		verdict "ckpt.ko builds with W=1 and no warning" "$work/out"
		{ grep -E "$ours" "$work/build" | grep -E '(warning|error):' | grep -v '\[-W'; } >"$work/out" || true
		{ grep -E '^(WARNING|ERROR): modpost' "$work/build" | grep -v 'Symbol info of vmlinux'; } >>"$work/out" || true
		verdict "sparse and modpost say nothing" "$work/out"
	else
		verdict "ckpt.ko builds with W=1 and no warning" "$work/build"
	fi
else
	skip "ckpt.ko builds" "there is no Kbuild"
fi

# checkpatch.pl is in no package but the kernel's source (check-debug has it).
checkpatch=$CKPT_CACHE/checkpatch
archive=$(find /usr/src -maxdepth 1 -name 'linux-source-*.tar.xz' 2>/dev/null | sort | tail -n 1)
unpack_checkpatch() {
	mkdir -p "$2"
	tar -xJf "$1" -C "$2" --strip-components=2 --wildcards '*/scripts/checkpatch.pl' \
		'*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch'
}
if [ -n "$archive" ]; then
	once "$checkpatch" unpack_checkpatch "$archive"
	grep -E '^(kmod|uapi)/' "$work/c" | xargs -d '\n' -r perl "$checkpatch/checkpatch.pl" --no-tree --terse \
		--no-summary --show-types --max-line-length=100 --strict \
		--ignore LINUX_VERSION_CODE,CONSTANT_COMPARISON,FILE_PATH_CHANGES -f >"$work/patch" 2>/dev/null || true
	grep 'ERROR:' "$work/patch" >"$work/out" || true
	mkdir -p build
	grep -v 'ERROR:' "$work/patch" >build/checkpatch.txt || true
	verdict "checkpatch finds no error ($(wc -l <build/checkpatch.txt) milder remarks in build/checkpatch.txt)" "$work/out"
else
	skip "checkpatch" "checkpatch.pl comes with linux-source; scripts/deps.sh --debug installs it"
fi

if ls tools/man/*.[1-8] >/dev/null 2>&1; then
	mandoc -T lint -W warning tools/man/*.[1-8] >"$work/out" 2>&1 || true
	verdict "manual pages" "$work/out"
fi

echo "1..$n"
if [ "$bad" != 0 ]; then
	echo "lint: $bad of $n checks failed" >&2
	exit 1
fi
