#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/kernels.sh
. "$REPO/scripts/kernels.sh"

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

# The root file systems: a directory each, shared read-only, keyed by content.
base_packages=(bash coreutils util-linux kmod iproute2 procps xz-utils python3-minimal
	libnl-3-200 libnl-genl-3-200 libjansson4 libxxhash0 libcap2 libcap2-bin)
full_packages=("${base_packages[@]}" criu gdb python3 python3-numpy libopenblas0-pthread
	zstd stress-ng sqlite3 strace perl e2fsprogs gcc libc6-dev file time)

rootfs_dir() {	# base|full: print its path, building it first if need be
	local suite packages dir
	# shellcheck disable=SC1091
	suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
	case $1 in
	base) packages=("${base_packages[@]}") ;;
	full) packages=("${full_packages[@]}") ;;
	*) die "There is no root file system '$1'; take base or full." ;;
	esac
	dir=$CKPT_CACHE/rootfs/$1-$({ echo "$suite ${packages[*]}"; declare -f rootfs_make; } | hash_of)
	once "$dir" rootfs_make "$suite" "${packages[*]}"
	printf '%s\n' "$dir"
}

rootfs_make() {	# SUITE "PACKAGE…" DIR
	local suite=$1 include=${2// /,} dir=$3 opts=() mirrors=() p
	# shellcheck disable=SC2016 # mmdebstrap's shell expands the hook
	local hook='for u in user:1000 other:1001; do chroot "$1" useradd -m -s /bin/bash -u "${u#*:}" "${u%:*}"; done'
	note "Making a root file system of Debian $suite (once, about half a minute)."
	for p in man doc locale info lintian bug; do
		opts+=("--dpkgopt=path-exclude=/usr/share/$p/*")
	done
	# The mirrors that the host's apt uses for its own release.
	# shellcheck disable=SC2016 # apt expands it
	mapfile -t mirrors < <(
		apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(RELEASE)' |
			awk -v s="$suite" '$1 == "Packages" && ($3 == s || $3 ~ "^" s "-(security|updates)$") {
				print "deb", $2, $3, "main" }' | sort -u)
	[ ${#mirrors[@]} -gt 0 ] || die "The host's apt knows no mirror for $suite; look at /etc/apt/sources.list."
	mmdebstrap --quiet --variant=minbase --include="$include" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt=force-unsafe-io "${opts[@]}" \
		--customize-hook="$hook" \
		"$suite" "$dir" "${mirrors[@]}" >&2 ||
		die "mmdebstrap failed; see the messages above."
}

# Print "kvm" or "tcg". /dev/kvm may open and yet hang a real guest (seen under
# Firecracker), so only a guest that boots and powers off is believed.
accelerator() {
	local verdict
	if [ ! -w /dev/kvm ]; then
		echo tcg
		return
	fi
	verdict=$CKPT_CACHE/accel-$({ uname -r -v; qemu-system-x86_64 --version; } | hash_of)
	once "$verdict" accel_probe
	cat "$verdict"
}

accel_probe() {	# FILE; needs a selected kernel
	local out=$1 dir rc=0 init
	dir=$(mktemp -d)
	mkdir -p "$dir/root/bin" "$dir/root/dev"
	cp /bin/busybox "$dir/root/bin/busybox"
	mknod -m 600 "$dir/root/dev/port" c 1 4
	init=$dir/root/init
	# Enough work to meet page faults, forks and timer interrupts.
	cat >"$init" <<'END'
#!/bin/busybox sh
b=/bin/busybox
for i in 1 2 3 4 5; do $b dd if=/bin/busybox of=/f bs=4k 2>/dev/null; $b usleep 20000; done
printf '\005' | $b dd of=/dev/port bs=1 seek=244 2>/dev/null
END
	chmod +x "$init"
	( cd "$dir/root" && find . | cpio --quiet -o -H newc ) >"$dir/initrd"
	timeout -k 1 15 qemu-system-x86_64 -nodefaults -no-user-config -machine q35 -accel kvm -cpu host \
		-smp 2 -m 512 -display none -no-reboot -kernel "$KDIR/image" -initrd "$dir/initrd" \
		-append "console=ttyS0 quiet panic=-1" -serial null \
		-device isa-debug-exit,iobase=0xf4,iosize=0x04 </dev/null >/dev/null 2>&1 || rc=$?
	rm -rf "$dir"
	if [ "$rc" = 11 ]; then echo kvm >"$out"; else echo tcg >"$out"; fi
}

# Build module and tools and lay them out for the guest: $STAGE/modules goes
# over /lib/modules, $STAGE/root over /. Sets STAGE (empty: Debian's modules only).
stage_build() {
	local ko='' key
	STAGE=
	if [ -n "$no_build" ]; then
		ko=$REPO/build/$KVER/ckpt.ko
		[ -e "$ko" ] || ko=
	elif [ -e "$REPO/Kbuild" ]; then
		ko=$("$REPO/scripts/build-module.sh" --kernel "$kernel")
	else
		note "There is no Kbuild yet: running without ckpt.ko."
	fi
	[ -n "$ko" ] || return 0
	key=$(sha256sum "$ko" | cut -c1-12)
	STAGE=$CKPT_CACHE/stage/$KVER-$key
	once "$STAGE" stage_modules "$ko"
	touch "$STAGE"
	# Old stages: those that no running machine can be using any more.
	find "$CKPT_CACHE/stage" -mindepth 1 -maxdepth 1 -mtime +1 -exec rm -rf {} + || true
}

stage_modules() {	# CKPT.KO DIR
	local ko=$1 dir=$2
	mkdir -p "$dir/lib/modules/$KVER"
	if [ -d "$KDIR/lib/modules/$KVER" ]; then
		cp -al "$KDIR/lib/modules/$KVER" "$dir/lib/modules/"
		# depmod writes in place; keep it off the linked originals.
		find "$dir/lib/modules/$KVER" -maxdepth 1 -name 'modules.*' ! -name modules.order \
			! -name 'modules.builtin*' -delete
	fi
	mkdir -p "$dir/lib/modules/$KVER/extra"
	cp "$ko" "$dir/lib/modules/$KVER/extra/ckpt.ko"
	depmod -b "$dir" "$KVER" 2>/dev/null
}

tools_install() {	# DIR: a private install tree of the tools
	local rc=0 bin=$REPO/tools/build/ckctl.bin
	if [ ! -e "$REPO/tools/Makefile" ]; then
		note "There is no tools/Makefile yet: running without ckctl."
	elif [ -n "$no_build" ]; then
		[ ! -x "$bin" ] || install -D "$bin" "$1/usr/local/bin/ckctl"
	else
		mkdir -p "$REPO/build"
		{
			flock 7
			make -s -C "$REPO/tools" -j2 all >&2 7>&- || rc=$?
			[ $rc != 0 ] || make -s -C "$REPO/tools" install DESTDIR="$1" PREFIX=/usr/local >"$run/install" 2>&1 7>&- ||
				install -D "$bin" "$1/usr/local/bin/ckctl" || { rc=$?; cat "$run/install" >&2; }
		} 7>"$REPO/build/.lock.tools"
		[ $rc = 0 ] || die "The tools do not build; see the messages above."
	fi
}

# The test programs: here a failure is only worth a word, the command may not
# need them. (make check builds them first, and stops.)
selftests_build() {
	[ -z "$no_build" ] && [ -e "$REPO/selftests/Makefile" ] || return 0
	{
		flock 7
		make -s -C "$REPO/selftests" -j2 all >"$run/selftests" 2>&1 7>&- ||
			{ tail -n 5 "$run/selftests" >&2; note "Some test programs in selftests do not build: running without them."; }
	} 7>"$REPO/build/.lock.selftests"
}

# Machines share the processors: more of them than there is room for only makes
# all slower and their time limits untrue. Who comes first gets the next slot;
# the lock on it goes with the last process of ours.
take_slot() {
	local n slots turn
	slots=$(($(nproc) + 1))
	exec {turn}>"$CKPT_CACHE/slot-turn"
	flock -n "$turn" || { note "Waiting for other machines to end."; flock "$turn"; }
	for ((n = 0; ; n = (n + 1) % slots)); do
		exec {slot}>"$CKPT_CACHE/slot-$n"
		if flock -n "$slot" || { [ $n = 0 ] && flock -w 1 "$slot"; }; then break; fi
		exec {slot}>&-
	done
	exec {turn}>&-
}

parse_options() {
	kernel=default rootfs=base mem='' cpus=2 share='' disk='' timeout='' log=''
	no_build='' keep_going='' modprobe=1 environment=()
	mode=${1:-}
	case $mode in
	run | shell | probe) shift ;;
	-h | --help | help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	while [ $# -gt 0 ]; do
		case $1 in
		--kernel | --rootfs | --mem | --cpus | --share | --disk | --timeout | --env | --log)
			[ $# -ge 2 ] || die "$1 needs a value; see scripts/vm.sh --help."
			case $1 in
			--env) environment+=("$2") ;;
			*) printf -v "${1#--}" %s "$2" ;;
			esac
			shift
			;;
		--no-build) no_build=1 ;;
		--no-modprobe) modprobe= ;;
		--keep-going) keep_going=1 ;;
		-h | --help) usage; exit 0 ;;
		--) shift; break ;;
		-*) die "There is no option $1; see scripts/vm.sh --help." ;;
		*) break ;;
		esac
		shift
	done
	command=("$@")
	[ "$mode" != run ] || [ $# -gt 0 ] || die "Say which command to run; see scripts/vm.sh --help."
	[ -n "$mem" ] || { mem=1024; [ "$kernel" != debug ] || mem=2048; }
	[ -n "$timeout" ] || { timeout=300; [ "$kernel" != debug ] || timeout=3000; }
	if [ -n "$share" ]; then
		share=$(cd "$share" 2>/dev/null && pwd -P) || die "--share needs an existing directory."
	fi
}

# What the guest's programs need to know, in $run/vm.
guest_config() {
	local merge='' tty='' hung=90 e
	[ ! /proc/self/fd/1 -ef /proc/self/fd/2 ] || merge=1
	[ "$mode" != shell ] || tty=$(stty size 2>/dev/null | awk '{ print "rows", $1, "cols", $2 }') || true
	[ "$kernel" != debug ] || hung=400
	{
		printf '%s=%q\n' VM_SHARE "${share:-/share}" VM_INTERACTIVE "$([ "$mode" != shell ] || echo 1)" \
			VM_DISK "$disk" VM_TTY "$tty" VM_MERGE "$merge" VM_HUNG "$hung" VM_MODPROBE "${STAGE:+$modprobe}"
		for e in "CKPT_KERNEL=$KVER" ${CI:+"CI=$CI"} ${TERM:+"TERM=$TERM"} "${environment[@]}"; do
			printf 'export %q=%q\n' "${e%%=*}" "${e#*=}"
		done
	} >"$run/vm/config"
	printf '%q ' "${command[@]}" >"$run/vm/command"
}

# The machine: sets qemu, its command line.
# shellcheck disable=SC2054 # QEMU's commas
machine() {
	local cmdline modules='' accel=$1 initrd=$2 root=$3
	cmdline="console=ttyS0 quiet loglevel=4 panic=-1 oops=panic net.ifnames=0 mitigations=off"
	# Under TCG the TSC is sound, but the kernel would not trust it on two
	# processors, and ask the slow HPET each time that somebody asks the time.
	cmdline+=" log_buf_len=4M rcupdate.rcu_cpu_stall_timeout=120 random.trust_cpu=on tsc=reliable"
	[ "$mode" != shell ] || cmdline+=" vm.live"
	if [ -n "$STAGE" ]; then
		modules=$STAGE/lib/modules
	elif [ -d "$KDIR/lib/modules" ]; then
		modules=$KDIR/lib/modules
	fi
	[ -z "$modules" ] || cmdline+=" vm.modules"

	qemu=(qemu-system-x86_64 -nodefaults -no-user-config -machine q35 -smp "$cpus" -m "$mem" -display none
		-no-reboot -kernel "$KDIR/image" -initrd "$initrd" -append "$cmdline"
		-device isa-debug-exit,iobase=0xf4,iosize=0x04
		-chardev "pipe,id=ser,path=$run/ser" -serial chardev:ser
		-chardev "pipe,id=mon,path=$run/mon" -mon chardev=mon,mode=readline
		-device virtio-rng-pci -device virtio-serial-pci)
	case $accel in
	kvm) qemu+=(-accel kvm -cpu host) ;;
	# Under TCG "rep movsb" goes byte by byte: hide it, the kernel then unrolls.
	*) qemu+=(-accel tcg,thread=multi -cpu max,-erms,-fsrm) ;;
	esac
	dir_share rootfs "$root" ro
	dir_share src "$REPO" ro
	dir_share vm "$run/vm"
	dir_share share "${share:-$run/share}"
	[ -z "$modules" ] || dir_share modules "$modules" ro
	if [ -n "$disk" ]; then
		truncate -s "$disk" "$run/disk"
		# All inode tables now: no background zeroing may disturb a measurement.
		mke2fs -q -t ext4 -i 65536 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$run/disk"
		qemu+=(-drive "file=$run/disk,format=raw,if=none,id=disk,cache=unsafe,aio=threads,discard=unmap"
			-device virtio-blk-pci,drive=disk)
	fi
	if [ "$mode" = shell ]; then
		qemu+=(-chardev stdio,id=tty,signal=off -device virtconsole,chardev=tty)
	else
		qemu+=(-chardev "file,id=out,path=$run/out,append=on" -device virtserialport,chardev=out,name=out
			-chardev "file,id=err,path=$run/err,append=on" -device virtserialport,chardev=err,name=err)
	fi
}

dir_share() {	# TAG DIR [ro]
	qemu+=(-virtfs "local,path=$2,mount_tag=$1,id=$1,security_model=none,multidevs=remap${3:+,readonly=on}")
}

# Copy on even when our own reader has left, lest the machine blocks.
drain() { cat "$1" 2>/dev/null || cat "$1" >/dev/null; }

# Before a hung guest is ended, have its kernel say what blocks it: SysRq over
# the serial line (a break, then a letter), for w(aiting) tasks and all CPUs.
watchdog() {	# PID-OF-QEMU
	local c nap
	# Not its slot: should we be killed, it sleeps on.
	exec {slot}>&-
	sleep "$timeout" & nap=$!
	trap 'kill "$nap" 2>/dev/null; exit' TERM
	wait "$nap"
	echo "$timeout" >"$run/timeout"
	for c in w l; do
		echo "chardev-send-break ser" >&6
		sleep 0.5
		printf %s $c >&5
		sleep 2
	done
	kill "$1"
}

# Run the machine to its end; sets rc.
boot() {
	local readers qpid wpid
	rc=0
	mkfifo "$run"/{ser.in,ser.out,mon.in,mon.out,out,err}
	# The readers end when nobody has the other side open any more.
	cat "$run/ser.out" >"$run/console" & readers=($!)
	cat "$run/mon.out" >/dev/null & readers+=($!)
	drain "$run/out" & readers+=($!)
	drain "$run/err" >&2 & readers+=($!)
	pids+=("${readers[@]}")
	# Hold the other sides too, so that no reader waits for a QEMU that never came up.
	exec 3<>"$run/ser.out" 4<>"$run/mon.out" 5<>"$run/ser.in" 6<>"$run/mon.in" 7<>"$run/out" 8<>"$run/err"
	if [ "$mode" = shell ]; then
		setpriv --pdeathsig KILL "${qemu[@]}" 2>"$run/qemu.err" || rc=$?
		stty sane 2>/dev/null || true
	else
		setpriv --pdeathsig KILL "${qemu[@]}" </dev/null >/dev/null 2>"$run/qemu.err" & qpid=$!
		pids+=("$qpid")
		watchdog "$qpid" & wpid=$!
		pids+=("$wpid")
		wait "$qpid" || rc=$?
		kill "$wpid" 2>/dev/null || true
		wait "$wpid" || true
	fi
	exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&-
	wait "${readers[@]}" || true
	pids=()
}

# Look at how the machine ended and at what its kernel said; ends the script.
judge() {
	local klog=$run/console fail='' splats=$REPO/scripts/vm/kernel-splats
	# One that did not end well left its last words on the console alone.
	[ ! -e "$run/vm/status" ] || klog=$run/vm/dmesg
	if [ -e "$run/timeout" ]; then
		fail="the machine did not finish within $timeout seconds"
	elif [ ! -e "$run/vm/status" ] || [ "$rc" != 11 ]; then
		fail="the machine died (QEMU ended with $rc)"
		[ ! -s "$run/qemu.err" ] || fail+=": $(head -n 5 "$run/qemu.err")"
	elif grep -Eq -f "$splats" "$run/console" "$klog"; then
		fail="the kernel complained: $(grep -Eh -m 1 -f "$splats" "$klog" "$run/console" | head -n 1)"
	elif (( $(cat "$run/vm/tainted") & (32 | 128 | 512 | 16384) )); then
		fail="the kernel is tainted ($(cat "$run/vm/tainted")): it warned at some time"
	fi
	if [ -z "$log" ] && [ -n "$fail" ]; then
		mkdir -p "$CKPT_CACHE/log"
		find "$CKPT_CACHE/log" -name '*.log' -mtime +2 -delete
		log=$CKPT_CACHE/log/$(date +%m%d-%H%M%S)-$$.log
	fi
	[ -z "$log" ] || cp "$klog" "$log"
	if [ -n "$fail" ]; then
		note "vm.sh: $fail"
		note "---- kernel log (all of it: $log) ----"
		grep -En -f "$splats" "$klog" | head -n 5 >&2 || true
		tail -n 80 "$klog" >&2
		note "---- end of kernel log ----"
		[ -n "$keep_going" ] && [ -e "$run/vm/status" ] || exit 125
	fi
	exit "$(cat "$run/vm/status")"
}

cleanup() {
	local p
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	rm -rf "$run"
}

main() {
	local accel initrd root
	parse_options "$@"
	[ "$(id -u)" = 0 ] || die "Run this as root: the root file system needs files of several owners."
	cache_init
	"$REPO/scripts/deps.sh" --quick
	kernel_select "$kernel"
	accel=$(accelerator)
	if [ "$mode" = probe ]; then
		echo "$accel"
		return
	fi
	initrd=$(kernel_initrd)
	root=$(rootfs_dir "$rootfs")

	pids=()
	run=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-vm.XXXXXX")
	trap cleanup EXIT
	trap 'exit 130' INT TERM HUP
	mkdir "$run/vm" "$run/share"
	stage_build
	tools_install "$run/vm/root"
	selftests_build
	guest_config
	machine "$accel" "$initrd" "$root"
	take_slot
	boot
	judge
}

# Bash reads on as it goes: the whole script is known before anything runs, so
# that it can be edited meanwhile.
main "$@"
exit
