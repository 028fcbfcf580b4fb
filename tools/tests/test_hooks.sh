#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The prolog's decision, with a ckctl that is none; what the epilog's command removes.
# shellcheck source=tools/tests/lib.sh
. "$(dirname "$0")/lib.sh"
ckctl=$PWD/${CKCTL:-build/ckctl.bin}
export LC_ALL=C

# ---- the prolog: ckctl status ends with $STATUS, and the site has $REQUIRED ----

mkdir -p "$work/prefix/bin"
cat >"$work/prefix/bin/ckctl" <<'END'
#!/bin/sh
case $* in
'-q status') [ "$STATUS" = 0 ] || { echo "ckctl: no module" >&2; exit "$STATUS"; } ;;
'-q config require_module') echo "$REQUIRED" ;;
*) exit 99 ;;
esac
END
chmod +x "$work/prefix/bin/ckctl"
sed "s|@PREFIX@|$work/prefix|" slurm/prolog >"$work/prolog"
sed "s|@PREFIX@|$work/nonesuch|" slurm/prolog >"$work/bare"
hook() {	# STATUS HOOK [VARIABLE…]
	local expected=$1 hook=$2 rc=0
	shift 2
	env "$@" sh "$work/$hook" 2>"$work/err" || rc=$?
	[ $rc = "$expected" ] || { echo "# status $rc: $(cat "$work/err")"; return 1; }
}
check "a module that answers" hook 0 prolog STATUS=0 REQUIRED=yes
check "none: the node is not drained" hook 0 prolog STATUS=8 REQUIRED=no
check "but that is said" grep -q 'ckpt: ckctl: no module' "$work/err"
check "it is when the site wants it" hook 1 prolog STATUS=8 REQUIRED=yes
check "however that is written" hook 1 prolog STATUS=8 REQUIRED=YES
check "without ckctl it is not" hook 0 bare STATUS=8 REQUIRED=yes

# ---- the epilog ----

hook_epilog() { sed "s|@PREFIX@|$work/$1|" slurm/epilog >"$work/epilog" && hook 0 epilog; }
check "an epilog without ckctl does not fail" hook_epilog nonesuch
check "nor one with a ckctl that does" hook_epilog prefix

epilog() {	# USER JOB
	env -i PATH="$PATH" SLURM_JOB_ID="$2" SLURM_JOB_UID="$(id -u "$1")" SLURM_CLUSTER_NAME=c SLURMD_NODENAME=n \
		SLURM_JOB_WORK_DIR="$work/images" "$ckctl" job-epilog
}
half() {	# IMAGE: a checkpoint that never was complete
	mkdir -p "$1/gen-3/batch/n.ckpt/gen-1"
	touch "$1/gen-3/job.json" "$1/gen-3/batch/n.ckpt/gen-1/pages" "$1/manifest.json.tmp"
	chmod -R go= "$1"
}
if [ "$(id -u)" = 0 ] && id nobody >/dev/null; then
	chmod 755 "$work"
	mkdir -p "$work/images" "$work/victim/gen-3"
	touch "$work/victim/gen-3/precious"
	for i in 7 7.0 8 70 7.x; do half "$work/images/$i.ckpt"; done
	mkdir -m 700 "$work/images/7.1.ckpt"
	ln -s "$work/victim/gen-3" "$work/images/7.1.ckpt/gen-3"
	ln -s "$work/victim" "$work/images/7.2.ckpt"
	chown -hR nobody "$work/images"
	half "$work/images/7.3.ckpt"
	check "the epilog's command" epilog nobody 7
	left=$(cd "$work/images" && echo *)
	check "removes halves of the job's own, and nothing else" test "$left" = "7.2.ckpt 7.3.ckpt 7.x.ckpt 70.ckpt 8.ckpt"
	check "and goes where no link leads" test -e "$work/victim/gen-3/precious"
	check "without a user it removes nothing" test "$(SLURM_JOB_ID=8 SLURM_JOB_WORK_DIR=$work/images "$ckctl" job-epilog 2>&1 >/dev/null | wc -l)" -ge 1
	check "and that is still there" test -e "$work/images/8.ckpt/gen-3"
else
	nr=$((nr + 1))
	echo "ok $nr - the epilog's command # SKIP only root can do that for others"
fi
finish
