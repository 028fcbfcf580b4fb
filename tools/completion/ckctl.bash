# SPDX-License-Identifier: GPL-2.0
# Completion of ckctl for bash; needs nothing but bash.

_ckctl_options() {	# COMMAND: its long options
	local all='--json --quiet --help'
	case $1 in
	run) echo "$all --checkpoint= --checkpoint-dir= --name= --keep=" ;;
	create) echo "$all --cgroup= --name= --image-dir= --max-wait= --keep= --kill --leave-frozen" \
		"--stop --stream" ;;
	restart) echo "$all --checkpoint= --detach --force --image-dir= --keep= --name= --pid-namespace=" \
		"--pidfile= --stick-to-nodes" ;;
	check | thaw) echo "$all --cgroup=" ;;
	core) echo "$all --output=" ;;
	status) echo "$all --state-table" ;;
	config) echo "$all --check" ;;
	vacate | requeue) echo "$all --image-dir= --max-wait=" ;;
	*) echo "$all" ;;
	esac
}

_ckctl_keywords() {	# COMMAND
	case $1 in
	create | vacate | requeue) echo "ImageDir= MaxWait=" ;;
	restart) echo "ImageDir= StickToNodes" ;;
	esac
}

_ckctl_jobs() {	# the names of the running jobs
	local dir file
	for dir in /run/ckpt "${XDG_RUNTIME_DIR:-/nonexistent}/ckpt" "/run/user/$UID/ckpt" \
		"/tmp/ckpt-$UID"; do
		for file in "$dir"/*.json; do
			[ -O "$file" ] && file=${file##*/} && printf '%s\n' "${file%.json}"
		done
	done
}

_ckctl_slurm_jobs() {	# the user's running jobs of Slurm and their steps
	command -v squeue >/dev/null || return
	squeue -h --me -t running -o %i 2>/dev/null
	squeue -h --me --steps -o %i 2>/dev/null
}

_ckctl_slurm_known() { command -v squeue >/dev/null && squeue -h --me -t all -o %i 2>/dev/null; }

_ckctl_settings() { ckctl -q config 2>/dev/null | sed -n 's/^\([a-z_]*\)  .*/\1/p' | grep -vx file; }

_ckctl_images() {	# WORD: images by path and, here, by name
	local path
	compgen -d -X '!*.ckpt' -- "$1"
	# On the way to one.
	compgen -d -S / -- "$1"
	for path in *.ckpt; do
		[ -d "$path" ] && printf '%s\n' "${path%.ckpt}"
	done
}

# The pids in the image that is before the last word.
_ckctl_pids() {
	ckctl show --json "$1" 2>/dev/null | sed -n 's/^ *"pid": \([0-9]*\),*$/\1/p'
}

_ckctl() {
	local word=${COMP_WORDS[COMP_CWORD]} command='' at=1
	local keywords commands='run create restart list show verify check core status able disable enable error vacate \
		requeue config thaw help'
	COMPREPLY=()
	# bash takes --option=value for three words.
	if [[ $word == '=' ]]; then
		word=''
	fi
	while [ "$at" -lt "$COMP_CWORD" ]; do
		case ${COMP_WORDS[at]} in
		-*) ;;
		*) command=${COMP_WORDS[at]} && break ;;
		esac
		at=$((at + 1))
	done
	if [ -z "$command" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands --json --quiet --help --version" -- "$word")
		return
	fi
	if [[ " ${COMP_WORDS[*]:COMP_CWORD-2:2} " == *' --pid-namespace '* ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'auto always never' -- "$word")
	elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == '=' || $word == '=' ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	elif [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_options "$command")" -- "$word")
	else
		keywords=$(_ckctl_keywords "$command")
		case $command in
		run) mapfile -t COMPREPLY < <(compgen -c -- "$word"; compgen -f -- "$word") ;;
		create)
			mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_jobs; _ckctl_slurm_jobs) self $keywords" -- "$word") ;;
		status | able | disable | enable | error | vacate | requeue)
			mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_slurm_jobs) $keywords" -- "$word") ;;
		check) mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_jobs) self" -- "$word") ;;
		thaw) mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_jobs)" -- "$word") ;;
		restart)
			mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_images "$word"; _ckctl_slurm_known) $keywords" -- "$word") ;;
		show | verify)
			mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_images "$word")" -- "$word") ;;
		core)
			if [ -d "${COMP_WORDS[COMP_CWORD - 1]}" ] || [ -d "${COMP_WORDS[COMP_CWORD - 1]}.ckpt" ]; then
				mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_pids "${COMP_WORDS[COMP_CWORD - 1]}")" -- "$word")
			else
				mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_images "$word")" -- "$word")
			fi ;;
		config) mapfile -t COMPREPLY < <(compgen -W "$(_ckctl_settings)" -- "$word"; compgen -f -- "$word") ;;
		list) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
		help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
		esac
	fi
	[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace
}

complete -F _ckctl ckctl
