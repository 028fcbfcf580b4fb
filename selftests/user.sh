#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=600
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
# An ordinary user with a cgroup of their own: everything works for their own
# jobs, nothing for anybody else's. The programs are those that hold what needs
# a right to be restored: ids of threads and processes, descriptors.

foreign=/sys/fs/cgroup/ckpt-foreign
delegated=/sys/fs/cgroup/delegated
self=$(realpath "$0")
if [ "$(id -u)" = 0 ] && [ -e /run/vm/config ]; then
	# root's job, a root's image that can be seen but not read, and a file system
	# of which half is kept for root.
	mkdir -p $delegated
	chown -R user: $delegated
	export foreign_dir
	foreign_dir=$(mktemp -d)
	chmod 755 "$foreign_dir"
	mkdir "$foreign_dir/half"
	modprobe -q loop
	truncate -s 80M "$foreign_dir/disk" && mke2fs -q -t ext4 -m 50 -O ^has_journal "$foreign_dir/disk" &&
		mount -o loop "$foreign_dir/disk" "$foreign_dir/half" && chmod 1777 "$foreign_dir/half"
	cd / || exit
	# Not run-all.sh's fifo as its output: that could not be saved.
	ckctl run --name=foreign --checkpoint-dir="$foreign_dir" -- sleep 1000 >"$foreign_dir/out" 2>&1 &
	for _ in $(seq 500); do
		[ ! -d $foreign ] || [ ! -s $foreign/cgroup.procs ] || break
		read -r -t 0.02 <> <(:)
	done
	ckctl create foreign >"$foreign_dir/log" 2>&1
	rc=0
	(
		echo "$BASHPID" >$delegated/cgroup.procs
		exec setpriv --reuid=user --regid=user --init-groups "$self" "$@"
	) || rc=$?
	echo 1 >$foreign/cgroup.kill
	wait
	umount "$foreign_dir/half"
	rm -rf "$foreign_dir"
	exit $rc
fi

# shellcheck source=selftests/lib.sh
. "$(dirname "$self")/lib.sh"

# chroot(2) is root's.
thorough=(threads relaunch)
programs=()
for p in "${all_programs[@]}"; do
	[[ " ${thorough[*]} chroots " == *" $p "* ]] || programs+=("$p")
done
at_once=4

is_user() {
	[ "$(id -u)" = 1000 ] && ! [ -w /sys/fs/cgroup/cgroup.procs ]
}

foreign_create() {
	refused 4 "another user" ckctl create --cgroup=$foreign ImageDir="$images" &&
		grep -q '^frozen 0' $foreign/cgroup.events && [ ! -e "$images/ckpt-foreign.ckpt/manifest.json" ]
}

foreign_check() {
	refused 4 "another user" ckctl check --cgroup=$foreign
}

foreign_image() {
	[ -d "$foreign_dir/foreign.ckpt" ] || why "there is no image to try: $(cat "$foreign_dir/log")"
	refused 4 foreign.ckpt ckctl restart "$foreign_dir/foreign.ckpt" &&
		refused 4 foreign.ckpt ckctl verify "$foreign_dir/foreign.ckpt"
}

# What others cannot even look at.
private_image() {
	[ "$(stat -c %a "$images/regs.ckpt")" = 700 ] &&
		[ -z "$(find "$images/regs.ckpt" -type f ! -perm 600)" ] &&
		[ -z "$(find "$images/regs.ckpt" -mindepth 1 -type d ! -perm 700)" ] && return
	why "the modes are: $(find "$images/regs.ckpt" -printf '%m %P, ')"
	return 1
}

# In processes of its own, so many that the machine has always something to do.
restart_at_once() {
	local p n=0
	for p in "${programs[@]}"; do
		mkdir "$work/$p.says"
		(
			reason=$work/$p.says/reason
			restarted "$p" >"$work/$p.says/log" 2>&1 </dev/null
			echo $? >"$work/$p.says/status"
		) &
		[ $((++n)) -lt $at_once ] || wait -n
	done
	wait
}

was_restarted() {	# PROGRAM
	cat "$work/$1.says/log"
	[ ! -e "$work/$1.says/reason" ] || why <"$work/$1.says/reason"
	return "$(cat "$work/$1.says/status")"
}

# A restarted process must have no capability that its restorer lent to it.
no_capability() {
	local pid
	job_start regs regs && job_create regs && job_kill regs && job_restart regs || return
	pid=$(head -n 1 "$(job_cgroup regs)/cgroup.procs")
	grep -E '^Cap(Inh|Prm|Eff|Amb)' "/proc/$pid/status"
	if grep -E '^Cap(Inh|Prm|Eff|Amb)' "/proc/$pid/status" | grep -v '0000000000000000$'; then
		why "the restarted process has capabilities"
		return 1
	fi
	# It belongs to its user as before: dumpable.
	if ! [ -r "/proc/$pid/maps" ] || [ "$(stat -c %u "/proc/$pid")" != 1000 ]; then
		why "the restarted process does not belong to its user"
		return 1
	fi
	job_end regs
}

# Their own directory, in which they do not let themselves write; and the image's.
unwritable() {
	local rc=0
	job_start regs regs && job_create regs && chmod 500 "$images" "$images/regs.ckpt" || return
	refused 4 "you may not write in the image directory $images" ckctl create regs ImageDir="$images" &&
		refused 4 "cannot make $images/regs.ckpt" ckctl create regs && runs_on regs || rc=1
	chmod 700 "$images/regs.ckpt"
	image_proved "$images/regs.ckpt" && image_clean "$images/regs.ckpt" || rc=1
	# Without a former one.
	chmod 755 "$images"
	mv "$images/regs.ckpt" "$work/former" && chmod 500 "$images" &&
		refused 4 "cannot make $images/regs.ckpt" ckctl create regs && runs_on regs || rc=1
	chmod 755 "$images"
	mv "$work/former" "$images/regs.ckpt" && [ $rc = 0 ] && job_create regs && job_end regs
}

# The module writes as the user, with whose right to space it is.
no_space_of_roots() {
	local half=$foreign_dir/half
	if ! mountpoint -q "$half"; then
		skip "there is no loop device"
		return
	fi
	BIG_MB=16 job_start big big && ckctl create big ImageDir="$half" && rm -rf "$half/big.ckpt" || return
	! dd if=/dev/zero of="$half/fill" bs=64k status=none || return
	# Enough for all but the pages.
	truncate -s -4M "$half/fill"
	refused 6 "no space left" ckctl create big ImageDir="$half" &&
		[ ! -e "$half/big.ckpt/manifest.json" ] && job_works big && job_end big
}

check "an ordinary user, who owns this cgroup only" is_user
for p in "${thorough[@]}"; do
	check_program "$p"
done
restart_at_once
for p in "${programs[@]}"; do
	check "$p: killed and restarted" was_restarted "$p"
	job_cleanup "$p"
done
check "a restarted process has no capability" no_capability
check "the image can be read by its owner only" private_image
job_cleanup regs
check "a directory that they may not write in" unwritable
job_cleanup regs
check "space that is kept for root is not theirs" no_space_of_roots
job_cleanup big
check "memory that is not theirs to read: for a moment, or for good" moments 10 private 4 "read the memory"
job_cleanup moments
check "somebody else's job cannot be checkpointed" foreign_create
check "nor looked at" foreign_check
check "somebody else's image cannot be restarted" foreign_image
finish
