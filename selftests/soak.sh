#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=86400
# shellcheck disable=SC2317,SC2086 # check() calls the functions; what is unquoted is one word
#
#   selftests/soak.sh [MINUTES]		(make soak MINUTES=n)
#
# Checkpoint, kill, restart, verify, again, for so long. After each round what the
# kernel and the machine hold is printed. The median of the last third must not be
# above that of the middle third by more than it varies: what leaks once a round
# grows by a third of the rounds between them. The first third is to warm up.

# shellcheck source=selftests/lib.sh
. "$(dirname "$0")/lib.sh"

minutes=${1:-10}
seed_random
echo 4194304 >/proc/sys/kernel/pid_max
samples=$work/samples

# What there is to see: name, allowance, and in sample() how to see it. Slab caches
# are those of which a checkpoint or restart takes objects.
caches=(task_struct mm_struct vm_area_struct signal_cache sighand_cache files_cache cred_jar pid filp anon_vma
	kmalloc-64 kmalloc-96 kmalloc-128 kmalloc-192 kmalloc-256 kmalloc-512 kmalloc-1k kmalloc-2k kmalloc-4k kmalloc-8k)
columns=(available_kB unreclaimable_kB percpu_kB vmalloc_kB processes open_files module_refs cgroups mounts "${caches[@]}")

allowance() {	# COLUMN: of noise
	case $1 in
	available_kB) echo 4096 ;;
	unreclaimable_kB) echo 1024 ;;
	percpu_kB | vmalloc_kB) echo 256 ;;
	processes | module_refs | cgroups | mounts) echo 0 ;;
	open_files) echo 16 ;;
	kmalloc-*) echo 128 ;;
	*) echo 64 ;;
	esac
}

meminfo() { awk -v what="$1:" '$1 == what { print $2 }' /proc/meminfo; }

# Without what only waits to be used again.
sample() {
	local c
	sync
	echo 3 >/proc/sys/vm/drop_caches
	for c in "${caches[@]}"; do
		[ ! -w "/sys/kernel/slab/$c/shrink" ] || echo 1 >"/sys/kernel/slab/$c/shrink"
	done
	{
		meminfo MemAvailable
		meminfo SUnreclaim
		meminfo Percpu
		meminfo VmallocUsed
		# Of these, the kernel has as many as it has work for.
		pgrep -c -v '^kworker/'
		cut -f 1 /proc/sys/fs/file-nr
		awk '$1 == "ckpt" { print $3 }' /proc/modules
		find /sys/fs/cgroup -type d | wc -l
		wc -l </proc/mounts
		for c in "${caches[@]}"; do
			awk -v c=$c '$1 == c { n = $2 } END { print n + 0 }' /proc/slabinfo
		done
	} | tr '\n' ' '
	echo
}

round() {
	local moment
	draw moment 300000
	pause_us $moment
	job_create mixed -q && image_proved "$images/mixed.ckpt" && image_clean "$images/mixed.ckpt" &&
		job_works mixed && job_kill mixed && job_restart mixed -q && job_works mixed && no_session
}

soak() {
	local end=$((SECONDS + minutes * 60)) n=0
	echo "${columns[*]}" >"$samples"
	echo "#    ${columns[*]}"
	while [ $SECONDS -lt $end ] || [ $n -lt 9 ]; do
		n=$((n + 1))
		if ! round >"$work/round" 2>&1; then
			echo "in round $n: $(cat "$reason" "$work/round")" >"$work/broken"
			return
		fi
		sample >>"$samples"
		printf '# %s: %s\n' $n "$(tail -n 1 "$samples")"
	done
}

medians() {	# COLUMN: of the middle and the last third
	awk -v c="$1" '
		function median(from, to, i, j, t, n, v) {
			for (i = from; i < to; i++) v[n++] = value[i]
			for (i = 1; i < n; i++)
				for (j = i; j > 0 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
			return v[int(n / 2)]
		}
		NR == 1 { for (i = 1; i <= NF; i++) if ($i == c) at = i; next }
		{ value[NR - 2] = $at }
		END { n = NR - 1; third = int(n / 3); print median(third, 2 * third), median(2 * third, n) }' "$samples"
}

judge() {	# COLUMN
	local middle last growth
	read -r middle last < <(medians "$1")
	growth=$((last - middle))
	[ "$1" != available_kB ] || growth=$((-growth))
	measured="$middle, then $last"
	[ $growth -le "$(allowance "$1")" ] && return
	why "it grew by $growth: $middle in the middle third, $last in the last of $(($(wc -l <"$samples") - 1)) rounds"
	return 1
}

unbroken() {
	[ ! -e "$work/broken" ] || why <"$work/broken"
	[ ! -s "$reason" ]
}

check "a mixed job" job_start mixed mixed
soak
check "checkpoint, kill, restart, verify for $minutes minutes" unbroken
if [ "$(wc -l <"$samples")" -gt 9 ]; then
	for c in "${columns[@]}"; do
		measured=
		check "$c" judge "$c"
		echo "# $measured"
	done
fi
check "the job goes on to its end" job_end mixed
finish
