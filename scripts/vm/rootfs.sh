# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The root file systems of the VMs: a directory each, shared read-only, keyed
# by content; sourced by vm.sh and cluster.sh.

base_packages=(bash coreutils util-linux kmod iproute2 procps xz-utils python3-minimal
	libnl-3-200 libnl-genl-3-200 libjansson4 libxxhash0 libcap2-bin)
full_packages=("${base_packages[@]}" criu gdb python3 python3-numpy libopenblas0-pthread
	zstd stress-ng sqlite3 strace perl e2fsprogs btrfs-progs gcc libc6-dev file time)
# libslurm-dev has the headers that the plugin is built with.
slurm_packages=("${base_packages[@]}" slurm-wlm libslurm-dev munge python3 strace)
# A workflow manager and MPI come with dozens of packages: only where they are tested.
# Slurm loads PMIx by the name that only its -dev package has.
workflow_packages=("${slurm_packages[@]}" snakemake python3-mpi4py libpmix-dev)

rootfs_dir() {	# base|full|slurm|workflow [SUITE]: print its path, building it first if need be
	local suite=${2:-$(host_suite)} packages dir
	case $1 in
	base) packages=("${base_packages[@]}") ;;
	full) packages=("${full_packages[@]}") ;;
	slurm) packages=("${slurm_packages[@]}") ;;
	workflow) packages=("${workflow_packages[@]}") ;;
	*) die "There is no root file system '$1'; take base, full, slurm or workflow." ;;
	esac
	dir=$CKPT_CACHE/rootfs/$1-$({ echo "$suite ${packages[*]}"; declare -f rootfs_make; } | hash_of)
	once "$dir" rootfs_make "$suite" "${packages[*]}"
	printf '%s\n' "$dir"
}

rootfs_make() {	# SUITE "PACKAGE…" DIR
	local suite=$1 include=${2// /,} dir=$3 opts=() sources=() lines p
	# shellcheck disable=SC2016 # mmdebstrap's shell expands the hook
	local hook='for u in user:1000 other:1001; do chroot "$1" useradd -m -s /bin/bash -u "${u#*:}" "${u%:*}"; done'
	note "Making a root file system of Debian $suite (once, about half a minute)."
	for p in man doc locale info lintian bug; do
		opts+=("--dpkgopt=path-exclude=/usr/share/$p/*")
	done
	lines=$(debian_sources "$suite" "$suite-security" "$suite-updates")
	mapfile -t sources <<<"$lines"
	mmdebstrap --quiet --variant=minbase --include="$include" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt=force-unsafe-io "${opts[@]}" \
		--customize-hook="$hook" \
		"$suite" "$dir" "${sources[@]}" >&2 ||
		die "mmdebstrap failed; see the messages above."
}
