#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   node-off NODE   switch NODE off at once, as if somebody had pulled its plug
#   node-on NODE    switch it on again, and wait until it is idle
#
# On node0 of a cluster of VMs, as root.
set -euo pipefail

what=${0##*/node-}
[ $# = 1 ] || { sed -n 's/^#   //p' "$0" >&2; exit 2; }

# The port can be opened by one process at a time.
exec {turn}>/run/node-ctl.lock
flock "$turn"
exec {ctl}<>/dev/vm-ctl
echo "$what $1" >&"$ctl"
IFS= read -r answer <&"$ctl"
exec {ctl}>&- {turn}>&-
[ "$answer" = ok ] || { echo "${0##*/}: $answer" >&2; exit 1; }
[ "$what" = off ] || exec node-idle "$1"
