#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Install what building and testing ckpt needs on a Debian host.
#
#   scripts/deps.sh           what make, make check and make demo need
#   scripts/deps.sh --quick   the same, but ask apt nothing if every package is there
#   scripts/deps.sh --debug   also what make check-debug needs (a kernel's source)
#   scripts/deps.sh --packages  also what make packages needs
#
# No version is pinned. The kernel that the VMs run is the one whose headers
# are installed here, and those follow Debian's linux-headers-amd64; so headers
# and image always come from one candidate, also after Debian's next update.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

packages=(
	# building
	gcc libc6-dev make linux-headers-amd64 pkg-config
	libnl-3-dev libnl-genl-3-dev libjansson-dev libxxhash-dev libcap2-bin
	libslurm-dev
	# static checks (checkpatch.pl is a Perl script)
	sparse shellcheck mandoc perl git
	# virtual machines
	qemu-system-x86 mmdebstrap busybox-static cpio kmod xz-utils zstd
	e2fsprogs python3-minimal libarchive13 procps util-linux
)
# packages.sh
package_packages=(dpkg-dev debhelper dh-dkms)
debug_packages=(linux-source flex bison bc libelf-dev libssl-dev)

quick=
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=1 ;;
	--debug) packages+=("${debug_packages[@]}") ;;
	--packages) packages+=("${package_packages[@]}") ;;
	*) die "scripts/deps.sh does not know '$1'; it takes --quick, --debug and --packages." ;;
	esac
	shift
done

command -v apt-get >/dev/null ||
	die "This is not a Debian system; install by hand: ${packages[*]}."

missing() {
	# shellcheck disable=SC2016 # dpkg-query expands it
	printf '%s\n' "${packages[@]}" | grep -vxF -f <(
		dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
			sed -n 's/^installed //p') || true
}

# The candidate is newer than what is installed.
outdated() {
	apt-cache policy "$1" | awk '
		$1 == "Installed:" { have = $2 }
		$1 == "Candidate:" { want = $2 }
		END { exit !(want != "" && want != "(none)" && have != want) }'
}

mapfile -t todo < <(missing)
if [ ${#todo[@]} -eq 0 ] && [ -n "$quick" ]; then
	exit 0
fi

cache_init
exec 9>"$CKPT_CACHE/lock.deps"
flock 9
mapfile -t todo < <(missing)	# another run may have done the work meanwhile

stamp=$CKPT_CACHE/apt-updated
if [ ${#todo[@]} -gt 0 ] || [ -z "$(find "$stamp" -mmin -720 2>/dev/null)" ]; then
	if [ "$(id -u)" != 0 ]; then
		[ ${#todo[@]} -eq 0 ] && exit 0
		die "Run as root: apt-get install ${todo[*]}."
	fi
	if apt-get -qq -o DPkg::Lock::Timeout=600 update >&2; then
		touch "$stamp"
	elif [ ${#todo[@]} -gt 0 ]; then
		die "apt-get update failed; check the network and /etc/apt, then run scripts/deps.sh again."
	else
		note "apt-get update failed; going on with what is installed."
		exit 0
	fi
fi
outdated linux-headers-amd64 && todo+=(linux-headers-amd64)
[ ${#todo[@]} -eq 0 ] && exit 0

note "Installing: ${todo[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -y -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
	install --no-install-recommends "${todo[@]}" >"$CKPT_CACHE/apt.log" 2>&1 || {
	tail -n 20 "$CKPT_CACHE/apt.log" >&2
	die "apt-get install failed; the whole log is in $CKPT_CACHE/apt.log."
}
