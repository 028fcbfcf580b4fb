#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Blocks on two threads; the output is this shell's file, seen by xz as its stdout.
set -e
xz -T2 -2 --block-size=1MiB -c "$1/../input" >"$1/output.xz"
xz -dc "$1/output.xz" | cmp - "$1/../input"
sha256sum <"$1/output.xz" >"$1/result"
