# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # variables of lib.sh
#
# Controls, for cr.sh: each program fails when what it is there for is not restored.
# It is restarted from an image out of which alter has taken one kind; it must not
# pass. Each row of ckctl's own table of what is saved must be among the kinds.

alter=$bin/alter
controls=(	# PROGRAM KIND ROW, "-" where ckctl's table has none
	"regs registers -"
	"regs xstate -"
	"regs gs-base -"
	"threads name -"
	"threads robust-list -"
	"threads clear-child-tid -"
	"threads rseq -"
	"memory memory memory"
	"advice mlock memory"
	"advice mlock-onfault memory"
	"advice lock-future memory"
	"advice growsdown memory"
	"advice mergeable memory"
	"advice sequential memory"
	"advice random memory"
	"advice dontfork memory"
	"advice wipeonfork memory"
	"advice dontdump memory"
	"advice hugepage memory"
	"advice nohugepage memory"
	"shm shm shared memory"
	"signals sigactions signals"
	"signals sigqueue signals"
	"signals sigmask signals"
	"signals altstack signals"
	"timers itimers timers"
	"timers posix-timers timers"
	"pids process-groups -"
	"orphans process-groups -"
	"exited_main descriptors descriptors"
	"zombies zombies -"
	"stopped stops -"
	"attributes oom-score attributes"
	"attributes subreaper attributes"
	"attributes personality attributes"
	"attributes timer-slack attributes"
	"attributes nice sched"
	"attributes policy sched"
	"attributes io-priority sched"
	"attributes affinity sched"
	"attributes pdeath-signal attributes"
	"attributes mce-policy attributes"
	"attributes securebits attributes"
	"attributes dumpable memory"
	"attributes coredump-filter memory"
	"attributes thp-disable memory"
	"attributes exe memory"
	"attributes arguments memory"
	"attributes environment memory"
	"attributes auxv memory"
	"files offsets files"
	"files sharing descriptors"
	"files file-flags files"
	"files cloexec descriptors"
	"files descriptors descriptors"
	"files locks file locks"
	"files cwd fs"
	"files umask fs"
	"chroots root fs"
	"files rlimits rlimits"
	"removed shm removed files"
	"removed seals removed files"
	"tempfiles shm temporary files"
	"mapped shm temporary files"
	"fifos pipe-data named pipes"
	"pipes pipe-data pipes"
	"pipes pipe-capacity pipes"
	"events counters eventfd"
	"events semaphores eventfd"
	"events timerfds timerfd"
	"events signalfds signalfd"
	"events watches epoll"
	"creds groups cred"
	"creds no-new-privs cred"
	"creds capabilities cred"
	"creds bounding-set cred"
	"creds user-ids cred"
	"creds group-ids cred"
	"creds dumpable memory"
	"syscalls timeouts -"
	"syscalls system-calls -"
	"fragile system-calls -"
	"relaunch relaunch clients of job steps"
)

# What the job says within so many seconds; sets verdict.
judge() {	# NAME SECONDS
	local dir tries
	dir=$(job_dir "$1") verdict=hangs
	for ((tries = 0; tries < $2 * 5; tries++)); do
		if [ -e "$dir/failed" ]; then
			verdict="says: $(cat "$dir/failed")"
		elif [ -e "$dir/passed" ]; then
			verdict=passes
		elif ! kill -0 "$keeper" 2>/dev/null; then
			wait "$keeper"
			verdict="ends with status $?"
		elif [ -e "$dir/answer" ]; then
			# A whole round was well; the last look comes with the end.
			touch "$dir/stop"
			"$waitfor" 0.2 file "$dir/failed" "$dir/passed" >/dev/null
			continue
		else
			"$waitfor" 0.2 file "$dir/failed" "$dir/answer" >/dev/null
			continue
		fi
		return
	done
}

# Restarted from its image, without KIND if there is one; sets verdict.
restarted_without() {	# PROGRAM SECONDS [KIND]
	local copy=$work/control.ckpt
	[ -d "$images/$1.ckpt" ] || { why "there is no image"; return 1; }
	rm -rf "$copy"
	cp -a "$images/$1.ckpt" "$copy"
	if [ $# -gt 2 ] && ! "$alter" "$copy" without "$3"; then
		why "the program holds nothing of this kind: no test of it"
		return 1
	fi
	job_rewind "$1"
	touch "$(job_dir "$1")/ask"
	ckctl restart --force "$copy" --name="$1" >>"$work/out" 2>"$work/stderr" &
	keeper=$!
	judge "$1" "$2"
	job_cleanup "$1"
	wait "$keeper" 2>/dev/null
	cat "$work/stderr"
	grep -q '^restarted' "$work/stderr" && return
	why "it was not restarted at all: $(cat "$work/stderr")"
	return 1
}

control() {	# PROGRAM KIND
	local seconds
	for seconds in 6 20 60; do
		seconds=$((seconds * ${TIMEOUT_FACTOR:-1}))
		restarted_without "$1" $seconds "$2" || return
		told=$verdict
		if [ "$told" = passes ]; then
			why "the program passes without it"
			return 1
		fi
		[ "$told" = hangs ] || return 0
		# That counts if with all of it, it does not in the same time.
		restarted_without "$1" $seconds || return
		[ "$verdict" != passes ] || return 0
		[ "$verdict" = hangs ] || break
	done
	why "with all of it, it $verdict"
	return 1
}

# A line, and no end of file before all is over.
feed() {	# LINE
	echo "$1"
	"$waitfor" "$wait_s" file "$work/fed"
} 2>/dev/null

# No program sees by itself where its output goes.
streams() {	# [KIND]: it is not restored
	local copy=$work/streams.ckpt name=streams
	rm -f "$work"/{fed,first,first.err}
	# shellcheck disable=SC2016 # the job's shell expands it
	ckctl run --name=$name --checkpoint-dir="$images" -- \
		bash -c 'while read -r line; do echo "$line"; echo "2 $line" >&2; done' \
		< <(feed one) > >(cat >"$work/first") 2> >(cat >"$work/first.err") &
	keeper=$!
	"$waitfor" "$wait_s" bytes "$work/first.err" 6 && job_create $name && job_kill $name || return
	rm -rf "$copy" "$work/second" "$work/second.err"
	cp -a "$images/$name.ckpt" "$copy"
	if [ $# -gt 0 ] && ! "$alter" "$copy" without "$1"; then
		why "there is no stream in it"
		return 1
	fi
	ckctl restart -q "$copy" --name=$name < <(feed two) > >(cat >"$work/second") 2> >(cat >"$work/second.err") &
	keeper=$!
	"$waitfor" "$wait_s" bytes "$work/second" 4
	"$waitfor" "$wait_s" bytes "$work/second.err" 4
	job_kill $name
	touch "$work/fed"
	grep -H . "$work"/{first,second}{,.err}
	[ "$(cat "$work/first" "$work/first.err")" = "one"$'\n'"2 one" ] || { why "the first launch"; return 1; }
	verdict="says: $(cat "$work/second")"
	if [ $# = 0 ]; then
		[ "$(cat "$work/second" "$work/second.err")" = "two"$'\n'"2 two" ] && return
		why "the second launch does not get what it should"
	else
		[ "$(cat "$work/second")" = "2 two" ] && return
		why "the roles were exchanged, but the standard output is \"$(cat "$work/second")\""
	fi
	return 1
}

table_rows() { ckctl status --state-table | sed -n '3,$s/^| \([^|]*\) |.*/\1/p'; }

all_rows() {
	local row
	while read -r row; do
		printf '%s\n' "${controls[@]}" | grep -q " $row\$" || why "no control for \"$row\""
	done < <(table_rows)
	[ ! -s "$reason" ] && [ "$(table_rows | wc -l)" -ge 5 ]
}

run_controls() {	# PROGRAM, of which there is an image
	local c program kind row
	for c in "${controls[@]}"; do
		read -r program kind row <<<"$c"
		[ "$program" = "$1" ] || continue
		told=
		check "$program fails without $kind" control "$program" "$kind"
		[ -z "$told" ] || echo "# it $told"
	done
}

# What no program is there for.
run_common_controls() {
	check "streams of the second launch" streams
	job_cleanup streams
	check "streams fail without streams" streams streams
	echo "# it $verdict"
	job_cleanup streams
	check "each row of the table has a control" all_rows
}
