#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The front of scontrol: what it has ckctl do, and what it leaves to the real one.
# shellcheck source=tools/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# Both tell how they were called, word by word, and end with a status of their own.
mkdir -p "$work/prefix/bin" "$work/front" "$work/again" "$work/real"
tell() { printf '#!/bin/sh\nprintf "%s"\nprintf " <%%s>" "$@"\nexit %d\n' "$2" "$3" >"$1" && chmod +x "$1"; }
tell "$work/prefix/bin/ckctl" ckctl 7
tell "$work/real/scontrol" real 5
sed "s|@PREFIX@|$work/prefix|" slurm/scontrol >"$work/front/scontrol"
chmod +x "$work/front/scontrol"
# Nor does another copy of it, or a link to it, make it go round in circles.
cp "$work/front/scontrol" "$work/again"
ln -s "$work/front" "$work/link"
path=$work/front:$work/link:$work/again:$work/real:/usr/bin:/bin

# Standard output, and error when that is empty; EXPECTED* is how that begins.
says() {	# STATUS EXPECTED ARGUMENT…
	local expected=$2 status=$1 rc=0 out
	shift 2
	out=$(PATH=$path timeout 10 "$work/front/scontrol" "$@" 2>"$work/err") || rc=$?
	[ -n "$out" ] || out=$(cat "$work/err")
	[ "$rc" = "$status" ] && [[ $out == "$expected" || ($expected == *'*' && $out == "${expected%\*}"*) ]] && return
	echo "# scontrol $*: status $rc, \"$out\" instead of status $status, \"$expected\""
	return 1
}
hands_on() { check "scontrol ${*:2} is $1 of ckctl" says 7 "ckctl <$1>" "${@:2}"; }
leaves() { check "scontrol $* is the real one's" says 5 "real$(printf ' <%s>' "$@")" "$@"; }
refuses() { check "scontrol ${*:2} is refused" says 2 "scontrol: $1*" "${@:2}"; }

for word in checkpoint CheckPoint check ch; do hands_on "create> <5" $word create 5; done
for op in able:a enable:en create:cr disable:d vacate:va requeue:re restart:res error:er; do
	for word in "${op%:*}" "${op#*:}" "$(tr '[:lower:]' '[:upper:]' <<<"${op#*:}")"; do
		hands_on "${op%:*}> <5.0" checkpoint "$word" 5.0
	done
done
hands_on "create> <5_3> <imagedir=/a b> <MaxWait=3" checkpoint create 5_3 "imagedir=/a b" MaxWait=3
hands_on "restart> <5> <StickToNodes> <ImageDir=x" checkpoint restart 5 sticktonodes ImageDir=x
hands_on "restart> <5> <StickToNodes" checkpoint restart 5 STICK=yes
hands_on "-q> <create> <5" -Q checkpoint create 5
hands_on "create> <5" -o -v checkpoint create 5
hands_on "create> <5" --uid 7 checkpoint create 5

leaves show job 5
leaves
leaves c create 5
leaves checkpoints create 5
leaves -M other show job 5
leaves update jobid=5 "Comment=a  b * \$x" ""
leaves show checkpoint create 5
leaves --help

refuses "too few" checkpoint create
refuses "too few" checkpoint
refuses "too many" checkpoint create 5 a b c
for op in e c x created complete; do refuses "" checkpoint $op 5; done
for id in x 5.x 5. .5 5,6 -1 '5;6' '$(x)'; do refuses "Invalid job step name" checkpoint create "$id"; done
refuses "checkpoint is for" -M other checkpoint create 5

path=$work/front:$work/link:$work/again:/usr/bin:/bin
command -v /usr/bin/scontrol >/dev/null ||
	check "without a real one, that is said" says 127 "scontrol: there is no scontrol of Slurm*" show job 5
path=/usr/bin:/bin:$work/real
command -v /usr/bin/scontrol >/dev/null || check "it need not be in PATH itself" says 5 "real <ping>" ping
finish
