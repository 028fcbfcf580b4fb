#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
# shellcheck disable=SC2317 # check() calls the functions
#
# A removed file that is too large to be copied while its job stands still: cloned
# where the file system can do that, refused where it cannot.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

[ "$top" = /mnt/disk ] || skip_all "it takes a disk: scripts/vm.sh run --disk 2G"
command -v mkfs.btrfs >/dev/null || skip_all "there is no mkfs.btrfs: scripts/vm.sh run --rootfs full"
modprobe -q loop
modprobe -q btrfs || grep -qw btrfs /proc/filesystems || skip_all "this kernel has no btrfs"

disk=$work/disk elsewhere=$images

# To clone, the image must be there as well.
refused() {
	job_start rewritten rewritten || return
	expect_status 3 ckctl create rewritten ImageDir="$elsewhere" && grep -q -- --stop "$work/stderr" &&
		job_works rewritten
}

cloned() {
	[ -d "$(job_cgroup rewritten)" ] && job_create rewritten && job_works rewritten && job_kill rewritten &&
		job_restart rewritten && job_end rewritten
}

mkdir "$disk" && truncate -s 1900M "$disk.img" && mkfs.btrfs -q "$disk.img" >/dev/null 2>&1 && mount -o loop "$disk.img" "$disk" ||
	skip_all "btrfs cannot be mounted"
# The job's directory and its images; what runs the job stays where it is.
top_work=$work work=$disk images=$disk/images
mkdir "$images"
check "a removed file of 264 MiB is refused when the image is on another file system" refused
check "and cloned while it is written to where it is on the same" cloned
job_cleanup rewritten
work=$top_work
cd / && umount "$disk"
finish
