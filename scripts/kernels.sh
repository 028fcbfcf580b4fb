# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # variables for who sources this
#
# The kernels that the VMs can run; sourced by vm.sh and build-module.sh.
#
# kernel_select ALIAS sets
#   KVER    the kernel's release (uname -r)
#   KDIR    a directory in the cache with
#             image               what QEMU boots
#             lib/modules/$KVER   Debian's modules less hardware drivers
#   KBUILD  the tree that modules for it are built against
#   KROOT   the chroot in which that tree works, or nothing for the host
#   KSUITE  the release of Debian that comes with such a kernel, but none older
#           than the host's, as what is built here would not run there

KERNEL_ALIASES="default 5.10 6.1 6.12 7.3 debug"

kernel_select() {
	KSUITE=$(host_suite)
	case $1 in
	default | 6.1) kernel_select_host ;;
	5.10) kernel_select_suite "$1" bullseye bullseye-security ;;
	6.12) KSUITE=trixie; kernel_select_suite "$1" trixie trixie-security ;;
	7.3) KSUITE=trixie; kernel_select_suite "$1" trixie trixie-security trixie-backports ;;
	debug) kernel_select_debug ;;
	*)
		kernel_select_host
		[ "$1" = "$KVER" ] || die "There is no kernel '$1'; take $KVER or one of: $KERNEL_ALIASES."
		;;
	esac
}

# Sets KVER and KPKG to what the host's linux-headers-amd64 stands for, like
# 6.1.0-56-amd64 and 6.1.192-2. The image is taken from the same source
# version, so that the two always agree.
kernel_host_version() {
	local dep
	# shellcheck disable=SC2016 # dpkg-query expands it
	dep=$(dpkg-query -W -f '${Depends}' linux-headers-amd64 2>/dev/null) ||
		die "Kernel headers are missing; run scripts/deps.sh."
	[[ $dep =~ linux-headers-([^ ,]+)\ \(=\ ([^\)]+)\) ]] ||
		die "linux-headers-amd64 depends on '$dep', which names no version; please report this."
	KVER=${BASH_REMATCH[1]}
	KPKG=${BASH_REMATCH[2]}
}

kernel_select_host() {
	kernel_host_version
	KDIR=$CKPT_CACHE/kernels/${KVER}_$KPKG
	if [ ! -e "$KDIR" ] && ! apt-cache show "linux-image-$KVER=$KPKG" >/dev/null 2>&1; then
		# Debian has moved on since the headers were installed: follow it.
		rm -f "$CKPT_CACHE/apt-updated"
		"$REPO/scripts/deps.sh"
		kernel_host_version
		KDIR=$CKPT_CACHE/kernels/${KVER}_$KPKG
	fi
	once "$KDIR" kernel_fetch "linux-image-$KVER=$KPKG" "$KVER"
	KBUILD=/lib/modules/$KVER/build
	KROOT=
}

# kernel_fetch PACKAGE=VERSION KVER DIR: an image package from the host's apt.
kernel_fetch() {
	local pkg=$1 kver=$2 dir=$3
	note "Fetching $pkg."
	mkdir -p "$dir/deb"
	( cd "$dir/deb" && apt-get -qq -o APT::Sandbox::User=root download "$pkg" >&2 ) ||
		die "apt-get could not download $pkg; check the network, or remove $CKPT_CACHE/apt-updated and try again."
	kernel_unpack "$kver" "$dir"
}

# kernel_unpack KVER DIR: make DIR/image and DIR/lib/modules out of DIR/deb/*.
# What drives hardware that no VM has is left out: depmod is then three times faster.
kernel_unpack() {
	local kver=$1 dir=$2 deb d skip=() boot
	for d in media gpu usb iio comedi infiniband staging hwmon hid input net/ethernet \
		net/wireless net/can net/phy platform power scsi video mmc mtd isdn leds i2c \
		rtc thermal w1 watchdog bluetooth nfc accessibility firewire message mfd spi \
		memstick regulator pinctrl parport pcmcia tty/serial extcon edac; do
		skip+=("--exclude=*/kernel/drivers/$d")
	done
	skip+=('--exclude=*/kernel/sound' '--exclude=*/usr/share')
	for deb in "$dir"/deb/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner -C "$dir" "${skip[@]}"
	done
	if [ -d "$dir/usr/lib/modules" ]; then
		mkdir -p "$dir/lib"
		mv "$dir/usr/lib/modules" "$dir/lib/modules"
	fi
	depmod -b "$dir" "$kver"
	boot=$dir/boot/vmlinuz-$kver
	[ -e "$boot" ] || boot=$dir/lib/modules/$kver/vmlinuz
	extract_vmlinux "$boot" >"$dir/image"
	rm -rf "${dir:?}"/{deb,boot,usr}
}

# Print the ELF kernel inside a bzImage. QEMU boots it directly (PVH); the
# bzImage itself takes five seconds more under TCG, in firmware and unpacking.
# The offsets are those of Documentation/x86/boot.rst.
extract_vmlinux() {
	local bz=$1 setup offset length unpack
	setup=$(od -An -tu1 -j $((0x1f1)) -N1 "$bz")
	offset=$(od -An -tu4 -j $((0x248)) -N4 "$bz")
	length=$(od -An -tu4 -j $((0x24c)) -N4 "$bz")
	offset=$(( (setup + 1) * 512 + offset ))
	case $(od -An -tx1 -j $offset -N4 "$bz" | tr -d ' ') in
	fd377a58) unpack=(xz -dc --single-stream) ;;
	28b52ffd) unpack=(zstd -dcq) ;;
	1f8b*) unpack=(gzip -dcq) ;;
	*) die "$bz is compressed in a way that scripts/kernels.sh does not know." ;;
	esac
	# The size behind the payload makes gzip and zstd complain: no harm.
	dd if="$bz" bs=1M iflag=skip_bytes,count_bytes skip="$offset" count=$((length - 4)) status=none | "${unpack[@]}"
}

# kernel_select_suite ALIAS SUITE POCKET…: the newest kernel of another Debian
# release. Its tools for building modules run only on that release, so they
# come with a chroot of it. Remove the directory to follow later updates.
kernel_select_suite() {
	KDIR=$CKPT_CACHE/kernels/debian-$1
	once "$KDIR" kernel_make_suite "$@"
	KVER=$(cat "$KDIR/release")
	KROOT=$KDIR/root
	KBUILD=/usr/src/linux-headers-$KVER
}

kernel_make_suite() {	# ALIAS SUITE POCKET… DIR
	local alias=$1 suite=$2 dir=${*: -1} pockets=("${@:3:$#-3}") sources=() lines p target=() deb
	note "Making a build environment for kernel $alias: Debian $suite (once, about a minute)."
	lines=$(debian_sources "$suite" "${pockets[@]}")
	mapfile -t sources <<<"$lines"
	for p in "${pockets[@]}"; do
		[[ $p != *-backports ]] || target=(-t "$p")
	done
	mkdir -p "$dir/root"
	mmdebstrap --quiet --variant=minbase --include=make,gcc,libelf1,libssl-dev \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--skip=cleanup/apt --customize-hook="chroot \"\$1\" apt-get -qq -y ${target[*]} -o APT::Sandbox::User=root \
			--download-only install linux-headers-amd64 linux-image-amd64" \
		"$suite" "$dir/root" "${sources[@]}" >&2 || die "mmdebstrap failed; see the messages above."
	mkdir -p "$dir/deb"
	for deb in "$dir"/root/var/cache/apt/archives/linux-*.deb; do
		case ${deb##*/} in
		linux-image-* | linux-modules-* | linux-binary-* | linux-base-[0-9]*) mv "$deb" "$dir/deb/" ;;
		linux-base_*) ;;
		*) dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$dir/root" --exclude=./usr/share/doc ;;
		esac
	done
	rm -rf "$dir"/root/var/{cache,lib}/apt
	p=$(find "$dir/root/usr/src" -maxdepth 1 -name 'linux-headers-*-amd64' | sort -V | tail -n 1)
	[ -n "$p" ] || die "Debian $suite has no headers that fit; please report this."
	p=${p##*/linux-headers-}
	echo "$p" >"$dir/release"
	kernel_unpack "$p" "$dir"
}

# kernel_initrd: print the path of the initramfs for the selected kernel.
kernel_initrd() {
	local out
	out=$KDIR/initrd-$(cat "$REPO/scripts/vm/initrd-init" "$REPO/scripts/kernels.sh" | hash_of)
	once "$out" kernel_make_initrd
	printf '%s\n' "$out"
}

kernel_make_initrd() {
	local out=$1 dir mod file
	dir=$(mktemp -d)
	mkdir -p "$dir"/{bin,proc,dev,mod,root}
	cp /bin/busybox "$dir/bin/busybox"
	cp "$REPO/scripts/vm/initrd-init" "$dir/init"
	chmod +x "$dir/init"
	: >"$dir/mod/order"
	if [ -d "$KDIR/lib/modules" ]; then
		for mod in virtio_pci 9p 9pnet_virtio overlay virtio_console virtio_rng; do
			# Lines are "insmod PATH"; what is built in says "builtin NAME".
			modprobe -d "$KDIR" -S "$KVER" -D "$mod" || die "Kernel $KVER has no module $mod."
		done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$dir/list"
		while read -r file; do
			mod=${file##*/}
			case $mod in
			*.xz) mod=${mod%.xz}; xz -dc "$file" >"$dir/mod/$mod" ;;
			*.zst) mod=${mod%.zst}; zstd -dcq "$file" >"$dir/mod/$mod" ;;
			*) cp "$file" "$dir/mod/$mod" ;;
			esac
			echo "$mod" >>"$dir/mod/order"
		done <"$dir/list"
		rm "$dir/list"
	fi
	( cd "$dir" && find . | cpio --quiet -o -H newc ) >"$out"
	rm -rf "$dir"
}

# The debug kernel: Debian's source with scripts/vm/debug.config, built once.
kernel_select_debug() {
	local archive series
	if ! dpkg-query -W linux-source >/dev/null 2>&1; then "$REPO/scripts/deps.sh" --debug; fi
	# shellcheck disable=SC2016 # dpkg-query expands it
	series=$(dpkg-query -W -f '${Depends}' linux-source | grep -o 'linux-source-[0-9.]*' | head -n 1)
	archive=/usr/src/$series.tar.xz
	[ -e "$archive" ] || die "$archive is missing; run scripts/deps.sh --debug."
	# shellcheck disable=SC2016
	KPKG=$(dpkg-query -W -f '${Version}' "$series")
	KDIR=$CKPT_CACHE/kernels/debug-$KPKG-$(hash_of <"$REPO/scripts/vm/debug.config")
	once "$KDIR" kernel_build_debug "$archive"
	KBUILD=$KDIR/source
	KROOT=
	KVER=$(cat "$KDIR/release")
}

kernel_build_debug() {	# ARCHIVE DIR
	local archive=$1 dir=$2 src=$2/source line
	"$REPO/scripts/deps.sh" --quick --debug
	note "Building the debug kernel (once, ten minutes or more on two cores); log: $dir.log"
	mkdir -p "$src"
	tar -xJf "$archive" -C "$src" --strip-components=1
	(
		cd "$src" || exit
		make -s tinyconfig
		scripts/kconfig/merge_config.sh -m .config "$REPO/scripts/vm/debug.config"
		make -s olddefconfig
	) >"$dir.log" 2>&1
	# A symbol whose dependencies are missing disappears silently: look.
	while read -r line; do
		case $line in
		*=n) ! grep -q "^${line%=n}=" "$src/.config" || die "The debug kernel's configuration has ${line%=n}." ;;
		CONFIG_*) grep -qx "$line" "$src/.config" || die "The debug kernel's configuration lost $line; see scripts/vm/debug.config." ;;
		esac
	done <"$REPO/scripts/vm/debug.config"
	make -s -C "$src" -j2 bzImage modules >>"$dir.log" 2>&1 ||
		{ tail -n 30 "$dir.log" >&2; die "The debug kernel does not build; see $dir.log."; }
	make -s -C "$src" kernelrelease >"$dir/release"
	# The bzImage: booted through PVH this vmlinux dies at once.
	cp "$src/arch/x86/boot/bzImage" "$dir/image"
	find "$src" -name '*.o' -size +1M -delete
	rm -f "$src/vmlinux.o" "$src/vmlinux.a"
}
