#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=600
# shellcheck disable=SC2317 # check() calls the functions
#
# Temporary files that are gone, others or in the way when a job is restarted.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

as_user=(setpriv --reuid=user --regid=user --init-groups)
as_other=(setpriv --reuid=other --regid=other --init-groups)
dir=$work/tempfiles

# All that the program has made, as after a reboot or on another node.
empty_places() { rm -rf "$dir/tmp" /tmp/tempfiles-* /dev/shm/tempfiles-*; }

nothing_left() {
	local left
	left=$(find "$dir" /tmp /dev/shm -name 'tempfiles-*' -o -name tmp -path "$dir/*" -o -name '.ckpt-*')
	[ -z "$left" ] && return
	why "left behind: $left"
	return 1
}

saved() { job_start tempfiles tempfiles && job_works tempfiles && job_create tempfiles && job_kill tempfiles; }

gone() {
	saved && empty_places && job_restart tempfiles && job_works tempfiles &&
		says "were missing and are made again" "$dir.out" || return
	[ "$(stat -c %a "$dir/tmp" "$dir/tmp/sub" "$dir/tmp/log" | tr '\n' ' ')" = "700 700 640 " ] && return
	why "the modes: $(stat -c '%a %n' "$dir/tmp" "$dir/tmp/sub" "$dir/tmp/log")"
	return 1
}

# What the first restart has made, the second one brings back, where the file system
# knows attributes of files; elsewhere it is another file.
gone_again() {
	job_kill tempfiles && rm -f /tmp/tempfiles-* /dev/shm/tempfiles-* && job_restart tempfiles &&
		job_works tempfiles && says "tmp/log is brought back" "$dir.out" && job_create tempfiles &&
		job_works tempfiles && job_kill tempfiles && empty_places && job_restart tempfiles &&
		job_works tempfiles && job_end tempfiles && nothing_left
}

changed() {
	saved && job_restart tempfiles && job_works tempfiles &&
		says "tmp/log is brought back" "$dir.out" && job_kill tempfiles && job_restart tempfiles &&
		job_works tempfiles && job_end tempfiles && nothing_left
}

in_pid_namespace() {
	saved && empty_places && job_restart tempfiles --pid-namespace=always && job_works tempfiles &&
		job_end tempfiles && nothing_left
}

# Interrupted when all is made and no process is there yet: ckctl finds a signal waiting.
interrupted() {	# [OPTION…]
	local status=0
	saved && empty_places || return
	python3 -c 'import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
os.execvp("ckctl", sys.argv[1:])' ckctl restart "$images/tempfiles.ckpt" "$@" 2>"$work/stderr" || status=$?
	cat "$work/stderr"
	[ $status = 1 ] || { why "it ended with status $status"; return 1; }
	says "was interrupted" "$work/stderr" && nothing_left && job_restart tempfiles && job_end tempfiles
}

# ckctl killed at random moments: nothing half made is left, and what is left is no
# obstacle for the next restart.
killed() {
	local n at pid hits=0
	saved || return
	for ((n = 0; n < 12; n++)); do
		empty_places
		job_rewind tempfiles
		ckctl restart "$images/tempfiles.ckpt" >"$work/out" 2>&1 &
		pid=$!
		draw at 600000
		pause_us "$at"
		kill -9 $pid
		wait $pid
		# All went already, whether or not it came to say so.
		if ! "$waitfor" $((3 * ${TIMEOUT_FACTOR:-1})) gone "$(job_cgroup tempfiles)"; then
			job_works tempfiles || { why "the cgroup stays, and the job does not work"; return 1; }
			job_cleanup tempfiles
			continue
		fi
		[ -z "$(find "$dir/tmp" /tmp /dev/shm -name '.ckpt-*' 2>/dev/null)" ] || { why "half made: $(ls -a /tmp)"; return 1; }
		hits=$((hits + 1))
		job_restart tempfiles && job_works tempfiles && job_kill tempfiles || return
	done
	echo "$hits times before it was done"
	empty_places
}

# One file in $TMPDIR, at descriptor 7, in a job that does nothing.
holder() {	# SIZE
	rm -rf "$work/holder" && mkdir "$work/holder"
	head -c "$1" /dev/zero >"$work/holder/file"
	# shellcheck disable=SC2016 # the job's shell expands it
	TMPDIR=$work/holder ckctl run --name=holder --checkpoint-dir="$images" -- \
		bash -c 'exec 7<>"$TMPDIR/file"; : >"$TMPDIR/ready"; exec sleep 1000' \
		</dev/null >"$work/holder.out" 2>&1 &
	keeper=$!
	"$waitfor" "$wait_s" file "$work/holder/ready"
}

kind_is() {	# KIND
	ckctl show "$images/holder.ckpt" | awk '$2 == 7' | grep -q " $1 " && return
	why "ckctl show: $(ckctl show "$images/holder.ckpt" | awk '$2 == 7')"
	return 1
}

too_large() {
	holder 300M && ckctl create holder >"$work/out" 2>"$work/stderr" || return
	cat "$work/stderr"
	says "holder/file (300.0 MiB) is saved by path only" "$work/stderr" && kind_is file || return
	[ "$(grep -c note: "$work/stderr")" = 1 ] || { why "it is said more than once"; return 1; }
	ckctl create holder --stop 2>"$work/stderr" && kind_is temporary && job_kill holder || return
	! grep note: "$work/stderr" || { why "something is said of --stop"; return 1; }
	rm "$work/holder/file"
	ckctl restart "$images/holder.ckpt" --detach && [ "$(stat -c %s "$work/holder/file")" = 314572800 ] &&
		cmp -n 314572800 "$work/holder/file" /dev/zero
}

replaced() {
	holder 100 && ckctl create holder && job_kill holder && kind_is temporary || return
	rm "$work/holder/file"
	echo another >"$work/holder/file"
	refused 3 "was replaced" ckctl restart "$images/holder.ckpt" &&
		says "move it away" "$work/stderr" && [ "$(cat "$work/holder/file")" = another ] &&
		ckctl restart "$images/holder.ckpt" --force --detach && [ "$(cat "$work/holder/file")" = another ]
}

# It is the very file, but somebody else is at work on it.
others_write() {
	holder 100 && ckctl create holder && job_kill holder || return
	exec 8<>"$work/holder/file"
	echo others >&8
	refused 3 "has changed" ckctl restart "$images/holder.ckpt" || return
	exec 8>&-
	ckctl restart "$images/holder.ckpt" --detach && cmp -n 100 "$work/holder/file" /dev/zero
}

# A program that knows the name only.
closed() {
	rm -rf "$work/closed" && mkdir "$work/closed"
	# shellcheck disable=SC2016 # the job's shell expands it
	TMPDIR=$work/closed ckctl run --name=closed --checkpoint-dir="$images" -- bash -c \
		'mkdir $TMPDIR/a; echo early >$TMPDIR/a/b; : >$TMPDIR/ready
		while ! [ -e $TMPDIR/go ]; do sleep 0.1; done; cat $TMPDIR/a/b >$TMPDIR/result' \
		</dev/null >"$work/closed.out" 2>&1 &
	keeper=$!
	"$waitfor" "$wait_s" file "$work/closed/ready" && ckctl create closed && job_kill closed || return
	rm -rf "$work/closed" && mkdir "$work/closed"
	ckctl restart "$images/closed.ckpt" >"$work/closed.out" 2>&1 &
	keeper=$!
	touch "$work/closed/go"
	wait $keeper && [ "$(cat "$work/closed/result")" = early ] && return
	why "it read: $(cat "$work/closed/result"); $(cat "$work/closed.out")"
	return 1
}

# The place of the directory of then is anybody's now.
saved_by_user() {
	rm -rf "$dir" "$images/tempfiles.ckpt" && install -d -o user -g user -m 1777 "$dir" || return
	ckctl run --name=tempfiles --checkpoint-dir="$images" -- "${as_user[@]}" "$bin/tempfiles" "$dir" \
		</dev/null >"$dir.out" 2>&1 &
	keeper=$!
	job_await tempfiles ready && job_create tempfiles && job_kill tempfiles && empty_places &&
		chown -R user:user "$images/tempfiles.ckpt"
}

restart_refused() {	# TEXT
	refused 3 "$1" ckctl restart "$images/tempfiles.ckpt" || return
	[ -z "$(ls -A "$work/victim")" ] || { why "it was made in there: $(ls -A "$work/victim")"; return 1; }
}

in_the_way() {
	saved_by_user && install -d -o user -g user -m 700 "$work/victim" || return
	"${as_other[@]}" ln -s "$work/victim" "$dir/tmp" && restart_refused "tmp is a symbolic link" && rm "$dir/tmp" || return
	"${as_other[@]}" mkdir -m 777 "$dir/tmp" && restart_refused "tmp belongs to somebody else" && rmdir "$dir/tmp" || return
	"${as_other[@]}" mkdir -m 777 "$dir/tmp" "$dir/tmp/sub" && restart_refused "tmp belongs to somebody else" &&
		rm -r "$dir/tmp"
}

users_again() {
	job_restart tempfiles && job_works tempfiles || return
	if [ -n "$(find "$dir/tmp" /tmp/tempfiles-* /dev/shm/tempfiles-* ! -user user)" ]; then
		why "not all that was made is the user's: $(ls -lR "$dir/tmp" /tmp/tempfiles-*)"
		return 1
	fi
	job_end tempfiles && nothing_left
}

check "files and directories that are gone are made again" gone
check "and again, from the same image and from a later one" gone_again
job_cleanup tempfiles
empty_places
check "files that have changed are brought back, twice" changed
job_cleanup tempfiles
empty_places
check "files that are gone, in a pid namespace" in_pid_namespace
job_cleanup tempfiles
empty_places
check "a restart that is interrupted leaves nothing behind" interrupted
job_cleanup tempfiles
empty_places
check "nor in a pid namespace" interrupted --pid-namespace=always
job_cleanup tempfiles
empty_places
seed_random
check "ckctl is killed" killed
job_cleanup tempfiles
empty_places
check "a file that is too large is saved by its path, and that is said once" too_large
job_cleanup holder
check "another file in its place is refused without --force" replaced
job_cleanup holder
check "a file that somebody else writes is left alone" others_write
job_cleanup holder
check "a file that nobody has open comes back where it is missing" closed
job_cleanup closed
check "root makes nothing of a user's where somebody else has put something" in_the_way
check "but where nobody has" users_again
job_cleanup tempfiles
empty_places
finish
