#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=600
# shellcheck disable=SC2317 # check() calls the functions
#
# Programs that ask for a checkpoint of themselves: a script by "ckctl create
# self", a Python program by the library, as an ordinary user.

delegated=/sys/fs/cgroup/delegated
self=$(realpath "$0")
if [ "$(id -u)" = 0 ] && [ -e /run/vm/config ]; then
	# In a job of root's, somebody else asks.
	export foreign_dir
	foreign_dir=$(mktemp -d)
	chmod 755 "$foreign_dir"
	(
		cd "$foreign_dir" && ckctl run --name=foreign -- sh -c 'runuser -u other -- ckctl create self
			echo "status $?"' >"$foreign_dir/said" 2>&1
	)
	mkdir -p $delegated
	chown -R user: $delegated
	rc=0
	(
		echo "$BASHPID" >$delegated/cgroup.procs
		exec setpriv --reuid=user --regid=user --init-groups "$self" "$@"
	) || rc=$?
	rm -rf "$foreign_dir"
	exit $rc
fi

# shellcheck source=selftests/lib.sh
. "$(dirname "$self")/lib.sh"

# Each writes what it was answered to "answer", when told by "go" to ask.
cat >"$bin/script" <<'END'
#!/bin/bash
cd "$1" || exit
exec {never}<> <(:)
touch ready
while [ ! -e stop ]; do
	read -r -t 0.1 -u "$never"
	[ -e go ] || continue
	rm go
	ckctl create $(cat options) self >said 2>&1
	echo "status $?" >>said
	# Not by another name: it is open when it is saved.
	cp said answered.new && mv answered.new answered
done
touch passed
END
# In a substitution, by a shell that does more than wait.
sed 's/ckctl create .*/said=$(ckctl create $(cat options) self 2>\&1); s=$?; echo "$said" >said; (exit $s)/' "$bin/script" >"$bin/substitution"
cat >"$bin/program" <<'END'
#!/usr/bin/python3
import ctypes, os, sys, time
os.chdir(sys.argv[1])
ckpt = ctypes.CDLL("/usr/local/lib/libckpt_self.so")
ckpt.ckpt_self_error.restype = ctypes.c_char_p
def say(name, text):
    with open(name + ".new", "w") as f:
        f.write(text)
    os.rename(name + ".new", name)
say("possible", "%d %s" % (ckpt.ckpt_self_possible(), ckpt.ckpt_self_error().decode()))
open("ready", "w").close()
state = 0
while not os.path.exists("stop"):
    time.sleep(0.1)
    if os.path.exists("go"):
        os.unlink("go")
        state += 1
        result = ckpt.ckpt_self_create()
        say("answered", "%s %d %s\n" % ({0: "made", 1: "restarted"}.get(result), state, ckpt.ckpt_self_error().decode()))
open("passed", "w").close()
END
chmod +x "$bin"/{script,substitution,program}

# Ask, and expect an answer that has this in it.
asks() {	# NAME TEXT [OPTION…]
	local dir text=$2
	dir=$(job_dir "$1")
	rm -f "$dir/answered"
	echo "${@:3}" >"$dir/options"
	touch "$dir/go"
	answers "$1" "$text"
}
answers() {	# NAME TEXT
	local dir
	dir=$(job_dir "$1")
	job_await "$1" answered && grep -q -- "$2" "$dir/answered" && return
	why "the answer is not \"$2\" but: $(cat "$dir/answered")"
	return 1
}

# Killed after that, it comes back with the other answer, again and again.
comes_back() {	# NAME [RESTART-OPTION…]
	local dir name=$1
	shift
	dir=$(job_dir "$name")
	job_kill "$name" || return
	rm -f "$dir"/{answered,go,stop}
	ckctl restart "$images/$name.ckpt" "$@" >>"$dir.out" 2>&1 &
	keeper=$!
	answers "$name" restarted || { tail -n 5 "$dir.out"; return 1; }
}

of_itself() {	# PROGRAM
	job_start "$1" "$1" && asks "$1" made && image_proved "$images/$1.ckpt" && asks "$1" made && comes_back "$1" &&
		asks "$1" made && comes_back "$1" && comes_back "$1" --pid-namespace=always && asks "$1" made && comes_back "$1" &&
		job_end "$1"
}

with_status() {
	job_start script script && asks script "status 0" && grep -q "^made $images/script.ckpt: " script/answered &&
		comes_back script && grep -qx "status 0" script/answered && asks script '"restarted": false' --json &&
		comes_back script && grep -q '"restarted": true' script/answered || return
	# Not made: all goes on.
	asks script "status 9" "--image-dir=nonesuch" && asks script "status 9" "--image-dir=$work/nonesuch" &&
		asks script "status 2" --kill && asks script "status 2" --max-wait=soon && asks script made --max-wait=100 || return
	mkdir other && asks script "made $work/other/script.ckpt" --image-dir="$work/other" && image_proved other/script.ckpt &&
		job_end script
}

# What counts is not lost, and what it has done since is.
state_kept() {
	local dir=program
	job_start program program && [ "$(cat "$dir/possible")" = "1 " ] && asks program "made 1" && asks program "made 2" &&
		comes_back program && grep -q "^restarted 2 " "$dir/answered" && asks program "made 3" && job_end program
}

# Periodic checkpoints meet one that waits.  Whether one of them is the last, later than
# the answer, nobody can tell: what it comes back to is not asked here.
with_interval() {
	job_start script script --checkpoint=0:1 && asks script made && asks script made && asks script made && job_end script
}

# In a pipe or not, more than one at once are served one after the other.
at_once() {
	cat >"$bin/both" <<-'END'
		#!/bin/bash
		cd "$1" || exit
		touch ready
		until [ -e go ]; do :; done
		(ckctl create self >one) & (ckctl create self >two) & wait
		cat one two >answered.new
		mv answered.new answered
		until [ -e stop ]; do :; done
		touch passed
	END
	chmod +x "$bin/both"
	job_start both both && asks both made || return
	[ "$(grep -c '^made' both/answered)" = 2 ] && job_end both && return
	why "the two were answered: $(cat both/answered both.out)"
	return 1
}

nobody() {
	refused 9 "ckctl run" ckctl create self && refused 9 "nobody could make" ckctl check self &&
		refused 9 "job 5" env SLURM_JOB_ID=5 ckctl create self && refused 2 self ckctl run --name=self true || return
	python3 "$bin/program" "$work" & local pid=$!
	"$waitfor" "$wait_s" file possible && grep -q '^0 nobody could make' possible && touch go &&
		"$waitfor" "$wait_s" file answered && grep -q '^None 1 nobody could make' answered
	local rc=$?
	touch stop
	wait $pid
	return $rc
}

not_ours() {
	cat "$foreign_dir/said"
	grep -qx "status 4" "$foreign_dir/said" && grep -q "another user's" "$foreign_dir/said" && [ ! -e "$foreign_dir/foreign.ckpt" ]
}

check "a script asks, and is answered otherwise when it is restarted" of_itself script
job_cleanup script
check "the same in a substitution" of_itself substitution
job_cleanup substitution
check "what the script reads, and its status" with_status
job_cleanup script
check "a program, by the library" of_itself program
job_cleanup program
check "it goes on with the state that it had" state_kept
job_cleanup program
check "beside an interval" with_interval
job_cleanup script
check "two at once" at_once
job_cleanup both
check "with nobody to ask" nobody
check "nobody asks for another user's job" not_ours
finish
