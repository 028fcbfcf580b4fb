# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Makes the VM a node of a cluster; sourced by the command that cluster.sh
# gives to guest-init.sh. On node0 it comes back when all nodes are idle, on
# the others when the cluster ends.
#
# The host is talked to through the port /dev/vm-ctl, in lines: the others say
# "up" and wait for "end"; node0 asks for a node to be switched off or on.

# shellcheck source=/dev/null
. /run/vm/config

node_die() {
	echo "node$VM_NODE: $*" >&2
	tail -n 20 /var/log/slurm/*.log >&2
	exit 2
}

node_network() {
	local n
	echo "node$VM_NODE" >/proc/sys/kernel/hostname
	echo "127.0.0.1 localhost" >/etc/hosts
	for ((n = 0; n < VM_NODES; n++)); do
		echo "10.0.0.$((n + 1)) node$n"
	done >>/etc/hosts
	modprobe -qa virtio_net
	ip addr add "10.0.0.$((VM_NODE + 1))/24" dev eth0
	ip link set eth0 up
}

# Everything that this node has of its own, before any daemon looks at it.
node_files() {
	local f
	sed -i "s|:/home/|:$VM_SHARE/home/|" /etc/passwd
	for f in /src/scripts/vm/node/*; do
		[[ $f = *node-ctl.sh ]] || ln -s "$f" "/usr/local/bin/$(basename "${f%.*}")"
	done
	ln -s /src/scripts/vm/node/node-ctl.sh /usr/local/bin/node-off
	ln -s /src/scripts/vm/node/node-ctl.sh /usr/local/bin/node-on
	sed -e "s/@LAST@/$((VM_NODES - 1))/" -e "s/@MEMORY@/$VM_MEMORY/" /src/scripts/vm/slurm/slurm.conf >/etc/slurm/slurm.conf
	cp /src/scripts/vm/slurm/cgroup.conf /etc/slurm/
	# The logs are the host's, who has them when the machine is gone, too.
	rm -r /var/log/slurm
	mkdir /run/vm/slurm
	chown slurm: /run/vm/slurm
	ln -s /run/vm/slurm /var/log/slurm
	install -d -o munge -g munge /run/munge
	# slurmd expects from systemd that there is a slice.
	mkdir /sys/fs/cgroup/system.slice
	for f in cpu cpuset memory pids io; do
		echo "+$f" >/sys/fs/cgroup/system.slice/cgroup.subtree_control
	done
}

# Munge comes first: nobody believes anybody without. Each of these returns
# when its daemon is ready.
node_daemons() {
	local ctld=''
	runuser -u munge -- munged || node_die "munged does not start"
	if [ "$VM_NODE" = 0 ]; then
		slurmctld & ctld=$!
	fi
	slurmd || node_die "slurmd does not start"
	[ -z "$ctld" ] || wait "$ctld" || node_die "slurmctld does not start"
}

export CKPT_NODES=$VM_NODES CKPT_SHARE=$VM_SHARE	# for tests
node_network
node_files
node-run --serve </dev/null >/dev/null 2>&1 &
node_daemons </dev/null >/run/daemons 2>&1 || { cat /run/daemons >&2; exit 2; }
if [ "$VM_NODE" = 0 ]; then
	node-idle || node_die "not all nodes came up: $(sinfo -h -N -o '%N %t')"
else
	exec {ctl}<>/dev/vm-ctl
	echo up >&"$ctl"
	IFS= read -r _ <&"$ctl"
fi
