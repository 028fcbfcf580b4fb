#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
#   node-idle [NODE]   wait until NODE, or every node, is idle
#
# Slurm has nothing better to offer than to be asked.
set -u

exec {never}<> <(:)	# "read -t" from it is a pause
end=$((SECONDS + ${NODE_IDLE_S:-120} * ${TIMEOUT_FACTOR:-1}))
while [ $SECONDS -lt $end ]; do
	states=$(timeout 60 sinfo -h -N -o %t ${1:+-n "$1"} 2>/dev/null | sort -u)
	[ "$states" != idle ] || exit 0
	read -r -t 0.2 -u "$never"
done
echo "${0##*/}: still not idle: $(sinfo -h -N -o '%N %t %E' ${1:+-n "$1"} 2>&1)" >&2
exit 1
