#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# srun_cr with an srun that is none: the socket, what comes over it, and how all ends.
# shellcheck source=tools/tests/lib.sh
. "$(dirname "$0")/lib.sh"
srun_cr=$PWD/build/srun_cr.bin

if ! command -v python3 >/dev/null; then
	echo "ok 1 - srun_cr # SKIP no python3 here"
	echo 1..1
	exit
fi
# Its first argument is how it ends; what it is told is in "said".
cat >"$work/srun" <<'END'
#!/usr/bin/env python3
import os, socket, stat, sys
path = os.environ["SLURM_SRUN_CR_SOCKET"]
def ask(line):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.sendall(line + b"\n")
    return s.makefile().read()
def mark():
    d = "/proc/%d/fd/" % os.getppid()
    return [n for n in (os.readlink(d + f) for f in os.listdir(d)) if "ckpt-step" in n]
with open(os.path.dirname(sys.argv[0]) + "/said", "w") as said:
    s = os.stat(path)
    print("socket", path, stat.S_ISSOCK(s.st_mode), oct(s.st_mode & 0o777), s.st_uid == os.getuid(), file=said)
    print("arguments", *sys.argv[1:], sep="|", file=said)
    print("before", mark(), ask(b"checkpoint"), file=said)
    if os.fork() == 0:
        ask(b"step 9.9")
        os._exit(0)
    os.wait()
    print("stranger", mark(), file=said)
    print("step", repr(ask(b"step 7.3")), mark(), file=said)
    print("again", repr(ask(b"step 8.4")), mark(), file=said)
    print("nonsense", repr(ask(b"nonsense")), repr(ask(b"checkpoint ImageDir=here")), file=said)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), 15)
sys.exit(int(sys.argv[1]))
END
chmod +x "$work/srun"

ends() {	# STATUS ARGUMENT…
	local expected=$1 rc=0
	shift
	SLURM_JOB_ID=7 PATH=$work:$PATH "$srun_cr" "$@" 2>"$work/err" || rc=$?
	[ $rc = "$expected" ] && return
	echo "# srun_cr $* ended with status $rc instead of $expected: $(cat "$work/err")"
	return 1
}
said() { grep -qE -- "$1" "$work/said" || { sed 's/^/# /' "$work/said"; return 1; }; }

check "it ends with srun's status" ends 5 5 "a b" --checkpoint=3
check "srun gets its arguments" said '^arguments\|5\|a b\|--checkpoint=3$'
check "the socket is the user's alone" said '^socket /tmp/srun_cr\.7\.[0-9]+ True 0o700 True$'
check "before there is a step, nothing can be saved" said '^before \[\] \{"code":9,.*not launched'
check "who is not its srun has no step" said '^stranger \[\]$'
check "a step is taken note of, and marked by then" said "^step '' \['/memfd:ckpt-step:7\.3 "
check "there is one" said "^again '' \['/memfd:ckpt-step:7\.3 .*'\]$"
check "what is no request is not answered" said "^nonsense '' ''$"
check "nothing is left" test -z "$(compgen -G "/tmp/srun_cr.7.*")"
check "it dies as srun dies" ends 143 kill
check "it takes arguments" ends 2
check "without srun" env PATH=/nonesuch "$BASH" -c "'$srun_cr' x 2>/dev/null; [ \$? = 127 ]"
finish
