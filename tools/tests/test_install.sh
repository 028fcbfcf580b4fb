#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What install-slurm puts where, twice, for which release of Slurm, and that uninstall-slurm
# takes all of it away.
# shellcheck source=tools/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# Not as part of the make that runs this.
slurm() {	# VERB [VARIABLE=VALUE…]
	env -u MAKEFLAGS -u MAKELEVEL make -s "$1-slurm" DESTDIR="$work" PREFIX=/opt/ckpt SLURM_PLUGINDIR=/usr/lib/slurm "${@:2}"
}
files() { (cd "$work" && find . ! -type d | LC_ALL=C sort | xargs); }
is_executable() { [ -x "$work/$1" ] && ! grep -q '@PREFIX@' "$work/$1" && grep -q /opt/ckpt/bin/ckctl "$work/$1"; }

if ! compgen -G 'build/slurm/*/ckpt.so' >/dev/null; then
	echo "ok 1 - install-slurm # SKIP no headers of Slurm here"
	echo 1..1
	exit
fi
expected="./etc/slurm/epilog.d/50-ckpt ./etc/slurm/plugstack.conf.d/ckpt.conf ./etc/slurm/prolog.d/50-ckpt"
expected+=" ./opt/ckpt/libexec/ckpt/scontrol ./usr/lib/slurm/ckpt.so"
check "install-slurm" slurm install
check "puts everything where Debian's Slurm looks for it" test "$(files)" = "$expected"
check "again" slurm install
check "there is nothing else then" test "$(files)" = "$expected"
for file in etc/slurm/prolog.d/50-ckpt etc/slurm/epilog.d/50-ckpt opt/ckpt/libexec/ckpt/scontrol; do
	check "$file is ready to use" is_executable $file
done
check "the plugin is told where ckctl is" grep -qx 'optional ckpt.so prefix=/opt/ckpt' "$work/etc/slurm/plugstack.conf.d/ckpt.conf"
touch "$work/etc/slurm/prolog.d/another"
check "uninstall-slurm" slurm uninstall
check "leaves what is not ours" test "$(files)" = ./etc/slurm/prolog.d/another
check "again, with nothing there" slurm uninstall
rm -r "${work:?}/etc"

# ---- of which release ----

# On a machine with Slurm, which is that of sinfo here.
mkdir "$work/bin"
here() {	# RELEASE
	printf '#!/bin/sh\necho "slurm-wlm %s.7"\n' "$1" >"$work/bin/sinfo"
	chmod +x "$work/bin/sinfo"
	PATH=$work/bin:$PATH slurm install DESTDIR= PREFIX="$work/opt" SLURM_CONFDIR="$work/etc" SLURM_PLUGINDIR="$work/lib"
}
is_of() { cmp "build/slurm/$1/ckpt.so" "$work/lib/ckpt.so"; }
here_is() { here "$1" && is_of "$1"; }
for so in build/slurm/*/ckpt.so; do
	release=${so%/*}
	check "install-slurm, of the release that is here: ${release##*/}" here_is "${release##*/}"
done
refused() {
	rm "$work/lib/ckpt.so"
	! here 19.05 >"$work/said" 2>&1 && grep -q "^The plugin for Slurm 19.05 was not built, only for [0-9. ]*: say" "$work/said" &&
		[ ! -e "$work/lib/ckpt.so" ]
}
check "that was not built: refused" refused

# For elsewhere, what is here is of no account.
first_is() {	# INCLUDE-DIRECTORY…
	PATH=$work/bin:$PATH slurm install SLURM_PLUGINDIR=/all SLURM_INCLUDE="$*" && slurm install SLURM_PLUGINDIR=/one SLURM_INCLUDE="$1" &&
		cmp "$work/all/ckpt.so" "$work/one/ckpt.so"
}
headers=() reversed=()
for dir in /usr/include "${CKPT_CACHE:-$HOME/.cache/ckpt}"/rootfs/slurm-*/usr/include; do
	[ ! -e "$dir/slurm/spank.h" ] || headers+=("$dir") reversed=("$dir" "${reversed[@]}")
done
check "for elsewhere: of the first headers" first_is "${headers[@]}"
check "of these in another order" first_is "${reversed[@]}"
finish
