# SPDX-License-Identifier: GPL-2.0
# "make help" tells what there is. The module's own list of objects is in Kbuild.

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
# The kernel to build for: the running one if its headers are here, else the
# newest that has some, as on a build machine.
KVER ?= $(shell scripts/build-module.sh --pick-release)
MODULE = build/$(KVER)/ckpt.ko
JOBS ?= $(shell nproc)
# Names of tests for "make test"; arguments for the programs of bench and demo.
T ?=
ARGS ?=
K ?= 6.12
# Rounds of faults, minutes of soak.
N ?= 500
MINUTES ?= 10
# Of the kernels, some targets take one, and only when it was asked for.
one_kernel = $(if $(filter command,$(firstword $(origin K))),$(firstword $(K)),default)
one_factor = $(if $(filter debug,$(one_kernel)),10,1)
# The tests in a cluster with the root file system $(1).
in_cluster = scripts/cluster.sh run --kernel $(one_kernel) --rootfs $(1) --timeout $$((2400 * $(one_factor))) -- \
	/src/selftests/run-all.sh --dir slurm --timeout-factor $(one_factor)

export PREFIX SYSCONFDIR DESTDIR
# Targets are steps with side effects; the scripts parallelise inside.
.NOTPARALLEL:
.PHONY: all help deps module tools selftests install install-slurm uninstall demo test check \
	check-debug check-kernels check-slurm cluster faults soak packages lint unit bench shell clean

all: module tools ## build ckpt.ko, ckctl and, with Slurm's headers, its plugin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "Variables: KVER=$(KVER) PREFIX=$(PREFIX) SYSCONFDIR=$(SYSCONFDIR) DESTDIR=$(DESTDIR) T= ARGS= K= N=$(N) MINUTES=$(MINUTES)"

deps: ## install what is needed from Debian (as root)
	scripts/deps.sh

module: ## build ckpt.ko for the running kernel, or for KVER=release
	@[ "$(KVER)" = "$$(uname -r)" ] || echo "Building for kernel $(KVER); this one, $$(uname -r), has no headers here or was not asked for."
	scripts/build-module.sh --release "$(KVER)"

tools: ## build ckctl
	@mkdir -p build
	flock build/.lock.tools $(MAKE) -C tools -j$(JOBS) all

selftests: ## build the test programs
	@mkdir -p build
	@[ ! -e selftests/Makefile ] || flock build/.lock.selftests $(MAKE) -C selftests -j$(JOBS) all

install: module tools ## install module, ckctl, srun_cr, library, manual page and completion (as root; DESTDIR, PREFIX)
	install -D -m 0644 "$(MODULE)" "$(DESTDIR)/lib/modules/$(KVER)/extra/ckpt.ko"
	$(MAKE) -C tools install
	@# Packages (DESTDIR) do these where they are installed.
	[ -n "$(DESTDIR)" ] || depmod -a "$(KVER)"
	[ -n "$(DESTDIR)" ] || ldconfig
	[ -n "$(DESTDIR)" ] || setcap cap_checkpoint_restore+ep "$(PREFIX)/bin/ckctl"

install-slurm: ## install the Slurm plugin, prolog, epilog (SLURM_INCLUDE, SLURM_RELEASE, SLURM_PLUGINDIR, SLURM_CONFDIR)
	@mkdir -p build
	flock build/.lock.tools $(MAKE) -C tools install-slurm

uninstall: ## remove what install and install-slurm put there
	$(MAKE) -C tools uninstall-slurm
	rm -f "$(DESTDIR)/lib/modules/$(KVER)/extra/ckpt.ko" "$(DESTDIR)$(PREFIX)/bin/ckctl" \
		"$(DESTDIR)$(PREFIX)/libexec/ckpt-job-task" "$(DESTDIR)$(PREFIX)/bin/srun_cr" \
		"$(DESTDIR)$(PREFIX)/lib/libckpt_self.so" "$(DESTDIR)$(PREFIX)/include/ckpt_self.h" \
		"$(DESTDIR)$(PREFIX)/share/man/man8/ckctl.8" "$(DESTDIR)$(PREFIX)/share/man/man5/ckpt.conf.5" \
		"$(DESTDIR)$(SYSCONFDIR)/ckpt/ckpt.conf.example" \
		"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/ckctl"
	[ -n "$(DESTDIR)" ] || depmod -a "$(KVER)"

demo: deps ## see it work: a job under Slurm loses its node and goes on, in two test VMs
	scripts/cluster.sh run --timeout 600 -- /src/scripts/demo-cluster.sh $(ARGS)

demo-run: deps ## the same without Slurm, in one VM: ckctl run, create, restart
	scripts/vm.sh run --disk 2G -- /src/scripts/demo-guest.sh $(ARGS)

check: deps ## all checks: static, unit tests, tests in a VM
	@scripts/check.sh

test: deps selftests ## some tests in a VM: T="name name"
	scripts/vm.sh run --rootfs full --disk 2G --timeout 1500 $(SEED:%=--env SEED=%) -- /src/selftests/run-all.sh -v $(T)

check-debug: deps ## the tests on a kernel with KASAN, lockdep, kmemleak, failslab (builds it once)
	scripts/deps.sh --debug
	@scripts/check.sh --kernel debug vm

check-kernels: deps ## the tests on another kernel than 6.1, K=6.12
	@for k in $(K); do scripts/check.sh --kernel $$k vm || exit; done

check-slurm: deps selftests ## the tests under Slurm, in a cluster of VMs; K=6.12: Debian 13's Slurm
	$(call in_cluster,workflow)

cluster: deps selftests ## a prompt in a cluster, or some tests there: T="name name"
	$(if $(T),$(call in_cluster,$(if $(filter snakemake mpi,$(T)),workflow,slurm)) -v $(T),scripts/cluster.sh shell --kernel $(one_kernel))

faults: deps selftests ## ckctl and tasks killed at N=500 random moments; K=debug: failing allocations, too
	scripts/vm.sh run --kernel $(one_kernel) --disk 2G --env TIMEOUT_FACTOR=$(one_factor) $(SEED:%=--env SEED=%) \
		--timeout $$((600 + 10 * $(N) * $(one_factor))) -- /src/selftests/crashes.sh $(N)

soak: deps selftests ## checkpoint, kill, restart for MINUTES=n: does anything grow?
	scripts/vm.sh run --disk 2G --timeout $$((600 + 60 * $(MINUTES))) -- /src/selftests/soak.sh $(MINUTES)

packages: ## build Debian packages in build/packages; ARGS=--try: install them in a fresh root file system
	scripts/packages.sh $(ARGS)

lint: ## static checks: shellcheck, W=1, sparse, layout
	scripts/lint.sh

unit: ## unit tests of the tools
	@mkdir -p build
	flock build/.lock.tools $(MAKE) -C tools -j$(JOBS) tests
	$(MAKE) -C tools check

bench: deps ## measure, side by side with CRIU; results in build/bench
	@mkdir -p build/bench
	scripts/vm.sh run --rootfs full --mem 4096 --disk 6G --timeout 3600 --share build/bench -- \
		/src/scripts/bench-guest.py --out "$(CURDIR)/build/bench" $(ARGS)

shell: deps ## a prompt in a test VM, the sources live in /src
	scripts/vm.sh shell --disk 2G

clean: ## remove what was built here (not the cache in ~/.cache/ckpt)
	rm -rf build
	$(MAKE) -C tools clean
	[ ! -e selftests/Makefile ] || $(MAKE) -C selftests clean
