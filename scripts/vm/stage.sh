# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # variables of who sources this
#
# What the VMs get of this repository's: module, tools, test programs; sourced
# by vm.sh and cluster.sh.

# Build module and tools and lay them out for the guest: $STAGE/modules goes
# over /lib/modules, $STAGE/root over /. Sets STAGE (empty: Debian's modules only).
stage_build() {
	local ko='' key
	STAGE=
	if [ -n "$no_build" ]; then
		ko=$REPO/build/$KVER/ckpt.ko
		[ -e "$ko" ] || ko=
	elif [ -e "$REPO/Kbuild" ]; then
		ko=$("$REPO/scripts/build-module.sh" --kernel "$kernel")
	else
		note "There is no Kbuild yet: running without ckpt.ko."
	fi
	[ -n "$ko" ] || return 0
	key=$(sha256sum "$ko" | cut -c1-12)
	STAGE=$CKPT_CACHE/stage/$KVER-$key
	once "$STAGE" stage_modules "$ko"
	touch "$STAGE"
	# Old stages: those that no running machine can be using any more.
	find "$CKPT_CACHE/stage" -mindepth 1 -maxdepth 1 -mtime +1 -exec rm -rf {} + || true
}

stage_modules() {	# CKPT.KO DIR
	local ko=$1 dir=$2
	mkdir -p "$dir/lib/modules/$KVER"
	if [ -d "$KDIR/lib/modules/$KVER" ]; then
		cp -al "$KDIR/lib/modules/$KVER" "$dir/lib/modules/"
		# depmod writes in place; keep it off the linked originals.
		find "$dir/lib/modules/$KVER" -maxdepth 1 -name 'modules.*' ! -name modules.order \
			! -name 'modules.builtin*' -delete
	fi
	mkdir -p "$dir/lib/modules/$KVER/extra"
	cp "$ko" "$dir/lib/modules/$KVER/extra/ckpt.ko"
	depmod -b "$dir" "$KVER" 2>/dev/null
}

tools_install() {	# DIR: a private install tree of the tools
	local rc=0 bin=$REPO/tools/build/ckctl.bin
	if [ ! -e "$REPO/tools/Makefile" ]; then
		note "There is no tools/Makefile yet: running without ckctl."
	elif [ -n "$no_build" ]; then
		[ ! -x "$bin" ] || install -D "$bin" "$1/usr/local/bin/ckctl"
	else
		mkdir -p "$REPO/build"
		{
			flock 7
			make -s -C "$REPO/tools" -j2 all >&2 7>&- || rc=$?
			[ $rc != 0 ] || make -s -C "$REPO/tools" install DESTDIR="$1" PREFIX=/usr/local >"$run/install" 2>&1 7>&- ||
				install -D "$bin" "$1/usr/local/bin/ckctl" || { rc=$?; cat "$run/install" >&2; }
		} 7>"$REPO/build/.lock.tools"
		[ $rc = 0 ] || die "The tools do not build; see the messages above."
	fi
}

# The Slurm plugin, for the release that is in the root file system.
plugin_install() {	# DIR ROOT-FILE-SYSTEM
	local plugins
	[ -z "$no_build" ] || return 0
	plugins=$(find "$2/usr/lib" -name libslurmfull.so -printf '/usr/lib/%P' -quit)
	{
		flock 7
		make -s -C "$REPO/tools" install-slurm SLURM_INCLUDE="$2/usr/include" SLURM_PLUGINDIR="${plugins%/*}" \
			DESTDIR="$1" >"$run/install" 2>&1 7>&- || { cat "$run/install" >&2; die "The Slurm plugin does not build."; }
	} 7>"$REPO/build/.lock.tools"
}

# The test programs: here a failure is only worth a word, the command may not
# need them. (make check builds them first, and stops.)
selftests_build() {
	[ -z "$no_build" ] && [ -e "$REPO/selftests/Makefile" ] || return 0
	{
		flock 7
		make -s -C "$REPO/selftests" -j2 all >"$run/selftests" 2>&1 7>&- ||
			{ tail -n 5 "$run/selftests" >&2; note "Some test programs in selftests do not build: running without them."; }
	} 7>"$REPO/build/.lock.selftests"
}
