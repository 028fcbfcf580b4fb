#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=300
# shellcheck disable=SC2317 # check() calls the functions
#
# A job at a terminal, with standard streams and /dev/tty there: it goes on at the
# terminal of the restart, which its keys reach. script(1) is the person's terminal.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$work/job"
cat >counter <<'END'
#!/bin/bash
# Lines by standard output and by /dev/tty; an answer to what is typed; SIGINT is counted.
cd "$1" || exit
exec 7<>/dev/tty
trap 'touch interrupted; exit 42' INT
touch ready
for ((n = 1; ; n++)); do
	echo "out $n"
	echo "tty $n" >&7
	# Its time can be over in the middle of a line, which the next one then ends.
	if read -r -t 0.1 part; then
		echo "typed $line$part" >&7
		line=
	else
		line+=$part
	fi
	echo $n >turns
done
END
chmod +x counter
turns() { cat job/turns 2>/dev/null || echo 0; }

# COMMAND at a terminal of its own, which shows what is in the file SCREEN; typed: by &$keys.
at_terminal() {	# SCREEN COMMAND…
	local screen=$1
	shift
	rm -f keys
	mkfifo keys
	# What the shell starts in the background ignores SIGINT, and so would the job.
	env --default-signal script -q -f -e -c "$*" "$screen" <keys >/dev/null 2>&1 &
	person=$!
	exec {keys}>keys
}
screen_await() {	# SCREEN TEXT
	local tries
	for ((tries = 0; tries < wait_s * 10; tries++)); do
		! grep -qF "$2" "$1" 2>/dev/null || return 0
		kill -0 $person 2>/dev/null || break
		pause_us 100000
	done
	why "the terminal does not show \"$2\" but: $(tail -n 4 "$1")"
	return 1
}
leave() {	# STATUS
	local rc=0
	exec {keys}>&-
	wait $person || rc=$?
	[ $rc = "$1" ] && return 0
	why "the command at the terminal ended with status $rc instead of $1"
	return 1
}

begin() {
	at_terminal first ckctl run --name=counter --checkpoint-dir="$images" -- "$work/counter" "$work/job"
	file_await job/ready && screen_await first "tty 5"
}
file_await() { "$waitfor" "$wait_s" file "$1" >/dev/null || { why "there is no $1"; return 1; }; }

continued() {
	local at
	begin && ckctl create counter || return
	at=$(turns)
	echo 1 >"$(job_cgroup counter)/cgroup.kill"
	exec {keys}>&-
	wait $person
	at_terminal second ckctl restart "$images/counter.ckpt"
	screen_await second "tty $((at + 5))" && screen_await second "out $((at + 6))" || return
	! grep -qE "(out|tty) 1.?$" second || { why "it has begun anew: $(head -n 3 second)"; return 1; }
	echo hello >&"$keys"
	screen_await second "typed hello"
}

interrupted() {
	printf '\003' >&"$keys"
	file_await job/interrupted && leave 42
}

# In a session without a terminal.
refused() {
	setsid -w ckctl restart "$images/counter.ckpt" </dev/null >refused 2>&1
	[ $? = 3 ] && grep -q "restart it from a terminal" refused && return 0
	why "it says: $(cat refused)"
	return 1
}

# It would have none after a restart.
own() {
	at_terminal screen "ckctl run --name=own --checkpoint-dir=$images -- setsid -c -w sh -c 'touch job/own; exec sleep 300'"
	file_await job/own || return
	ckctl create own >refused 2>&1
	[ $? = 3 ] && [ "$(wc -l <refused)" = 1 ] && grep -q "(sleep): it leads the session at a terminal" refused ||
		why "it says: $(cat refused)"
	echo 1 >"$(job_cgroup own)/cgroup.kill"
	exec {keys}>&-
	wait $person
	[ ! -s "$reason" ]
}

check "a job at a terminal goes on at that of the restart" continued
check "Ctrl-C reaches it there, and its status comes back" interrupted
check "without a terminal it is refused, since it had /dev/tty open" refused
check "a job that leads the session at its terminal is refused" own
finish
