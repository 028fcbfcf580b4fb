#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   scripts/packages.sh [--try]
#
# Build Debian packages of what is here, for the host's release of Debian and its
# Slurm, into build/packages: ckpt (ckctl, srun_cr, library, manual pages),
# ckpt-dkms (the module, which DKMS builds for each kernel), ckpt-slurm (plugin
# and hooks). With --try, they are then installed into a fresh root file system
# with DKMS, kernel headers and Slurm, looked at, and purged again.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

"$REPO/scripts/deps.sh" --packages
out=$REPO/build/packages
version=$(sed -n 's/^#define CKPT_VERSION "\(.*\)"/\1/p' "$REPO/kmod/version.h")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() {
	local tree=$work/ckpt-$version
	mkdir "$tree"
	( cd "$REPO" && git ls-files -z | tar -c --null -T - ) | tar -x -C "$tree"
	mv "$tree/scripts/packages/debian" "$tree/debian"
	cat >"$tree/debian/changelog" <<-END
		ckpt ($version-1) unstable; urgency=medium

		  * See the log of the repository, $(git -C "$REPO" rev-parse --short HEAD).

		 -- the ckpt team <ckpt@localhost>  $(git -C "$REPO" log -1 --format=%cD)
	END
	note "Building packages of ckpt $version."
	( cd "$tree" && DEB_BUILD_OPTIONS="noautodbgsym parallel=$(nproc)" dpkg-buildpackage -b -us -uc ) >"$work/log" 2>&1 || {
		tail -n 40 "$work/log" >&2
		die "dpkg-buildpackage failed; see its messages above."
	}
	rm -rf "$out"
	mkdir -p "$out"
	mv "$work"/*.deb "$out/"
	printf '%s\n' "$out"/*.deb
}

try() {
	local root=$work/root lines sources suite
	suite=$(host_suite)
	lines=$(debian_sources "$suite" "$suite" "$suite-security" "$suite-updates")
	mapfile -t sources <<<"$lines"
	note "Making a root file system of Debian $suite (two minutes)."
	mmdebstrap --quiet --variant=minbase --include=dkms,linux-headers-amd64,slurm-client,slurmd,libcap2-bin,kmod \
		--aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
		"$suite" "$root" "${sources[@]}" >&2 || die "mmdebstrap failed; see the messages above."
	cp "$out"/*.deb "$root/tmp/"
	cp "$REPO/scripts/packages/look" "$root/tmp/"
	# Mounts of its own, which end with it.
	unshare --mount sh -c 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$1" /tmp/look "$2"' \
		sh "$root" "$version"
}

build
[ "${1:-}" != --try ] || try
