#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/vm/machine.sh
. "$REPO/scripts/vm/machine.sh"

usage() {
	cat <<'END'
usage: scripts/vm.sh run [option…] [--] COMMAND [ARG…]
       scripts/vm.sh shell [option…]
       scripts/vm.sh probe

Boots a throw-away virtual machine with ckpt.ko and ckctl installed, runs
COMMAND in it as root and ends with COMMAND's status. "shell" gives a prompt
instead; "probe" tells whether KVM works here. In the machine:

  /src        this repository, read-only
  /share      a directory shared with the host (see --share)
  /mnt/disk   a fresh ext4 file system (with --disk)
  user, other ordinary users with the ids 1000 and 1001

  --kernel K    6.1 (default), debug, or a full release
  --rootfs R    base (default) or full (CRIU, gdb, numpy and so on)
  --mem M       megabytes of memory (1024; 2048 for the debug kernel)
  --cpus N      processors (2)
  --share DIR   share DIR, at the same path (default: an empty one at /share)
  --disk SIZE   attach an empty disk, such as 2G
  --timeout S   seconds until the machine counts as hung (300; shell: none)
  --env N=V     set a variable for COMMAND; may be repeated
  --log FILE    keep the kernel log in FILE
  --no-build    do not build; run without ckpt.ko and ckctl if there are none
  --no-modprobe install ckpt.ko but leave loading it to COMMAND
  --keep-going  a warning in the kernel log is shown but is no failure

Exit status: COMMAND's, or 125 if the machine hung, panicked or its kernel
warned (the kernel log is then shown), or 2 if it could not be set up.
Everything heavy is cached in $CKPT_CACHE (default: ~/.cache/ckpt).
END
}

main() {
	local rootfs=base
	cpus=2
	options_parse "run shell probe" "kernel rootfs mem cpus share disk timeout env log" \
		"no-build no-modprobe keep-going" "$@"
	host_prepare
	if [ "$mode" = probe ]; then
		echo "$accel"
		return
	fi
	parts_prepare "$rootfs"
	m=$run
	if [ "$mode" = shell ]; then
		interactive=1
		guest_prepare "exec bash -l"
	else
		guest_prepare "$(printf '%q ' "${command[@]}")"
	fi
	machine_describe
	take_slots 1
	machine_boot
	if ! machine_judge '' "$log"; then
		[ -n "$keep_going" ] && [ -e "$m/vm/status" ] || exit 125
	fi
	exit "$(cat "$m/vm/status")"
}

# Bash reads on as it goes: the whole script is known before anything runs, so
# that it can be edited meanwhile.
main "$@"
exit
