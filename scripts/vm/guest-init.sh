#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Process 1 of a test VM, after initrd-init: run the command that vm.sh left in
# /run/vm, report its status, power off.
#
# /run/vm (shared with the host):
#   config    shell variables from machine.sh command  what to run
#   root/     files to lay over the root tree (the installed tools)
#   status    the command's exit status       dmesg    the kernel log
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 TERM=${TERM:-linux} SHELL=/bin/bash
umask 022

# shellcheck source=/dev/null
. /run/vm/config

ulimit -c 0
ulimit -Sn 1024
ulimit -Hn 1048576
[ ! -e /proc/sys/kernel/hung_task_timeout_secs ] || echo "$VM_HUNG" >/proc/sys/kernel/hung_task_timeout_secs
# From here on every kernel message is on the console, and so in the host's
# file: the last words before a hang count most.
echo 8 >/proc/sys/kernel/printk

if [ -d /run/vm/root ]; then
	cp -r /run/vm/root/. /
	# The shared directory cannot carry file capabilities.
	[ ! -e /usr/local/bin/ckctl ] || setcap cap_checkpoint_restore+ep /usr/local/bin/ckctl ||
		setcap cap_sys_admin+ep /usr/local/bin/ckctl
fi
mkdir -p "$VM_SHARE"
mount_share() { mount -t 9p -o "trans=virtio,version=9p2000.L,msize=524288,$1" share "$VM_SHARE"; }
# In a cluster others write there as well: nothing may be cached, which older
# kernels, to whom this is unknown, do not do anyway. (With "mmap,directio" newer
# ones do not open a file for appending, but write where they think that it ends.)
{ [ -n "$VM_NODE" ] && mount_share cache=readahead,directio 2>/dev/null; } || mount_share cache=mmap
if [ -n "$VM_DISK" ]; then
	modprobe -qa virtio_blk ext4
	mkdir -p /mnt/disk
	mount -t ext4 /dev/vda /mnt/disk
	chmod 1777 /mnt/disk
fi
[ -z "$VM_MODPROBE" ] || modprobe ckpt
cd "$VM_SHARE" || cd /

# The ports carry the command's output. A port can be opened only once, so
# "cat" has it and the command gets a pipe, where /dev/stdout works as usual.
cats=()
if [ -n "$VM_INTERACTIVE" ]; then
	# shellcheck disable=SC2086 # rows and columns are two words
	stty -F /dev/hvc0 sane $VM_TTY
	setsid -c -w bash /run/vm/command <>/dev/hvc0 >&0 2>&1
	status=$?
else
	exec {out}> >(exec cat >/dev/vm-out)
	cats+=($!)
	if [ -n "$VM_MERGE" ]; then
		err=$out
	else
		exec {err}> >(exec cat >/dev/vm-err)
		cats+=($!)
	fi
	(
		exec >&"$out" 2>&"$err" {out}>&-
		[ "$err" = "$out" ] || exec {err}>&-
		# shellcheck source=/dev/null
		. /run/vm/command
	) </dev/null
	status=$?
	exec {out}>&-
	[ "$err" = "$out" ] || exec {err}>&-
fi

# What the command left behind still holds the output pipe: end it, twice in
# case it was just forking. (Kernel threads do not mind.)
for _ in 1 2; do
	for p in /proc/[0-9]*; do
		p=${p#/proc/}
		[[ " 1 ${cats[*]} " == *" $p "* ]] || kill -9 "$p"
	done 2>/dev/null
done
for p in "${cats[@]}"; do wait "$p"; done

dmesg >/run/vm/dmesg
cat /proc/sys/kernel/tainted >/run/vm/tainted
echo "$status" >/run/vm/status
[ -z "$VM_DISK" ] || umount /mnt/disk 2>/dev/null || sync /mnt/disk
# isa-debug-exit: QEMU ends with 5 * 2 + 1.
printf '\005' | dd of=/dev/port bs=1 seek=244 2>/dev/null
