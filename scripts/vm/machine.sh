# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # variables of who sources this
#
# Virtual machines: described, booted, watched, judged; sourced by vm.sh, which
# has one, and cluster.sh, which has several.
#
# A machine has a directory, $m:
#   vm/       the guest's /run/vm (see guest-init.sh)    console  what its kernel said
#   pid       QEMU's process id                          rc       how QEMU ended
#   timeout   it did not end in time                     off      it was switched off on purpose
#   mon.in, ser.in, …  fifos: QEMU's monitor and the serial line, the command's output

# shellcheck source=scripts/kernels.sh
. "$REPO/scripts/kernels.sh"
# shellcheck source=scripts/vm/rootfs.sh
. "$REPO/scripts/vm/rootfs.sh"
# shellcheck source=scripts/vm/stage.sh
. "$REPO/scripts/vm/stage.sh"

# The options and their defaults; each script's usage tells what they mean.
kernel=default mem='' cpus=1 share='' disk='' timeout='' log='' environment=()
no_build='' no_modprobe='' keep_going=''
mode='' command=()
interactive=	# the machine described next has this terminal
pids=()		# what has to be ended with us
slots=()	# open files with locks on slots

# options_parse "MODE…" "VALUE…" "FLAG…" ARG…: the mode comes first. Of the
# options named, --no-build sets no_build, --mem N sets mem; --env collects. What
# follows becomes the command.
options_parse() {
	local modes=" $1 " values=" $2 " flags=" $3 " o
	shift 3
	mode=${1:-}
	case $mode in
	-h | --help | help) usage; exit 0 ;;
	*) [[ -n $mode && $modes == *" $mode "* ]] || { usage >&2; exit 2; } ;;
	esac
	shift
	while [ $# -gt 0 ]; do
		o=${1#--}
		case $1 in
		-h | --help) usage; exit 0 ;;
		--) shift; break ;;
		-*)
			if [[ $values == *" $o "* ]]; then
				[ $# -ge 2 ] || die "$1 needs a value; see scripts/${0##*/} --help."
				if [ "$o" = env ]; then environment+=("$2"); else printf -v "$o" %s "$2"; fi
				shift
			elif [[ $flags == *" $o "* ]]; then
				printf -v "${o//-/_}" 1
			else
				die "There is no option $1; see scripts/${0##*/} --help."
			fi
			;;
		*) break ;;
		esac
		shift
	done
	command=("$@")
	[ "$mode" != run ] || [ $# -gt 0 ] || die "Say which command to run; see scripts/${0##*/} --help."
	if [ -n "$share" ]; then
		share=$(cd "$share" 2>/dev/null && pwd -P) || die "--share needs an existing directory."
	fi
	[ -n "$mem" ] || { mem=1024; [ "$kernel" != debug ] || mem=2048; }
	[ -n "$timeout" ] || { timeout=300; [ "$kernel" != debug ] || timeout=3000; }
	# People take their time.
	[ "$mode" != shell ] || timeout=
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

# Machines share the processors: more of them than there is room for only makes
# all slower and their time limits untrue. Who comes first gets the next slots;
# the locks on them go with the last process of ours.
take_slots() {	# COUNT
	local n=0 total want turn fd
	total=$(($(nproc) + 1))
	want=$(($1 < total ? $1 : total))
	exec {turn}>"$CKPT_CACHE/slot-turn"
	flock -n "$turn" || { note "Waiting for other machines to end."; flock "$turn"; }
	while [ ${#slots[@]} -lt $want ]; do
		exec {fd}>"$CKPT_CACHE/slot-$n"
		if flock -n "$fd" || { [ $n = 0 ] && flock -w 1 "$fd"; }; then slots+=("$fd"); else exec {fd}>&-; fi
		n=$(((n + 1) % total))
	done
	exec {turn}>&-
}

# Lay out what the guest in $m finds in its /run/vm.
guest_prepare() {	# COMMAND-LINE [VARIABLE VALUE]…
	local merge='' tty='' hung=90 e
	mkdir -p "$m/vm"
	[ ! -d "$run/root" ] || cp -al "$run/root" "$m/vm/root"
	printf '%s\n' "$1" >"$m/vm/command"
	shift
	[ ! /proc/self/fd/1 -ef /proc/self/fd/2 ] || merge=1
	[ -z "$interactive" ] || tty=$(stty size 2>/dev/null | awk '{ print "rows", $1, "cols", $2 }') || true
	[ "$kernel" != debug ] || hung=400
	{
		printf '%s=%q\n' VM_SHARE "${share:-/share}" VM_INTERACTIVE "$interactive" VM_DISK "$disk" VM_TTY "$tty" \
			VM_MERGE "$merge" VM_HUNG "$hung" VM_MODPROBE "$([ -z "$STAGE" ] || [ -n "$no_modprobe" ] || echo 1)" "$@"
		for e in "CKPT_KERNEL=$KVER" ${CI:+"CI=$CI"} ${TERM:+"TERM=$TERM"} "${environment[@]}"; do
			printf 'export %q=%q\n' "${e%%=*}" "${e#*=}"
		done
	} >"$m/vm/config"
}

# The machine in $m: sets qemu, its command line.
# shellcheck disable=SC2054 # QEMU's commas
machine_describe() {
	local cmdline modules=''
	cmdline="console=ttyS0 quiet loglevel=4 panic=-1 oops=panic net.ifnames=0 mitigations=off"
	# A busy host may be late with the interrupts that the kernel tries its timer with.
	cmdline+=" no_timer_check"
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
		-chardev "pipe,id=ser,path=$m/ser" -serial chardev:ser
		-chardev "pipe,id=mon,path=$m/mon" -mon chardev=mon,mode=readline
		-device virtio-rng-pci -device virtio-serial-pci)
	case $accel in
	kvm) qemu+=(-accel kvm -cpu host) ;;
	# Under TCG "rep movsb" goes byte by byte: hide it, the kernel then unrolls.
	*) qemu+=(-accel tcg,thread=multi -cpu max,-erms,-fsrm) ;;
	esac
	dir_share rootfs "$root" ro
	dir_share src "$REPO" ro
	dir_share vm "$m/vm"
	dir_share share "${share:-$run/share}"
	[ -z "$modules" ] || dir_share modules "$modules" ro
	if [ -n "$disk" ]; then
		truncate -s "$disk" "$m/disk"
		# All inode tables now: no background zeroing may disturb a measurement.
		mke2fs -q -t ext4 -i 65536 -E lazy_itable_init=0,lazy_journal_init=0,nodiscard "$m/disk"
		qemu+=(-drive "file=$m/disk,format=raw,if=none,id=disk,cache=unsafe,aio=threads,discard=unmap"
			-device virtio-blk-pci,drive=disk)
	fi
	if [ -n "$interactive" ]; then
		qemu+=(-chardev stdio,id=tty,signal=off -device virtconsole,chardev=tty)
	else
		qemu+=(-chardev "file,id=out,path=$m/out,append=on" -device virtserialport,chardev=out,name=out
			-chardev "file,id=err,path=$m/err,append=on" -device virtserialport,chardev=err,name=err)
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
	local c nap fd
	# Not its slots: should we be killed, it sleeps on.
	for fd in "${slots[@]}"; do exec {fd}>&-; done
	sleep "$timeout" & nap=$!
	trap 'kill "$nap" 2>/dev/null; exit' TERM
	wait "$nap"
	echo "$timeout" >"$m/timeout"
	for c in w l; do
		echo "chardev-send-break ser" >&6
		sleep 0.5
		printf %s $c >&5
		sleep 2
	done
	kill "$1"
}

# Called when QEMU's monitor greets: everything outside the machine is there.
machine_came() { :; }

# Run the machine in $m to its end; leaves QEMU's status in $m/rc.
machine_boot() {
	local readers qpid wpid='' tty=0 rc=0
	mkfifo "$m"/{ser.in,ser.out,mon.in,mon.out,out,err}
	# The readers end when nobody has the other side open any more.
	cat "$m/ser.out" >"$m/console" & readers=($!)
	{ IFS= read -r _; machine_came; cat >/dev/null; } <"$m/mon.out" & readers+=($!)
	drain "$m/out" & readers+=($!)
	drain "$m/err" >&2 & readers+=($!)
	pids+=("${readers[@]}")
	# Hold the other sides too, so that no reader waits for a QEMU that never came up.
	exec 3<>"$m/ser.out" 4<>"$m/mon.out" 5<>"$m/ser.in" 6<>"$m/mon.in" 7<>"$m/out" 8<>"$m/err"
	if [ -n "$interactive" ]; then
		exec {tty}<&0
		setpriv --pdeathsig KILL "${qemu[@]}" <&"$tty" 2>"$m/qemu.err" & qpid=$!
	else
		setpriv --pdeathsig KILL "${qemu[@]}" </dev/null >/dev/null 2>"$m/qemu.err" & qpid=$!
	fi
	echo "$qpid" >"$m/pid"
	pids+=("$qpid")
	if [ -n "$timeout" ]; then
		watchdog "$qpid" & wpid=$!
		pids+=("$wpid")
	fi
	# If it was killed, bash would tell.
	{ wait "$qpid" || rc=$?; } 2>/dev/null
	if [ -n "$wpid" ]; then
		kill "$wpid" 2>/dev/null || true
		wait "$wpid" || true
	fi
	[ -z "$interactive" ] || stty sane 2>/dev/null || true
	exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&-
	wait "${readers[@]}" || true
	pids=()
	echo "$rc" >"$m/rc"
}

# Look at how the machine in $m ended and at what its kernel said: sets klog,
# its kernel log, and fail, which is empty if all is well.
machine_verdict() {
	local splats=$REPO/scripts/vm/kernel-splats rc
	rc=$(cat "$m/rc")
	klog=$m/console fail=
	# One that did not end well left its last words on the console alone.
	[ ! -e "$m/vm/status" ] || klog=$m/vm/dmesg
	if [ -e "$m/timeout" ]; then
		fail="the machine did not finish within $timeout seconds"
	elif [ ! -e "$m/off" ] && { [ ! -e "$m/vm/status" ] || [ "$rc" != 11 ]; }; then
		fail="the machine died (QEMU ended with $rc)"
		[ ! -s "$m/qemu.err" ] || fail+=": $(head -n 5 "$m/qemu.err")"
	elif grep -Eq -f "$splats" "$m/console" "$klog"; then
		fail="the kernel complained: $(grep -Eh -m 1 -f "$splats" "$klog" "$m/console" | head -n 1)"
	elif [ -e "$m/vm/tainted" ] && (( $(cat "$m/vm/tainted") & (32 | 128 | 512 | 16384) )); then
		fail="the kernel is tainted ($(cat "$m/vm/tainted")): it warned at some time"
	fi
}

# Where logs go that nobody asked for: print a name there. Old ones are removed.
log_place() {
	mkdir -p "$CKPT_CACHE/log"
	find "$CKPT_CACHE/log" -mindepth 1 -maxdepth 1 -mtime +2 -exec rm -rf {} +
	echo "$CKPT_CACHE/log/$(date +%m%d-%H%M%S)-$$"
}

# Judge the machine in $m: show its kernel's log if anything is wrong, and then fail.
machine_judge() {	# NAME FILE; the log is kept in FILE, if one is named
	local fail klog keep=$2 splats=$REPO/scripts/vm/kernel-splats
	machine_verdict
	[ -n "$keep" ] || [ -z "$fail" ] || keep=$(log_place).log
	[ -z "$keep" ] || cp "$klog" "$keep"
	[ -n "$fail" ] || return 0
	note "${0##*/}: ${1:+$1: }$fail"
	note "---- kernel log (all of it: $keep) ----"
	grep -En -f "$splats" "$klog" | head -n 5 >&2 || true
	tail -n 80 "$klog" >&2
	note "---- end of kernel log ----"
	return 1
}

cleanup() {
	local p
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	rm -rf "$run"
}

# What all machines need of the host: sets accel.
host_prepare() {
	[ "$(id -u)" = 0 ] || die "Run this as root: the root file system needs files of several owners."
	cache_init
	"$REPO/scripts/deps.sh" --quick
	kernel_select "$kernel"
	accel=$(accelerator)
}

# What they share, in run, a directory that goes away at the end: sets initrd and root.
parts_prepare() {	# ROOT-FILE-SYSTEM [SUITE]
	initrd=$(kernel_initrd)
	root=$(rootfs_dir "$@")
	run=$(mktemp -d "${TMPDIR:-/tmp}/ckpt-vm.XXXXXX")
	trap cleanup EXIT
	trap 'exit 130' INT TERM HUP
	mkdir "$run/share"
	stage_build
	tools_install "$run/root"
	selftests_build
}
