#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=600
# shellcheck disable=SC2317 # check() calls the functions
#
# Root restarts what a user has saved: as that user, with nothing of root's. An
# image says whose it is by who could have written it: one that asks for more
# than its owner has is refused.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

as_user=(setpriv --reuid=user --regid=user "--groups=user,users")
# As a login would have it.
gpasswd -a user users >/dev/null

# PROGRAM under the user's ids, saved by root or by the user, in the user's directory.
saved() {	# NAME PROGRAM [COMMAND…]: run by COMMAND
	local name=$1 program=$2 dir=$work/$1
	shift 2
	rm -rf "$dir" "$images/$name.ckpt"
	install -d -o user -g user "$dir"
	ckctl run --name="$name" --checkpoint-dir="$images" -- "$@" "$bin/$program" "$dir" \
		</dev/null >/dev/null 2>&1 &
	keeper=$!
	: >"$dir.out"
	job_await "$name" ready && job_create "$name" && job_kill "$name"
}

given() { chown -R user:user "$images/$1.ckpt"; }

first_pid() { head -n 1 "$(job_cgroup "$1")/cgroup.procs"; }
stat_field() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f "$(($2 - 2))"; }

status_is() {	# PID KEY VALUE
	local value
	value=$(sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | tr -s '\t ' ' ' | sed 's/ $//')
	[ "$value" = "$3" ] && return
	why "$2 of the restarted process is $value instead of $3"
	return 1
}

is_users() {	# NAME
	local pid tty
	pid=$(first_pid "$1")
	status_is "$pid" Uid "1000 1000 1000 1000" && status_is "$pid" Gid "1000 1000 1000 1000" &&
		status_is "$pid" Groups "100 1000" &&
		status_is "$pid" CapPrm 0000000000000000 && status_is "$pid" CapEff 0000000000000000 &&
		status_is "$pid" CapInh 0000000000000000 && status_is "$pid" CapAmb 0000000000000000 || return
	if [ "$(stat_field "$pid" 6)" = "$(stat_field $$ 6)" ]; then
		why "the restarted process is in root's session"
		return 1
	fi
	tty=$(stat_field "$pid" 7)
	[ "$tty" = 0 ] || { why "the restarted process has the terminal $tty"; return 1; }
}

users_job() {	# PROGRAM [OPTION…]
	local name=$1
	shift
	saved "$name" "$name" "${as_user[@]}" && given "$name" && job_restart "$name" "$@" && is_users "$name" &&
		job_works "$name" && job_create "$name" && job_works "$name" || return
	if [ -n "$(find "$images/$name.ckpt" ! -user user)" ]; then
		why "not all of the image that root made anew is the user's: $(ls -lR "$images/$name.ckpt")"
		return 1
	fi
	job_kill "$name" && job_restart "$name" && is_users "$name" && job_works "$name" && job_end "$name"
}

made_by_user() {
	local delegated=/sys/fs/cgroup/delegated
	mkdir -p $delegated
	chown -R user: $delegated
	chmod 777 "$images"
	rm -rf "$images/regs.ckpt" "$work/regs"
	install -d -o user -g user "$work/regs"
	(
		echo "$BASHPID" >$delegated/cgroup.procs
		exec "${as_user[@]}" ckctl run --name=regs \
			--checkpoint-dir="$images" -- "$bin/regs" "$work/regs" </dev/null >/dev/null 2>&1
	) &
	keeper=$!
	job_await regs ready || return 1
	if ! "${as_user[@]}" ckctl create regs; then
		why "the user cannot save the job: $(tail -n 3 "$work/log")"
		return 1
	fi
	echo 1 >$delegated/ckpt-regs/cgroup.kill
	wait $keeper
	"$waitfor" "$wait_s" gone $delegated/ckpt-regs && rmdir $delegated || return
	job_restart regs && is_users regs && job_works regs && job_end regs
}

restart_refused() {	# SENTENCE-PART NAME
	refused 4 "$1" ckctl restart "$images/$2.ckpt" || return
	[ ! -d "$(job_cgroup "$2")" ] || { why "a cgroup was left behind"; return 1; }
}

crafted_uid() { saved regs regs && given regs && restart_refused "ran as user 0" regs; }

crafted_group() {
	saved regs regs setpriv --reuid=user --regid=user --groups=user,disk && given regs &&
		restart_refused "in group 6," regs
}

crafted_gid() {
	saved regs regs setpriv --reuid=user --regid=disk --clear-groups && given regs &&
		restart_refused "as group 6," regs
}

crafted_capability() {
	saved regs regs setpriv --reuid=user --regid=user --clear-groups \
		--inh-caps=+net_raw --ambient-caps=+net_raw && given regs &&
		restart_refused "had capabilities" regs && refused_to_user "had capabilities"
}

# Not even root's own directory vouches for what somebody else can write.
crafted_records() {
	saved regs regs "${as_user[@]}" && chown user "$images"/regs.ckpt/gen-*/records &&
		restart_refused "cannot be trusted" regs || return
	chown root "$images"/regs.ckpt/gen-*/records
	chmod g+w "$images/regs.ckpt" && restart_refused "cannot be trusted" regs
}

refused_to_user() {
	refused 4 "$1" "${as_user[@]}" ckctl restart "$images/regs.ckpt"
}

# A working directory behind a door that is closed to the user.
closed_directory() {
	mkdir -p "$work/closed/open" && chmod 700 "$work/closed" && chmod 755 "$work/closed/open" || return
	(cd "$work/closed/open" && saved regs regs "${as_user[@]}") && given regs &&
		restart_refused "closed/open, which cannot be" regs
}

# A file that only root can open.
closed_file() {
	echo secret >"$work/secret"
	chmod 600 "$work/secret"
	saved regs regs bash -c 'exec 7<"$0"; exec setpriv --reuid=user --regid=user --clear-groups "$@"' \
		"$work/secret" && given regs && restart_refused "$work/secret" regs
}

limits() {
	local pid hard
	saved regs regs prlimit --nofile=100:1048576 --memlock=unlimited:unlimited nice -n -5 \
		setpriv --reuid=user --regid=user --clear-groups && given regs || return
	(ulimit -n 5000 && ulimit -l 64 && job_restart regs) || return
	pid=$(first_pid regs)
	hard=$(awk '/^Max open files/ { print $5 } /^Max locked memory/ { print $5 }' "/proc/$pid/limits" |
		tr '\n' ' ')
	[ "$hard" = "5000 65536 " ] || { why "the hard limits are $hard"; return 1; }
	[ "$(stat_field "$pid" 19)" = 0 ] || { why "the nice value is $(stat_field "$pid" 19)"; return 1; }
	touch "$work/regs/stop"
	job_await regs passed && "$waitfor" "$wait_s" gone "$(job_cgroup regs)"
}

check "root restarts a user's job" users_job threads
job_cleanup threads
check "in a pid namespace, too" users_job pids --pid-namespace=always
job_cleanup pids
check "with the client of a job step" users_job relaunch
job_cleanup relaunch
check "the image was made by the user" made_by_user
job_cleanup regs
check "a user's image that says root" crafted_uid
check "a user's image with a group of others" crafted_group
check "a user's image that ran as a group of others" crafted_gid
check "a user's image with capabilities, neither for root nor for them" crafted_capability
check "records that somebody else can write" crafted_records
check "a working directory that the user cannot enter" closed_directory
check "a file that the user cannot open" closed_file
check "limits and priority of root's are not for the user" limits
job_cleanup regs
finish
