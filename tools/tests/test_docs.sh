#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Help, man page and completion name the same commands and options; CKCTL is the program.
# shellcheck source=tools/tests/lib.sh
. "$(dirname "$0")/lib.sh"
ckctl=${CKCTL:-build/ckctl.bin}
# For the completion.
ckctl() { "$ckctl" "$@"; }
squeue() { printf '%s\n' 4711 4712_3; }

in_man() { grep -qE "Fl Fl ${1//-/[-]}( |\$)" man/ckctl.8; }
completes() {	# EXPECTED WORD…: the last word is being completed
	local expected=$1
	shift
	COMP_WORDS=(ckctl "$@") COMP_CWORD=$#
	_ckctl 2>/dev/null
	printf '%s\n' "${COMPREPLY[@]}" | grep -qx -- "$expected"
}

# shellcheck disable=SC1091
. completion/ckctl.bash
commands=$("$ckctl" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
check "there are commands" test "$(echo "$commands" | wc -w)" -ge 11
for command in $commands; do
	check "$command has a man page entry" grep -qE "Cm $command( |\$)" man/ckctl.8
	check "$command is completed" completes "$command" "$command"
	[ "$command" != help ] || continue
	options=$("$ckctl" "$command" --help | sed -nE 's/^ +(-[a-z], )?(--[a-z-]+).*/\2/p')
	check "$command --help succeeds" test -n "$("$ckctl" "$command" --help | grep -F "ckctl $command")"
	for option in $options; do
		check "$command $option is in the man page" in_man "${option#--}"
		check "$command $option is completed" completes "$option=\?" "$command" "$option"
	done
	for keyword in $("$ckctl" "$command" --help | grep -oE '\[[A-Z][a-z]+[A-Z][A-Za-z]+=?' | sort -u); do
		check "$command ${keyword#?} is completed" completes "${keyword#?}" "$command" 4711 "${keyword:1:3}"
	done
	"$ckctl" "$command" --no-such-option >/dev/null 2>&1
	check "$command refuses an unknown option" test $? -eq 2
done
for command in create restart status able disable enable error vacate requeue; do
	check "$command completes jobs of Slurm" completes 4712_3 "$command" 47
	check "$command completes them from nothing" completes 4711 "$command" ""
done
message=$("$ckctl" frobnicate 2>&1)
check "an unknown command is a usage error" test $? -eq 2
check "and is named" grep -q frobnicate <<<"$message"
for status in 0 1 2 3 4 5 6 7 8 9 10; do
	check "exit status $status is documented" grep -qx ".It $status" man/ckctl.8
done
for setting in $("$ckctl" -q config | sed -n '/^file /d; s/  .*//p'); do
	check "the setting $setting has a man page entry" grep -q "Va $setting Li" man/ckpt.conf.5
	check "the setting $setting is in the example" grep -q "^#$setting = " ckpt.conf.example
	check "the setting $setting is completed" completes "$setting" config "$setting"
done
check "the example is right" grep -q "is right" <<<"$("$ckctl" config --check ckpt.conf.example)"
check "the README's table of what is saved is the tool's" ../scripts/readme-table.sh --check
if command -v mandoc >/dev/null; then
	# Which other manuals are installed here says nothing about this one.
	for page in man/*.[1-8]; do
		check "mandoc finds nothing in $page" test -z "$(mandoc -T lint "$page" 2>/dev/null |
			grep -v 'referenced manual not found')"
	done
fi
finish
