# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# Shared by the scripts in this directory; sourced, not run.

shopt -s inherit_errexit
# Started by make or not: the makes that we start are not its children.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CKPT_CACHE=${CKPT_CACHE:-${HOME:-/root}/.cache/ckpt}

note() { printf '%s\n' "$*" >&2; }
die() { note "${0##*/}: $*"; exit 2; }

cache_init() {
	mkdir -p "$CKPT_CACHE" || die "The cache directory $CKPT_CACHE cannot be made; set CKPT_CACHE to a writable one."
}

# once TARGET COMMAND…: unless TARGET exists, run COMMAND with the path of a
# temporary place as its last argument, and rename that to TARGET when it
# succeeded. Concurrent callers wait for the first; an interrupted one leaves
# nothing half done. Call it plainly, never in "if" or before "||": there bash
# ignores "set -e", in COMMAND as well.
once() {
	local target=$1; shift
	if [ -e "$target" ]; then return 0; fi
	mkdir -p "${target%/*}"
	(
		exec 8>"$target.lock"
		flock 8
		if [ -e "$target" ]; then exit 0; fi
		trap 'rm -rf "$target.tmp"' EXIT
		rm -rf "$target.tmp"
		"$@" "$target.tmp" 8>&-
		mv -T "$target.tmp" "$target"
	)
}

hash_of() { sha256sum | cut -c1-12; }

host_suite() {
	# shellcheck disable=SC1091
	(. /etc/os-release && echo "$VERSION_CODENAME")
}

# debian_sources RELEASE…: lines of a sources.list for a release of Debian and
# its pockets (trixie trixie-security). What the host's apt has comes from where
# it has it, anything else from the mirrors of the host's own release.
debian_sources() {
	# shellcheck disable=SC2016 # apt expands it
	apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(RELEASE)' |
		awk -v host="$(host_suite)" -v wanted="$*" '
		$1 == "Packages" && !seen[$2, $3]++ { uris[$3] = uris[$3] $2 " " }
		END {
			main = uris[host]
			security = uris[host "-security"]
			if (security == "") { security = main; gsub(/\/? /, "-security ", security) }
			n = split(wanted, release, " ")
			for (i = 1; i <= n; i++) {
				r = release[i]
				u = uris[r] != "" ? uris[r] : r ~ /-security$/ ? security : main
				m = split(u, uri, " ")
				for (j = 1; j <= m; j++)
					print "deb", uri[j], r, "main"
			}
			exit main == ""
		}' || die "The host's apt knows no mirror for $(host_suite); look at /etc/apt/sources.list."
}
