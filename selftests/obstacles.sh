#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
# shellcheck disable=SC2317 # check() calls the functions
#
# What the module does not save it refuses by name, before anything is written:
# a job that holds one of these kinds (obstacles.c) runs on, and keeps its
# former image.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

# The kind, and words of its sentence.
kinds=(
	"seccomp a seccomp filter"
	"ptrace_child being traced: detach"
	"ptrace_dead traced when it ended"
	"vfork_child shares its memory"
	"thread_user different credentials"
	"thread_privs different credentials"
	"thread_fs threads have different"
	"thread_files threads have different"
	"shared_files shares file descriptors"
	"shared_fs shares file descriptors"
	"shared_handlers signal handlers with another process"
	"namespace_uts other namespaces"
	"namespace_user another user namespace"
	"namespace_pid another pid namespace"
	"thread_deadline SCHED_DEADLINE"
	"ports I/O ports"
	"program_32bit a 32-bit program"
	"timer_thread POSIX timer .* clock of a thread, another process"
	"timer_alarm POSIX timer .* wakes the machine"
	"timer_process POSIX timer .* clock of a thread, another process"
	"io_uring_worker a worker of io_uring"
	"io_uring_memory memory of a \(device\|kernel object\)"
	"hugetlb huge pages of hugetlbfs"
	"device memory of a device"
	"userfaultfd watched by userfaultfd"
	"mseal sealed with mseal"
	"pkey a protection key"
	"secret secret memory"
	"sysv System V shared memory"
	"other_name has another name still"
)

launch_all() {
	local kind
	for kind in "${kinds[@]%% *}" large_file three many none; do
		job_launch "$kind" obstacles
	done
	job_await none ready && job_create none -q
}

# Started, with an image that must stay as it is.
ready() {	# KIND
	job_await "$1" ready || return
	if [ -e "$(job_dir "$1")/lacks" ]; then
		skip "this kernel lacks it"
		return
	fi
	rm -rf "$images/$1.ckpt"
	cp -a "$images/none.ckpt" "$images/$1.ckpt"
}

unharmed() {	# KIND
	if ! diff -r "$images/none.ckpt" "$images/$1.ckpt"; then
		why "its image is another one now"
		return 1
	fi
	runs_on "$1" && no_session
}

# A task of the job, by pid and name, and the words.
named() {	# KIND WORDS FILE
	local line place='' comm=''
	line=$(grep -m 1 -e "$2" "$3")
	if [[ $line =~ ^(ckctl: )?(process|pid)\ ([0-9]+)\ \(([^\)]*)\):\  ]]; then
		place=$(</proc/"${BASH_REMATCH[3]}"/cgroup) comm=$(</proc/"${BASH_REMATCH[3]}"/comm)
		[[ $place == */ckpt-$1 && $comm == "${BASH_REMATCH[4]}" ]] && return 0
	fi
	why "no sentence on a process of the job (in \"$place\") with \"$2\": $(cat "$3")"
	return 1
}

is_refused() {	# KIND WORDS…
	local kind=$1 words=${*:2}
	ready "$kind" || return
	expect_status 3 ckctl create "$kind" -q && named "$kind" "$words" "$work/stderr" && unharmed "$kind"
}

# Of what check said as JSON, a sentence a line.
json_list() { sed -n '/"obstacles": \[/,/\]/s/^    "\(.*\)",*$/\1/p' "$work/said"; }

same_sentence() {
	local words="removed file .*/large .*at most 256"
	ready large_file || return
	expect_status 3 ckctl check large_file >"$work/said" && named large_file "$words" "$work/said" &&
		expect_status 3 ckctl create large_file -q && unharmed large_file || return
	sed 's/^ckctl: //' "$work/stderr" | diff "$work/said" - | why
	[ ! -s "$reason" ]
}

all_named() {
	local words
	ready three || return
	expect_status 3 ckctl check --json three >"$work/said" || return
	for words in "a seccomp filter" "huge pages of hugetlbfs" "System V shared memory"; do
		json_list >"$work/list"
		named three "$words" "$work/list" || return
	done
	[ "$(wc -l <"$work/list")" = 3 ] || why "not three obstacles: $(cat "$work/said")"
	expect_status 3 ckctl create three -q && unharmed three || return
	[ "$(wc -l <"$work/stderr")" = 3 ] || why "not three sentences: $(cat "$work/stderr")"
	[ ! -s "$reason" ]
}

# 300 processes with one each are more than the module keeps.
counted() {
	local more
	ready many || return
	expect_status 3 ckctl check many >"$work/said" && named many "huge pages of hugetlbfs" "$work/said" && unharmed many || return
	more=$(sed -n 's/^there are \([0-9]*\) more, which are not named here$/\1/p' "$work/said")
	[ -n "$more" ] && [ $(($(wc -l <"$work/said") - 1 + more)) = 300 ] && return 0
	why "not 300 in all: $(cat "$work/said")"
	return 1
}

passing() {
	ready vfork_child || return
	expect_status 3 ckctl check --json vfork_child >"$work/said" || return
	json_list >"$work/list"
	named vfork_child "shares its memory" "$work/list" && unharmed vfork_child
}

check "one job of each kind" launch_all
for kind in "${kinds[@]}"; do
	# shellcheck disable=SC2086 # kind and words
	check "refused by name: ${kind%% *}" is_refused $kind
done
check "a removed file too large to be copied: check and create say the same" same_sentence
check "one obstacle in each of three processes: three are named" all_named
check "more obstacles than there is room for are counted" counted
check "what may pass by itself is named as JSON, too" passing
finish
