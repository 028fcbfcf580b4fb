#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# timeout=900
# shellcheck disable=SC2317 # check() calls the functions
#
# The options of the Slurm plugin: what srun, sbatch and salloc take, and from
# where, and what they refuse. What comes of it is seen from within the job.

# shellcheck source=selftests/slurm/lib.sh
. "$(dirname "$0")/lib.sh"

probe=$here/slurm/probe
images=$work/images
as_user mkdir "$images" "$images/other"

expect() {	# EXPECTED FOUND
	[ "$1" = "$2" ] && return 0
	why "the schedule is \"$2\" instead of \"$1\""
	return 1
}

# What a step gets to see.
step() {	# EXPECTED [VARIABLE=VALUE…] [--] SRUN-OPTION…
	local expected=$1 vars=() found
	shift
	while [[ ${1:-} = [A-Z]*=* ]]; do vars+=("$1"); shift; done
	found=$(as_user "${vars[@]}" srun -Q -n1 "$@" "$probe") || { why "srun ended with status $?"; return 1; }
	expect "$expected" "$found"
}

# What a batch job gets to see; $lines come after its #!/bin/bash.
lines=
batch() {	# EXPECTED [VARIABLE=VALUE…] SBATCH-OPTION…
	local expected=$1 vars=() name=b$RANDOM
	shift
	while [[ ${1:-} = [A-Z]*=* ]]; do vars+=("$1"); shift; done
	{ echo '#!/bin/bash'; echo "$lines"; echo "$probe $work/$name"; } >"$name.sh"
	as_user "${vars[@]}" sbatch -Q -o "$work/$name.out" "$@" "$name.sh" && file_await "$name" || return
	expect "$expected" "$(cat "$name")"
}

# A command that is refused with this sentence, and starts nothing.
refused() {	# SENTENCE COMMAND…
	local sentence=$1 jobs rc=0
	shift
	jobs=$(scontrol show config | sed -n 's/^NEXT_JOB_ID *= //p')
	as_user "$@" >refused.out 2>&1 || rc=$?
	cat refused.out
	[ $rc = 0 ] && { why "it is not refused"; return 1; }
	grep -qF -- "$sentence" refused.out || { why "it says \"$(cat refused.out)\" instead of \"$sentence\""; return 1; }
	[ "$(grep -c error refused.out)" = 1 ] || { why "it says more than one sentence"; return 1; }
	[ "$(scontrol show config | sed -n 's/^NEXT_JOB_ID *= //p')" = "$jobs" ] || { why "but a job was made"; return 1; }
}
forms="accepted are minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes and days-hours:minutes:seconds"
no_interval() {	# TEXT OPTION COMMAND…
	local text=$1 option=$2
	shift 2
	refused "error: $option: \"$text\" is no interval; $forms" "$@"
}

# ---- srun ----

check "srun --checkpoint=<interval>, SLURM_CHECKPOINT: default: none" step none
check "srun --checkpoint=<interval>, and --checkpoint-dir=<dir>: default: the current working directory" step "300 $work" --checkpoint=5
check "srun SLURM_CHECKPOINT: <interval>" step "300 $work" SLURM_CHECKPOINT=5
check "srun --checkpoint-dir=<dir>: where the images go" step "300 $images" --checkpoint=5 --checkpoint-dir="$images"
check "srun --checkpoint-dir=<dir>, relative" step "300 $images" --checkpoint=5 --checkpoint-dir=images
check "srun SLURM_CHECKPOINT_DIR: where the images go" step "300 $images" SLURM_CHECKPOINT_DIR="$images" --checkpoint=5
check "srun --chdir: that is the working directory" step "300 $images" --checkpoint=5 --chdir="$images"
check "srun: the command line beats the environment" step "420 $images/other" SLURM_CHECKPOINT=5 \
	SLURM_CHECKPOINT_DIR="$images" --checkpoint=7 --checkpoint-dir="$images/other"
check "srun: a bad variable that the command line beats" step "420 $work" SLURM_CHECKPOINT=soon --checkpoint=7
check "srun: an empty variable is none" step none SLURM_CHECKPOINT=
check "srun does not know SBATCH_CHECKPOINT" step none SBATCH_CHECKPOINT=5
check "srun --export=NONE" step "300 $images" --checkpoint=5 --checkpoint-dir=images --export=NONE
check "srun --unbuffered" step "300 $work" --checkpoint=5 --unbuffered

check "interval: minutes" step "420 $work" --checkpoint=7
check "interval: minutes:seconds, seconds count" step "91 $work" --checkpoint=1:31
check "interval: hours:minutes:seconds" step "3723 $work" --checkpoint=1:02:03
check "interval: days-hours" step "93600 $work" --checkpoint=1-2
check "interval: days-hours:minutes" step "93780 $work" --checkpoint=1-2:3
check "interval: days-hours:minutes:seconds" step "93784 $work" --checkpoint=1-2:3:4
check "interval: 0 is none" step none --checkpoint=0

for text in abc 1h 1.5 -1 1: 1- 1:2:3:4 1-2:3:4:5 UNLIMITED " 5" ""; do
	check "srun refuses the interval \"$text\"" no_interval "$text" --checkpoint srun --checkpoint="$text" hostname
done
check "srun refuses a bad SLURM_CHECKPOINT" no_interval soon SLURM_CHECKPOINT env SLURM_CHECKPOINT=soon srun hostname

touch file
as_user mkdir -m 555 closed
dirs_refused() {	# COMMAND…
	local command=$1
	shift
	refused "--checkpoint-dir: cannot use the image directory nonesuch: No such file" "$command" --checkpoint-dir=nonesuch "$@" &&
		refused "--checkpoint-dir: file is no directory" "$command" --checkpoint-dir=file "$@" &&
		refused "--checkpoint-dir: you may not write in the image directory closed" "$command" --checkpoint-dir=closed "$@" &&
		refused "SLURM_CHECKPOINT_DIR: file is no directory" env SLURM_CHECKPOINT_DIR=file "$command" "$@"
}
check "srun refuses a directory that does not exist, is none, cannot be written" dirs_refused srun hostname
check "srun refuses a restart directory that does not exist" refused \
	"--restart-dir: cannot restart from nonesuch: No such file" srun --restart-dir=nonesuch hostname
check "srun refuses a restart directory that is none" refused "--restart-dir: cannot restart from file: it is no directory" \
	srun --restart-dir=file hostname
check "srun refuses a bad SLURM_RESTART_DIR" refused "SLURM_RESTART_DIR: cannot restart from nonesuch" \
	env SLURM_RESTART_DIR=nonesuch srun hostname

check "srun --pty is refused with --checkpoint" refused "--checkpoint: steps with --pty cannot be checkpointed" \
	srun --pty --checkpoint=5 hostname
check "srun --pty is refused with SLURM_CHECKPOINT" refused "SLURM_CHECKPOINT: steps with --pty cannot be checkpointed" \
	env SLURM_CHECKPOINT=5 srun --pty hostname
check "srun --pty is refused with --restart-dir" refused "--restart-dir: steps with --pty cannot be continued" \
	srun --pty --restart-dir=images hostname
at_terminal() { as_user script -q -e -c "$*" /dev/null <&"$never"; }
check "srun --pty --checkpoint=0 is not" at_terminal SLURM_CHECKPOINT=5 srun --pty --checkpoint=0 hostname

# ---- sbatch ----

check "sbatch without an option: none" batch none
check "sbatch --checkpoint=<interval>, default directory" batch "300 $work" --checkpoint=5
check "sbatch --checkpoint-dir=<dir>" batch "300 $images" --checkpoint=5 --checkpoint-dir=images
check "sbatch --chdir: that is the working directory" batch "300 $images" --checkpoint=5 --chdir="$images"
lines=$'#SBATCH --checkpoint=1:30\n#SBATCH --checkpoint-dir=images'
check "#SBATCH --checkpoint=<interval> and --checkpoint-dir=<dir>" batch "90 $images"
lines=
for v in SBATCH SLURM; do
	check "sbatch ${v}_CHECKPOINT/${v}_CHECKPOINT_DIR both work" batch "300 $images" ${v}_CHECKPOINT=5 \
		${v}_CHECKPOINT_DIR="$images"
done
check "SBATCH_CHECKPOINT/SBATCH_CHECKPOINT_DIR and SLURM_CHECKPOINT/SLURM_CHECKPOINT_DIR: the SBATCH_ ones first" batch "300 $images" SBATCH_CHECKPOINT=5 SLURM_CHECKPOINT=6 \
	SBATCH_CHECKPOINT_DIR="$images" SLURM_CHECKPOINT_DIR="$images/other"
lines=$'#SBATCH --checkpoint=6\n#SBATCH --checkpoint-dir=images/other'
check "the environment beats #SBATCH lines" batch "300 $images" SLURM_CHECKPOINT=5 SLURM_CHECKPOINT_DIR=images
check "the command line beats the environment and #SBATCH lines" batch "420 $images" SBATCH_CHECKPOINT=5 \
	SBATCH_CHECKPOINT_DIR="$images/other" --checkpoint=7 --checkpoint-dir="$images"
lines=
for export in ALL NONE FOO=bar; do
	check "sbatch --export=$export" batch "300 $images" --export=$export --checkpoint=5 --checkpoint-dir=images
done
check "sbatch refuses the interval of the command line" no_interval abc --checkpoint \
	sbatch --checkpoint=abc --wrap hostname
printf '#!/bin/bash\n#SBATCH --checkpoint=1h\n' >bad.sh
check "sbatch refuses the interval of an #SBATCH line" no_interval 1h --checkpoint sbatch bad.sh
for v in SBATCH_CHECKPOINT SLURM_CHECKPOINT; do
	check "sbatch refuses a bad $v" no_interval soon $v env $v=soon sbatch --wrap hostname
done
check "sbatch refuses a directory that does not exist, is none, cannot be written" dirs_refused sbatch --wrap=hostname

array() {
	{ echo '#!/bin/bash'; echo "$probe $work/array.\$SLURM_ARRAY_TASK_ID"; } >array.sh
	as_user sbatch --array=1-2 --checkpoint=5 -o "array-%A_%a.out" array.sh && file_await array.1 && file_await array.2 &&
		expect "300 $work" "$(cat array.1)" && expect "300 $work" "$(cat array.2)"
}
check "each task of a job array has its schedule" array
check "a heterogeneous job is refused" refused "--checkpoint: heterogeneous jobs cannot be checkpointed" \
	sbatch --checkpoint=5 -n1 --wrap hostname : -n1
check "a heterogeneous job, by its second component" refused "--checkpoint: heterogeneous jobs cannot be checkpointed" \
	sbatch -n1 --wrap hostname : -n1 --checkpoint=5

# The job's output file has this already.
appends() {	# EXPECTED SBATCH-OPTION…
	local expected=$1
	shift
	rm -f append.out append
	echo before >append.out
	chown user: append.out
	as_user sbatch -o append.out "$@" --wrap "echo after; touch $work/append" && file_await append || return
	[ "$(tr '\n' ' ' <append.out)" = "$expected " ] && return 0
	why "the output is $(cat append.out)"
	return 1
}
check "output is appended to by default, with --checkpoint" appends "before after" --checkpoint=5
check "without --checkpoint it is not" appends after
check "--open-mode=truncate is respected" appends after --checkpoint=5 --open-mode=truncate

# ---- steps of a batch job ----

inside() {	# EXPECTED "COMMAND FILE" [VARIABLE=VALUE…] SBATCH-OPTION…: of a command in a batch job
	local expected=$1 name=i$RANDOM command=$2 vars=()
	shift 2
	while [[ ${1:-} = [A-Z]*=* ]]; do vars+=("$1"); shift; done
	{ echo '#!/bin/bash'; echo "${command//FILE/$work/$name}; echo \$? >$work/$name.rc.new; mv $work/$name.rc.new $work/$name.rc"; } >"$name.sh"
	as_user "${vars[@]}" sbatch -Q -o "$name.out" "$@" "$name.sh" && file_await "$name.rc" || return
	[ "$(cat "$name.rc")" = 0 ] || { why "it fails: $(cat "$name.out")"; return 1; }
	file_await "$name" && expect "$expected" "$(cat "$name")"
}
check "a job-level interval replaces step-level ones: inherited" inside none "srun $probe FILE" --checkpoint=5
check "a job-level interval replaces step-level ones: explicit" inside none "srun --checkpoint=3 $probe FILE" --checkpoint=5
check "a job-level interval replaces step-level ones: of the environment" inside none \
	"SLURM_CHECKPOINT=soon srun $probe FILE" --checkpoint=5
check "a job-level interval replaces step-level ones: --export=NONE" inside none \
	"srun --export=NONE --checkpoint=3 $probe FILE" --checkpoint=5
check "a step of a job without one has its own" inside "180 $images" \
	"srun --checkpoint=3 --checkpoint-dir=images $probe FILE"
check "sbatch --checkpoint-dir=<dir>: where the images of every step go" inside "180 $images" \
	"srun --checkpoint=3 $probe FILE" --checkpoint-dir=images
check "sbatch --checkpoint-dir=<dir>: of every step, with --export=NONE" inside "180 $images" \
	"srun --export=NONE --checkpoint=3 $probe FILE" --checkpoint-dir=images
check "sbatch --checkpoint-dir=<dir>, and a step with another" inside "180 $images/other" \
	"srun --checkpoint=3 --checkpoint-dir=images/other $probe FILE" --checkpoint-dir=images
check "the command line beats the environment, for every step: --checkpoint=0" inside none "srun $probe FILE" \
	SLURM_CHECKPOINT=5 --checkpoint=0
check "the command line beats the environment, for every step: --checkpoint-dir=<dir>" inside "180 $images" \
	"srun --checkpoint=3 $probe FILE" SLURM_CHECKPOINT_DIR="$images/other" --checkpoint-dir=images
check "the SBATCH_ ones first, for every step" inside none "srun $probe FILE" SBATCH_CHECKPOINT=0 SLURM_CHECKPOINT=5
check "a step of ckctl's own has none" inside none "CKPT_HELPER=1 srun --checkpoint=3 $probe FILE"
check "a job that is submitted by a job has not inherited it" inside none \
	"sbatch -o /dev/null --wrap '$probe FILE'" --checkpoint=5
check "a job that is submitted by a job has not inherited its directory" inside "180 $work" \
	"sbatch -o /dev/null --wrap 'srun --checkpoint=3 $probe FILE'" --checkpoint-dir=images
check "SLURM_CHECKPOINT_IMAGE_DIR is the directory of the job that was given one" inside "$images, then none" \
	"d=\$SLURM_CHECKPOINT_IMAGE_DIR sbatch -o /dev/null --wrap 'echo \$d, then \${SLURM_CHECKPOINT_IMAGE_DIR:-none} >FILE.new; mv FILE.new FILE'" \
	--checkpoint-dir=images
check "a job that is submitted by a step has not inherited it" inside none \
	"srun --checkpoint=3 sbatch -o /dev/null --wrap '$probe FILE'"

# ---- salloc, and the rest ----

within_salloc() {	# EXPECTED SALLOC-OPTION… -- SRUN-OPTION…
	local expected=$1 options=()
	shift
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	shift
	expect "$expected" "$(as_user salloc -Q "${options[@]}" srun -Q -n1 "$@" "$probe")"
}
check "salloc --checkpoint is for its steps" within_salloc "300 $images" --checkpoint=5 --checkpoint-dir=images --
check "salloc --checkpoint, and a step with another" within_salloc "180 $images" --checkpoint=5 --checkpoint-dir=images \
	-- --checkpoint=3
check "salloc refuses a bad interval" no_interval abc --checkpoint salloc --checkpoint=abc hostname

marked() {
	as_user srun -n1 -w node0 sleep 30 & local srun
	await "$wait_s" pgrep -x -u user sleep || return
	srun=$(pgrep -o -x -u user srun)
	ls -l "/proc/$srun/fd"
	[ -n "$(find "/proc/$srun/fd" -lname '*memfd:ckpt-step:[0-9]*.0 *')" ] || { why "srun has no mark of its step"; return 1; }
	scancel -u user
	wait
	return 0
}
check "srun is marked with the step that it launched" marked
helped() { as_user "$1" --help | tr -s ' \n' ' ' | grep -F -- "--checkpoint=interval checkpoint at this interval" |
	grep -F "directory for the images (default: the site's, or the working directory)"; }
for command in srun sbatch salloc; do check "$command --help has the options" helped $command; done
none_drained() { sinfo -N; ! sinfo -h -N -o %T | grep drain; }
check "no node was drained" none_drained
finish
