#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Seven processes and the six pipes between them. What the memory of the first sort
# does not hold is in temporary files, open and closed ones.
set -e -o pipefail
export LC_ALL=C
head -c 700000 "$1/../input" | od -An -v -tx1 -w2 | tr -d ' ' | sort | uniq -c | sort -k1,1nr -k2,2 |
	awk '{ sum += $1 * NR; print sum, $0 }' >"$1/result"
