#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=600
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
# What cannot be done is refused in one sentence that says what it is about, with
# the exit status of the manual, before anything happens.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

alter=$bin/alter

# Refused, and nothing ran or is left.
not_restarted() {	# STATUS WORD IMAGE [OPTION…]
	local status=$1 word=$2 image=$3
	shift 3
	job_rewind regs
	touch "$(job_dir regs)/ask"
	refused "$status" "$word" ckctl restart "$image" --name=regs "$@" || return
	if [ -e "$(job_dir regs)/answer" ] || [ -d "$(job_cgroup regs)" ]; then
		why "something ran or is left"
		return 1
	fi
	no_session
}

# ---- targets ----

unknown() {
	local command
	for command in create check thaw; do
		refused 9 nosuch ckctl $command nosuch || return
	done
	for command in restart verify show; do
		refused 9 nosuch ckctl $command "$images/nosuch.ckpt" || return
	done
	refused 9 nosuch ckctl create --cgroup=/sys/fs/cgroup/nosuch && refused 9 4194000 ckctl core "$images/regs.ckpt" 4194000
}

usage_errors() {
	refused 2 MaxWait ckctl create regs MaxWait=0 && refused 2 MaxWait ckctl create regs MaxWait=soon &&
		refused 2 "which job" ckctl create && refused 2 ImageDirectory ckctl create regs ImageDirectory=/tmp &&
		refused 2 nosuch ckctl nosuch && refused 2 "a command" ckctl run --name=x
}

empty_cgroup() {
	local rc=0
	mkdir -p "$cgroup_here/empty"
	refused 9 empty ckctl create --cgroup="$cgroup_here/empty" ImageDir="$images" || rc=1
	rmdir "$cgroup_here/empty"
	[ $rc = 0 ] && [ ! -e "$images/empty.ckpt/manifest.json" ]
}

cgroup_v1() {
	local rc=0
	mkdir -p "$work/v1"
	mount -t cgroup -o none,name=selftest none "$work/v1" || { skip "no cgroup v1 here"; return; }
	mkdir -p "$work/v1/job"
	refused 2 "version 2" ckctl create --cgroup="$work/v1/job" ImageDir="$images" || rc=1
	rmdir "$work/v1/job"
	umount "$work/v1"
	return $rc
}

no_cgroup() {
	refused 2 "version 2" ckctl create --cgroup="$work" ImageDir="$images"
}

# Whoever freezes their own cgroup never wakes up.
own_cgroup() {
	local own=$cgroup_here/own rc=0
	mkdir -p "$own/below"
	for place in "$own" "$own/below"; do
		# shellcheck disable=SC2016 # the inner shell expands it
		refused 3 itself bash -c 'echo $$ >"$0/cgroup.procs" && exec ckctl create --cgroup="$1" ImageDir="$2"' \
			"$place" "$own" "$images" || rc=1
	done
	"$waitfor" "$wait_s" cgroup "$own" populated 0 && rmdir "$own/below" "$own" || rc=1
	return $rc
}

root_cgroup() {
	refused 3 "root cgroup" ckctl create --cgroup=/sys/fs/cgroup ImageDir="$images" --name=all
}

# ---- the module ----

other_abi() {
	local command
	for command in "create regs" "status" "restart $images/copy.ckpt"; do
		LD_PRELOAD=$bin/otherabi.so refused 8 version ckctl $command || return
	done
	runs_on regs
}

# ---- directories ----

read_only() {
	local rc=0
	mkdir -p "$work/ro"
	mount -t tmpfs none "$work/ro"
	# With a former image, which stays what it is.
	ckctl create regs ImageDir="$work/ro" -q || rc=1
	mount -o remount,ro "$work/ro" || rc=1
	refused 6 "$work/ro" ckctl create regs ImageDir="$work/ro" && runs_on regs && image_proved "$work/ro/regs.ckpt" || rc=1
	umount "$work/ro"
	return $rc
}

no_directory() {
	refused 9 nosuch ckctl create regs ImageDir="$work/nosuch" && refused 2 directory ckctl create regs ImageDir=/etc/passwd &&
		runs_on regs
}

# ---- images ----

copy_image() {	# SED-SCRIPT for the manifest, whose checksum is right again
	rm -rf "$work/copy.ckpt"
	cp -a "$images/regs.ckpt" "$work/copy.ckpt"
	cp "$work/copy.ckpt/manifest.json" "$work/manifest"
	sed -i "$1" "$work/copy.ckpt/manifest.json" && "$alter" "$work/copy.ckpt" sum || return
	cmp -s "$work/manifest" "$work/copy.ckpt/manifest.json" || return 0
	why "$1 changes nothing in: $(cat "$work/manifest")"
	return 1
}

newer_version() {
	copy_image 's/"version": [0-9]*/"version": 99/' && not_restarted 3 "version 99" "$work/copy.ckpt" &&
		refused 3 "version 99" ckctl verify "$work/copy.ckpt"
}

other_architecture() {
	copy_image 's/"x86_64"/"aarch64"/' && not_restarted 3 aarch64 "$work/copy.ckpt"
}

# One more component than any CPU has; another size of what this one has.
other_cpu() {
	copy_image 's/"xfeatures": "./"xfeatures": "4/' && not_restarted 3 CPU "$work/copy.ckpt" &&
		copy_image 's/"xstate_size": [0-9]*/"xstate_size": 576/' && not_restarted 3 CPU "$work/copy.ckpt"
}

other_kernel() {
	rm -rf "$work/copy.ckpt"
	cp -a "$images/regs.ckpt" "$work/copy.ckpt" && "$alter" "$work/copy.ckpt" without vdso-symbols &&
		not_restarted 3 kernel "$work/copy.ckpt"
}

# The manifest as it is, but not by somebody who knows the checksum.
edited() {
	copy_image 's/"x86_64"/"aarch64"/' && sed -i 's/"aarch64"/"x86_64" /' "$work/copy.ckpt/manifest.json" &&
		not_restarted 7 "copy.ckpt" "$work/copy.ckpt"
}

no_image() {
	rm -rf "$work/copy.ckpt"
	mkdir "$work/copy.ckpt"
	not_restarted 9 copy.ckpt "$work/copy.ckpt" && not_restarted 3 /etc/passwd /etc/passwd
}

# ---- files of the job ----

file_gone() {
	local file
	file=$(job_dir files)/cwd/lines
	job_start files files && job_create files && job_kill files && mv "$file" "$work/moved" || return
	refused 9 "$file" ckctl restart "$images/files.ckpt" || return
	# Not that one, but another of that name.
	cp "$work/moved" "$file"
	refused 3 "$file" ckctl restart "$images/files.ckpt" || return
	[ ! -d "$(job_cgroup files)" ] || { why "its cgroup is left"; return 1; }
	mv "$work/moved" "$file"
	job_restart files && job_end files
}

program_changed() {
	local rc=0
	job_start threads threads && job_create threads && job_kill threads || return
	cp "$bin/threads" "$work/threads.copy"
	mv "$bin/threads" "$work/threads.old"
	refused 9 "$bin/threads" ckctl restart "$images/threads.ckpt" || rc=1
	mv "$work/threads.copy" "$bin/threads"
	refused 3 "$bin/threads" ckctl restart "$images/threads.ckpt" || rc=1
	mv "$work/threads.old" "$bin/threads"
	[ $rc = 0 ] && job_restart threads && job_end threads
}

still_running() {
	job_start regs regs && job_create regs && refused 10 running ckctl restart "$images/regs.ckpt" --name=again &&
		refused 10 running ckctl restart "$images/regs.ckpt" && job_works regs
}

# ---- a job that is never at rest ----

restless() {
	local n made=0 status
	job_start restless restless || return
	for ((n = 0; n < 10; n++)); do
		status=0
		ckctl create restless -q 2>"$work/stderr" || status=$?
		case $status in
		0) made=$((made + 1)) ;;
		1 | 3) [ "$(wc -l <"$work/stderr")" -ge 1 ] || why "no word about why" ;;
		*) why "status $status: $(cat "$work/stderr")" ;;
		esac
		cat "$work/stderr"
		runs_on restless || return
	done
	echo "$made of $n checkpoints made"
	[ $made -ge 5 ] || why "only $made of $n checkpoints succeeded; the last sentence: $(cat "$work/stderr")"
	[ ! -s "$reason" ] && image_proved "$images/restless.ckpt" && job_kill restless && job_restart restless &&
		job_works restless && job_end restless
}

nothing_left() {
	local left
	left=$(ls -d "$cgroup_here"/ckpt-*/ 2>/dev/null)
	[ -z "$left" ] || why "cgroups: $left"
	left=$(find /run/ckpt -type f 2>/dev/null)
	[ -z "$left" ] || why "files of jobs: $left"
	[ "$(awk '$1 == "ckpt" { print $3 }' /proc/modules)" = 0 ] || why "the module is in use"
	left=$(find "$images" -name '*.tmp' -o -name 'manifest.*' ! -name manifest.json)
	[ -z "$left" ] || why "temporary files: $left"
	no_session && [ ! -s "$reason" ]
}

check "a job with an image that is still running" still_running
check "names of jobs, cgroups, images and processes that do not exist" unknown
check "command lines that are wrong" usage_errors
check "a cgroup without processes" empty_cgroup
check "a cgroup of version 1" cgroup_v1
check "a directory that is no cgroup" no_cgroup
check "the cgroup in which ckctl itself is" own_cgroup
check "all processes of the machine" root_cgroup
check "a directory that cannot be written to" read_only
check "a directory that is none" no_directory
cp -a "$images/regs.ckpt" "$images/copy.ckpt" 2>/dev/null
check "a module that speaks another version of the protocol" other_abi
job_kill regs >"$work/log" 2>&1
check "an image of a newer format" newer_version
check "an image of another architecture" other_architecture
check "an image of a CPU that can do more" other_cpu
check "an image of another kernel whose vdso is not understood" other_kernel
check "an image whose manifest was edited" edited
check "something that is no image" no_image
check "a file that is gone, or replaced" file_gone
job_cleanup files
check "a program that is gone, or replaced" program_changed
job_cleanup threads
check "a job that forks, execs and ends threads all the time" restless
job_cleanup restless
check "a socket: for a moment, or one that stays" moments 15 socket 3 "is a socket"
job_cleanup moments
check "nothing is left behind" nothing_left
finish
