#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Two workers; zstd opens and closes its files itself.
set -e
zstd -q -f -T2 -13 "$1/../input" -o "$1/output.zst"
zstd -q -dc "$1/output.zst" | cmp - "$1/../input"
sha256sum <"$1/output.zst" >"$1/result"
