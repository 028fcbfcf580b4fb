#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=1800
# shellcheck disable=SC2317,SC2086,SC2046 # check() calls the functions; what is unquoted is one word
#
# Ids of an image that are taken: the restart makes a pid namespace, in which
# the job is what it was, for root and for an ordinary user. It can be
# checkpointed from outside, and restarted inside or outside of another one.

delegated=/sys/fs/cgroup/delegated
self=$(realpath "$0")
if [ "$(id -u)" = 0 ] && [ -e /run/vm/config ] && [ -z "${PIDNS_ROLE-}" ]; then
	mkdir -p $delegated
	chown -R user: $delegated
	export PIDNS_ROLE taker
	taker=$(mktemp -d)
	chmod 755 "$taker"
	cp "$(dirname "$self")/build/takeids" "$taker"
	setcap cap_checkpoint_restore+ep "$taker/takeids"
	cd / || exit
	# With a group that has no number in a user namespace of theirs.
	as_user() (
		echo "$BASHPID" >$delegated/cgroup.procs
		exec setpriv --reuid=user --regid=user --groups=user,users "$self"
	)
	roles() {
		local rc=0 old
		PIDNS_ROLE=root "$self" || rc=$?
		PIDNS_ROLE=user as_user || rc=$?
		old=$(cat /proc/sys/user/max_user_namespaces)
		echo 0 >/proc/sys/user/max_user_namespaces
		PIDNS_ROLE=forbidden as_user || rc=$?
		echo "$old" >/proc/sys/user/max_user_namespaces
		return $rc
	}
	# One plan for all.
	roles | {
		n=0
		while IFS= read -r line; do
			case $line in
			1..*) n=$((n + ${line#1..})) ;;
			*) printf '%s\n' "$line" ;;
			esac
		done
		echo "1..$n"
	}
	rc=${PIPESTATUS[0]}
	rm -rf "$taker"
	exit "$rc"
fi

# shellcheck source=selftests/lib.sh
. "$(dirname "$self")/lib.sh"

taking=

image_pids() { ckctl show --json "$images/$1.ckpt" | sed -n 's/^ *"pid": \([0-9]*\),*$/\1/p'; }

take_ids() {	# NAME [PREFIX]: of its image
	rm -rf "$work/taken"
	"$taker/takeids" "$work/taken" $(image_pids "$1" | sed "s/^/${2-}/") &
	taking=$!
	"$waitfor" "$wait_s" file "$work/taken" >/dev/null && return 0
	why "the ids of the image cannot be taken"
	return 1
}

give_ids() {
	[ -n "$taking" ] || return 0
	kill -9 $taking
	wait $taking 2>/dev/null
	taking=
	# Its children die of its death, a moment later.
	local pid
	for pid in $(image_pids "$1"); do
		"$waitfor" "$wait_s" gone "/proc/$pid" || return 1
	done
}

first_pid() { head -n 1 "$(job_cgroup "$1")/cgroup.procs"; }

lives_apart() {	# NAME
	local pid
	pid=$(first_pid "$1")
	[ "$(readlink "/proc/$pid/ns/pid")" != "$(readlink /proc/self/ns/pid)" ] && return
	why "the job is not in a pid namespace of its own"
	return 1
}

lives_here() {	# NAME
	lives_apart "$1" 2>/dev/null || { : >"$reason"; return 0; }
	why "the job is in another pid namespace"
	return 1
}

# The init of the job's namespace, as it is seen from here.
init_of() {	# NAME
	local pid
	pid=$(first_pid "$1")
	while [ "$(sed -n 's/^NSpid:.*\t//p' "/proc/$pid/status")" != 1 ]; do
		pid=$(sed -n 's/^PPid:\t//p' "/proc/$pid/status")
		[ "$pid" -gt 1 ] || return 1
	done
	echo "$pid"
}

nothing_left() {	# NAME [INIT]
	if ! "$waitfor" "$wait_s" gone "$(job_cgroup "$1")"; then
		why "the cgroup is still there with: $(cat "$(job_cgroup "$1")/cgroup.procs")"
		return 1
	fi
	if [ $# -gt 1 ] && ! "$waitfor" "$wait_s" gone "/proc/$2"; then
		why "the init $2 is still there"
		return 1
	fi
	if ckctl check "$1" 2>/dev/null; then
		why "the job is still registered"
		return 1
	fi
	no_session
}

saved() {	# PROGRAM: an image of it is there, and it is dead
	job_start "$1" "$1" && job_works "$1" && job_create "$1" && job_works "$1" && job_kill "$1"
}

taken() {	# PROGRAM
	saved "$1" && take_ids "$1" && job_restart "$1" && lives_apart "$1" && job_works "$1"
}

made_inside() {	# PROGRAM
	local init
	init=$(init_of "$1")
	ckctl check "$1" && job_create "$1" && job_works "$1" && job_create "$1" && job_works "$1" || return
	image_proved "$images/$1.ckpt" || return
	ckctl show "$images/$1.ckpt"
	if [ "$(image_pids "$1" | head -n 1)" = 1 ]; then
		why "the namespace's init is in the image"
		return 1
	fi
	job_kill "$1" && nothing_left "$1" $init
}

out_again() {	# PROGRAM
	give_ids "$1" && job_restart "$1" && lives_here "$1" && job_works "$1" && job_kill "$1"
}

in_again() {	# PROGRAM
	take_ids "$1" && job_restart "$1" && lives_apart "$1" && job_works "$1" && job_create "$1" &&
		job_works "$1" && job_end "$1"
}

# Taken in a way that is found out only when a process is to have the id.
session_taken() {
	take_ids regs s && job_restart regs && lives_apart regs && job_works regs && job_end regs || return
	if ! grep -q 'in use' "$work/regs.out"; then
		why "nothing was said about it: $(tail -n 3 "$work/regs.out")"
		return 1
	fi
	kill -9 $taking
	wait $taking 2>/dev/null
	taking=
}

groups_here() { sed -n 's/^Groups:\t//p' "/proc/$1/status"; }

same_groups() {
	if [ "$(groups_here "$(first_pid regs)")" != "$(groups_here self)" ]; then
		why "the groups were $(groups_here self) and are $(groups_here "$(first_pid regs)")"
	elif grep -q "groups of now" "$work/regs.out"; then
		why "the image has other groups"
	else
		return 0
	fi
	return 1
}

# Those with no number inside, too; and an image that is made there has them all.
groups_kept() {
	job_restart regs --pid-namespace=always && same_groups && job_create regs && job_kill regs &&
		job_restart regs && lives_here regs && same_groups && job_create regs && job_kill regs
}

never() {
	take_ids regs && refused 10 "in use" ckctl restart "$images/regs.ckpt" --pid-namespace=never || return
	give_ids regs
}

always() {
	job_restart regs --pid-namespace=always && lives_apart regs && job_works regs && job_end regs
}

# A shell that ends with 42 when it gets SIGUSR1.
status_through() {
	local dir=$work/shell rc=0
	mkdir "$dir"
	ckctl run --name=shell --checkpoint-dir="$images" -- bash -c \
		'trap "exit 42" USR1; cd '"$dir"'; mkdir ready; while [ ! -e never ]; do :; done' \
		</dev/null >"$dir.out" 2>&1 &
	keeper=$!
	job_await shell ready && job_create shell && job_kill shell || return
	ckctl restart "$images/shell.ckpt" --pid-namespace=always --detach </dev/null &&
		lives_apart shell && job_kill shell || return
	ckctl restart "$images/shell.ckpt" --pid-namespace=always --pidfile="$dir/pid" </dev/null \
		>"$dir.out" 2>&1 &
	keeper=$!
	"$waitfor" "$wait_s" bytes "$dir/pid" 2 || return
	if [ "$(cat "$dir/pid")" != "$(first_pid shell)" ]; then
		why "the pid file says $(cat "$dir/pid"), the cgroup $(first_pid shell)"
		return 1
	fi
	kill -USR1 $keeper
	wait $keeper || rc=$?
	[ $rc = 42 ] || { why "ckctl ended with $rc instead of 42"; return 1; }
	nothing_left shell
}

killed() {	# WHAT
	local init rc=0
	job_restart regs --pid-namespace=always && lives_apart regs || return
	init=$(init_of regs) || return
	case $1 in
	init) kill -9 $init ;;
	job) kill -9 "$(first_pid regs)" ;;
	ckctl)
		kill -9 $keeper
		wait $keeper
		job_works regs && job_create regs && job_works regs || return
		touch "$(job_dir regs)/stop"
		job_await regs passed && nothing_left regs $init
		return
		;;
	esac
	wait $keeper || rc=$?
	[ $rc = 137 ] || { why "ckctl ended with $rc instead of 137"; return 1; }
	nothing_left regs $init
}

at_an_interval() {
	local before n
	before=$(stat -c %i "$images/regs.ckpt/manifest.json")
	job_restart regs --pid-namespace=always --checkpoint=0:01 || return
	for ((n = 0; n < wait_s * 5; n++)); do
		[ "$(stat -c %i "$images/regs.ckpt/manifest.json")" = "$before" ] || break
		read -r -t 0.2 -u "$never"
	done
	if [ $n = $((wait_s * 5)) ]; then
		why "no checkpoint was made: $(tail -n 3 "$(job_dir regs).out")"
		return 1
	fi
	job_works regs && job_end regs
}

# A ckctl that root has given nothing to.
no_capability() {
	local bare=$work/bare
	mkdir "$bare"
	cp "$(command -v ckctl)" "$bare/ckctl"
	refused 4 capability "$bare/ckctl" restart "$images/regs.ckpt" --pid-namespace=never || return
	PATH=$bare:$PATH job_restart regs && lives_apart regs && job_works regs || return
	if grep -E '^Cap(Inh|Prm|Eff|Amb)' "/proc/$(first_pid regs)/status" | grep -v '0000000000000000$'; then
		why "the restarted process has capabilities"
		return 1
	fi
	job_end regs
}

forbidden() {
	saved regs && take_ids regs && refused 10 namespaces ckctl restart "$images/regs.ckpt" && nothing_left regs && give_ids regs &&
		job_restart regs && job_works regs && job_end regs
}

who=$PIDNS_ROLE
if [ $who = forbidden ]; then
	check "$who: without user namespaces a taken id is named" forbidden
	give_ids regs
	finish
fi
for p in pids threads relaunch; do
	check "$who: $p: restarted although its ids are taken" taken $p
	check "$who: $p: checkpointed from outside" made_inside $p
	job_cleanup $p
	check "$who: $p: that is restarted where its ids are free" out_again $p
	job_cleanup $p
	check "$who: $p: and where they are taken, and ends in good order" in_again $p
	give_ids $p
	job_cleanup $p
done
check "$who: an image to go on with" saved regs
check "$who: --pid-namespace=never" never
give_ids regs
check "$who: an id that only a session has" session_taken
job_cleanup regs
check "$who: --pid-namespace=always" always
job_cleanup regs
check "$who: groups are what they were" groups_kept
job_cleanup regs
check "$who: pid file, signals and exit status pass through" status_through
job_cleanup shell
check "$who: checkpoints at an interval" at_an_interval
job_cleanup regs
for p in ckctl init job; do
	check "$who: $p killed with SIGKILL" killed $p
	job_cleanup regs
done
[ $who = root ] || check "$who: ckctl without a file capability" no_capability
job_cleanup regs
finish
