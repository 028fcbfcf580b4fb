#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What install-slurm puts where, twice, and that uninstall-slurm takes all of it away.
# shellcheck source=tools/tests/lib.sh
. "$(dirname "$0")/lib.sh"

# Not as part of the make that runs this.
slurm() { env -u MAKEFLAGS -u MAKELEVEL make -s "$1-slurm" DESTDIR="$work" PREFIX=/opt/ckpt SLURM_PLUGINDIR=/usr/lib/slurm; }
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
finish
