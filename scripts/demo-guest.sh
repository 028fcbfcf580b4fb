#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   scripts/demo-guest.sh [N]
#
# The main job, shown to a person: a computation is checkpointed while it runs,
# killed, and goes on from the image to the very result of an undisturbed run.
# "make demo" runs this in a test VM, as root. N is how far it counts.
set -euo pipefail

n=${1:-2000000}
computation="seq 1 $n | xz -T2 -3 --block-size=256KiB | tee numbers.xz | sha256sum"
cgroup=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
cgroup=${cgroup%/}/ckpt-demo
top=/tmp
[ ! -d /mnt/disk ] || top=/mnt/disk
cd "$(mktemp -d -p "$top" demo.XXXXXX)"
exec {pause}<> <(:)		# never readable: "read -t" from it waits
step=0

say() {	# WHAT DETAIL
	step=$((step + 1))
	printf '%2d  %-24s %s\n' $step "$1" "$2"
}

die() {
	echo "demo: $*" >&2
	echo 1 2>/dev/null >"$cgroup/cgroup.kill" || true
	exit 1
}

now() { echo "${EPOCHREALTIME/./}"; }
seconds() { awk -v us="$1" 'BEGIN { printf "%.1f s", us / 1e6 }'; }
field() { sed -n "s/.*\"$2\": *\([0-9.]*\).*/\1/p" "$1"; }

# What comes out says how far it is.
done_percent() {
	local size=0
	[ ! -e numbers.xz ] || size=$(stat -c %s numbers.xz)
	echo $((size * 100 / total))
}
until_percent() {
	while [ "$(done_percent)" -lt "$1" ]; do
		kill -0 $keeper 2>/dev/null || die "the computation ended too early"
		read -r -t 0.02 -u "$pause" || true
	done
}

checkpoint() {
	local at
	until_percent "$1"
	at=$(done_percent)
	ckctl create demo --json >made.json || die "the checkpoint failed"
	say "checkpoint at $at %" "$(awk -v bytes="$(field made.json bytes)" -v s="$(field made.json seconds)" \
		-v still="$(field made.json standstill_ms)" -v tasks="$(field made.json tasks)" \
		-v threads="$(field made.json threads)" 'BEGIN {
			printf "stood still %.1f ms; %d processes, %d threads, %.1f MiB in %.2f s (%.0f MiB/s)",
				still, tasks, threads, bytes / 1048576, s, bytes / 1048576 / s }')"
}

echo "The job: $computation"
echo

t=$(now)
expected=$(bash -c "$computation")
total=$(stat -c %s numbers.xz)
say "undisturbed run" "$(seconds $(($(now) - t))), result ${expected:0:16}…"
rm numbers.xz

# Its output is a pipe to us, which will be another one after the restart.
ckctl run --name=demo --checkpoint-dir=. -- bash -c "$computation" </dev/null > >(cat >before) &
keeper=$!
until_percent 1
say "started by ckctl run" "$(wc -l <"$cgroup/cgroup.procs") processes"

checkpoint 30
checkpoint 55
until_percent 75
at=$(done_percent)
echo 1 >"$cgroup/cgroup.kill"
status=0
wait $keeper || status=$?
[ $status = 137 ] || die "the killed job ended with status $status"
[ ! -d "$cgroup" ] || die "the killed job left its cgroup behind"
say "killed at $at %" "SIGKILL; none of its processes is left"

t=$(now)
ckctl verify demo.ckpt >/dev/null || die "the image is damaged"
say "image verified" "$(du -sh demo.ckpt | cut -f1) in $(seconds $(($(now) - t)))"

t=$(now)
ckctl restart demo.ckpt </dev/null > >(cat >after) 2>restart.log &
keeper=$!
while ! grep -q '^restarted' restart.log; do
	kill -0 $keeper 2>/dev/null || { cat restart.log >&2; die "the restart failed"; }
	read -r -t 0.01 -u "$pause" || true
done
say "restarted" "running after $(seconds $(($(now) - t))), again at $(done_percent) %"
wait $keeper || die "the restarted job failed: $(cat restart.log)"
say "finished" "$(seconds $(($(now) - t))) later, result $(cut -c1-16 after)…"
echo

result=$(cat before after)
if [ "$result" != "$expected" ]; then
	echo "DIFFERENT: the undisturbed run says $expected"
	echo "           the restarted one says   ${result:-nothing}"
	exit 1
fi
[ "$(sha256sum <numbers.xz)" = "$expected" ] || die "the file that it wrote is another one"
say "compared" "the restarted job's result and the file it wrote equal the undisturbed run's"
echo "    ${expected%% *}"
