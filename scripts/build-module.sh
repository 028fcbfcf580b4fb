#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   scripts/build-module.sh [--kernel K | --release R] [--fresh] [MAKE-ARGUMENT…]
#
# Build ckpt.ko for the VM kernel K (an alias of scripts/kernels.sh, default
# 6.1) or for release R, whose headers are installed on this host; put it into
# build/RELEASE/ and print its path. --fresh compiles everything anew. Further
# arguments go to make, such as W=1 or C=2; then what make says is printed, and
# no path. --pick-release prints the R to build for where nobody chose one.
#
# The build happens in a copy of the sources inside the cache, one per kernel:
# concurrent runs and other kernels never meet each other's objects, and a
# source that is being edited is never compiled half.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/kernels.sh
. "$REPO/scripts/kernels.sh"

# A release's tree: where depmod's world has it, else where Debian unpacks it.
headers() {
	local d
	for d in "/lib/modules/$1/build" "/usr/src/linux-headers-$1"; do
		if [ -e "$d/Makefile" ]; then echo "$d"; return; fi
	done
}

pick_release() {
	local r
	r=$(uname -r)
	if [ -z "$(headers "$r")" ]; then
		# -common and -rt are no flavours to build for.
		r=$(find /usr/src -maxdepth 1 -name 'linux-headers-*-amd64' ! -name '*-rt-*' ! -name '*-cloud-*' 2>/dev/null |
			sort -V | tail -n 1)
		r=${r##*/linux-headers-}
	fi
	echo "$r"
}

kernel=default release='' fresh='' args=()
while [ $# -gt 0 ]; do
	case $1 in
	--pick-release) pick_release; exit 0 ;;
	--kernel) kernel=$2; shift 2 ;;
	--release)
		release=$2
		[ -n "$release" ] || die "No kernel headers are installed; run scripts/deps.sh (make deps)."
		shift 2
		;;
	--fresh) fresh=1; shift ;;
	*) args+=("$1"); shift ;;
	esac
done
cache_init
if [ -n "$release" ]; then
	KVER=$release KBUILD=$(headers "$release") KROOT=
	[ -n "$KBUILD" ] || die "There are no headers for kernel $release here; install linux-headers-$release."
else
	kernel_select "$kernel"
fi
[ -e "$KROOT$KBUILD/Makefile" ] || die "There are no headers for kernel $KVER in $KBUILD; run scripts/deps.sh."
[ -e "$REPO/Kbuild" ] || die "There is no Kbuild in $REPO."

# What differs in compilation (W=1, C=2) has a copy of its own.
id=$(echo "$REPO ${args[*]:-}" | hash_of)
inside=/ckpt-build/$KVER-$id		# as make sees it
if [ -n "$KROOT" ]; then copy=$KROOT$inside; else inside=$CKPT_CACHE$inside; copy=$inside; fi
mkdir -p "$copy"
exec 9>"$copy.lock"
flock 9

# Bring the copy up to date by content, so that make rebuilds what changed.
cd "$REPO"
mapfile -t sources < <(find Kbuild kmod uapi -type f \
	\( -name '*.[chS]' -o -name Kbuild -o -name Makefile \) ! -name '*.mod.c' ! -path '*/.*')
for f in "${sources[@]}"; do
	to=$copy/$f
	cmp -s "$f" "$to" || { mkdir -p "${to%/*}"; cp "$f" "$to"; }
done
cd "$copy"
[ -z "$fresh" ] || find . \( -name '*.o' -o -name '.*.cmd' \) -delete
find . -type f \( -name '*.[chS]' -o -name Kbuild -o -name Makefile \) ! -name '*.mod.c' ! -name '.*' -printf '%P\n' |
	grep -vxF -f <(printf '%s\n' "${sources[@]}") | while read -r f; do rm -f "$f" "${f%.*}.o"; done || true

# Compiler messages name the real sources.
make_in=(make -C "$KBUILD" "M=$inside" "KCFLAGS=-fmacro-prefix-map=$inside/=" -j2 --no-print-directory)
if [ -n "$KROOT" ]; then
	# objtool wants to see /proc. BTF would need pahole, and serves nothing here.
	# shellcheck disable=SC2016 # the inner shell expands it
	make_in=(unshare -m bash -c 'mount -t proc proc "$0/proc"; exec chroot "$0" "$@"' \
		"$KROOT" "${make_in[@]}" CONFIG_DEBUG_INFO_BTF_MODULES=)
fi
rc=0
"${make_in[@]}" "${args[@]}" modules 9>&- >"$copy/build.log" 2>&1 || rc=$?
sed "s|$inside/||g" "$copy/build.log" >"$copy/build.txt"
if [ $rc != 0 ]; then
	cat "$copy/build.txt" >&2
	die "ckpt.ko does not build for kernel $KVER."
fi

out=$REPO/build/$KVER
[ ${#args[@]} -eq 0 ] || { cat "$copy/build.txt" >&2; exit 0; }
grep -E '^(kmod|uapi)/.*(warning|error):' -A 8 "$copy/build.txt" >&2 || true
mkdir -p "$out"
cmp -s "$copy/ckpt.ko" "$out/ckpt.ko" || { cp "$copy/ckpt.ko" "$out/.ckpt.ko.$$"; mv "$out/.ckpt.ko.$$" "$out/ckpt.ko"; }
printf '%s\n' "$out/ckpt.ko"
