#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=scripts/vm/machine.sh
. "$REPO/scripts/vm/machine.sh"

usage() {
	cat <<'END'
usage: scripts/cluster.sh run [option…] [--] COMMAND [ARG…]
       scripts/cluster.sh shell [option…]

Boots a throw-away cluster of virtual machines under Slurm, node0, node1 and so
on, each with ckpt.ko, ckctl and the Slurm plugin installed, runs COMMAND on
node0 as root when all nodes are idle, and ends with its status. "shell" gives
a prompt there instead. Slurm is that of the Debian release that comes with the
kernel: 6.1 is Debian 12's with Slurm 22.05, 6.12 is Debian 13's with Slurm
24.11. On all nodes:

  /src        this repository, read-only
  /share      a directory that they share with each other and with the host
  user, other ordinary users with the ids 1000 and 1001, and homes in /share/home

On node0:

  node-run NODE COMMAND…  run COMMAND as root on NODE
  node-off NODE           switch NODE off at once, as if its plug had been pulled
  node-on NODE            boot it again and wait until it is idle
  node-idle [NODE]        wait until NODE, or every node, is idle

  --nodes N     how many nodes, 2 (default) to 4, with one processor each
  --kernel K    6.1 (default), 6.12 and others, as in scripts/vm.sh
  --mem M       megabytes of memory of each node (1024; 2048 for the debug kernel)
  --rootfs KIND slurm (default), or workflow: with Snakemake and MPI, too
  --share DIR   share DIR, at the same path (default: an empty one at /share)
  --timeout S   seconds until the cluster counts as hung (300; shell: none)
  --env N=V     set a variable for COMMAND; may be repeated
  --log DIR     keep the nodes' kernel logs and Slurm's in DIR
  --no-build    do not build; run without ckpt.ko and ckctl if there are none
  --no-modprobe install ckpt.ko but leave loading it to COMMAND
  --keep-going  a warning in a kernel log is shown but is no failure

Exit status: COMMAND's, or 125 if a node hung, panicked or its kernel warned
(the kernel log is then shown), or 2 if the cluster could not be set up. A node
that COMMAND switched off is no failure.
END
}

nodes=2 rootfs=slurm
ctl=()		# open files with lines for the nodes that run, by number
ends=()		# directories of machines that node-on replaced
asked=		# the node that node0 waits for, and until when: "1 up"
giving_up=	# there is no point in going on: end whatever runs

tell() { echo "$2" >&"${ctl[$1]}"; }

# Describe and boot node K.
node_start() {	# K
	local k=$1 fd line=". /src/scripts/vm/node.sh"
	m=$run/node$k
	mkdir "$m"
	interactive=
	if [ "$k" = 0 ]; then
		if [ "$mode" = shell ]; then
			interactive=1
			line+="; exec bash -l"
		else
			line+="; $(printf '%q ' "${command[@]}")"
		fi
	fi
	# A part of it is the kernel's.
	guest_prepare "$line" VM_NODE "$k" VM_NODES "$nodes" VM_MEMORY $((mem * 3 / 4))
	machine_describe
	node_wire "$k"
	mkfifo "$m"/ctl.{in,out}
	exec {fd}<>"$m/ctl.in"
	ctl[k]=$fd
	node_keep "$k" <&"$terminal" & pids+=($!)
}

# The network has the form of a star: node0 is where all wires end. As a
# server, it takes back a node that was switched off.
# shellcheck disable=SC2054 # QEMU's commas
node_wire() {	# K
	local k=$1 i port=wire0
	if [ "$k" = 0 ]; then
		port=port0
		qemu+=(-netdev hubport,id=port0,hubid=0)
		for ((i = 1; i < nodes; i++)); do
			qemu+=(-netdev "stream,id=wire$i,server=on,addr.type=unix,addr.path=$run/wire$i"
				-netdev "hubport,id=port$i,hubid=0,netdev=wire$i")
		done
	else
		qemu+=(-netdev "stream,id=wire0,server=off,addr.type=unix,addr.path=$run/wire$k")
	fi
	qemu+=(-device "virtio-net-pci,netdev=$port,mac=52:54:00:00:00:0$k,romfile="
		-chardev "pipe,id=ctl,path=$m/ctl" -device virtserialport,chardev=ctl,name=ctl)
}

# Run node K, in a process of its own. All that happens to the nodes is a line
# in $events.
node_keep() {
	local k=$1 reader line
	pids=()
	trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done' EXIT
	trap 'exit 130' INT TERM HUP
	machine_came() { echo "came $k" >&"$events"; }
	while IFS= read -r line; do echo "said $k $line" >&"$events"; done <"$m/ctl.out" & reader=$!
	exec 9<>"$m/ctl.out"
	machine_boot
	exec 9<&-
	wait "$reader"
	echo "ended $k" >&"$events"
}

share_prepare() {
	local dir=$share u
	if [ -z "$dir" ]; then
		dir=$run/share
		chmod 1777 "$dir"
	fi
	for u in user:1000 other:1001; do
		install -d -o "${u#*:}" -g "${u#*:}" "$dir/home/${u%:*}"
	done
}

# The plug is pulled.
node_kill() {	# K
	touch "$run/node$1/off"
	kill -KILL "$(cat "$run/node$1/pid")" || true
} 2>/dev/null

# node0 asks for something.
node0_asks() {	# WHAT NODE
	local what=$1 k=${2#node}
	if [[ $2 != node[1-9] || $k -ge $nodes ]]; then
		tell 0 "there is no $2 that could be switched $what"
	elif [ "$what" = off ] && [ -n "${ctl[k]:-}" ]; then
		asked="$k off"
		node_kill "$k"
	elif [ "$what" = on ] && [ -z "${ctl[k]:-}" ]; then
		asked="$k up"
		ends+=("$run/node$k-${#ends[@]}")
		mv "$run/node$k" "${ends[-1]}"
		node_start "$k"
	else
		tell 0 "$2 is switched $what already"
	fi
}

# One that node0 asked for has come to where it was wanted.
node_reached() {	# K STATE
	[ "$asked" = "$1 $2" ] || return 0
	asked=
	tell 0 ok
}

give_up() {
	local k
	giving_up=1
	for k in "${!ctl[@]}"; do node_kill "$k"; done
}

node_ended() {	# K
	local k=$1 i fd=${ctl[$1]}
	exec {fd}>&-
	unset "ctl[k]"
	if [ "$k" = 0 ]; then
		for i in "${!ctl[@]}"; do tell "$i" end; done
	elif [ -z "${ctl[0]:-}" ]; then
		:	# as it was told
	elif [ -e "$run/node$k/off" ]; then
		node_reached "$k" off
	else
		give_up
	fi
}

# Boot the nodes and serve them until none runs.
cluster_boot() {
	local what k rest i terminal
	mkfifo "$run/events"
	exec {events}<>"$run/events" {terminal}<&0
	node_start 0
	while [ ${#ctl[@]} -gt 0 ]; do
		read -r -u "$events" what k rest
		case $what in
		came)
			if [ -n "$giving_up" ]; then
				node_kill "$k"
			elif [ "$k" = 0 ]; then
				for ((i = 1; i < nodes; i++)); do node_start "$i"; done
			fi
			;;
		said)
			if [ "$k" = 0 ]; then
				# shellcheck disable=SC2086 # two words
				node0_asks $rest ''
			else
				node_reached "$k" "$rest"
			fi
			;;
		ended) node_ended "$k" ;;
		esac
	done
}

# Look at how all nodes ended; ends the script. Their logs are kept if anything
# went wrong, were it COMMAND only.
cluster_judge() {
	local bad='' keep=${log:-$(log_place)} name status f
	mkdir -p "$keep"
	for m in "$run"/node*; do
		name=${m##*/}
		machine_judge "$name" "$keep/$name.log" || bad=1
		for f in "$m"/vm/slurm/*.log; do
			[ ! -e "$f" ] || cp "$f" "$keep/$name.${f##*/}"
		done
	done
	status=$(cat "$run/node0/vm/status" 2>/dev/null) || status=
	if [ -n "$status" ] && { [ -z "$bad" ] || [ -n "$keep_going" ]; }; then
		:
	elif [ -n "$bad" ]; then
		status=125
	else
		note "cluster.sh: the cluster did not come up"
		status=2
	fi
	if [ -n "$log" ]; then
		:
	elif [ "$status" = 0 ]; then
		rm -r "$keep"
	else
		note "cluster.sh: the nodes' logs are in $keep"
	fi
	exit "$status"
}

main() {
	options_parse "run shell" "nodes kernel mem rootfs share timeout env log" "no-build no-modprobe keep-going" "$@"
	[[ $nodes = [234] ]] || die "A cluster has 2 to 4 nodes."
	[[ $rootfs = @(slurm|workflow) ]] || die "A cluster's root file system is slurm or workflow."
	host_prepare
	parts_prepare "$rootfs" "$KSUITE"
	plugin_install "$run/root" "$root"
	share_prepare
	take_slots "$nodes"
	cluster_boot
	cluster_judge
}

# Bash reads on as it goes: the whole script is known before anything runs, so
# that it can be edited meanwhile.
main "$@"
exit
