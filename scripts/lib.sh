# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# Shared by the scripts in this directory; sourced, not run.

shopt -s inherit_errexit
# Started by make or not: the makes that we start are not its children.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CKPT_CACHE=${CKPT_CACHE:-${HOME:-/root}/.cache/ckpt}

note() { printf '%s\n' "$*" >&2; }
die() { note "${0##*/}: $*"; exit 2; }

cache_init() {
	mkdir -p "$CKPT_CACHE" || die "The cache directory $CKPT_CACHE cannot be made; set CKPT_CACHE to a writable one."
}

# once TARGET COMMAND…: unless TARGET exists, run COMMAND with the path of a
# temporary place as its last argument, and rename that to TARGET when it
# succeeded. Concurrent callers wait for the first; an interrupted one leaves
# nothing half done. Call it plainly, never in "if" or before "||": there bash
# ignores "set -e", in COMMAND as well.
once() {
	local target=$1; shift
	if [ -e "$target" ]; then return 0; fi
	mkdir -p "${target%/*}"
	(
		exec 8>"$target.lock"
		flock 8
		if [ -e "$target" ]; then exit 0; fi
		trap 'rm -rf "$target.tmp"' EXIT
		rm -rf "$target.tmp"
		"$@" "$target.tmp" 8>&-
		mv -T "$target.tmp" "$target"
	)
}

hash_of() { sha256sum | cut -c1-12; }
