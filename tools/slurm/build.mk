# SPDX-License-Identifier: GPL-2.0
# The Slurm plugin, ckpt.so: every slurm/*.c and what it shares with ckctl. Slurm
# loads none that was built for another release: there is one for each whose
# headers are in a directory of SLURM_INCLUDE, the host's or those of the root
# file systems that scripts/cluster.sh makes.

CKPT_CACHE ?= $(HOME)/.cache/ckpt
SLURM_INCLUDE ?= /usr/include $(wildcard $(CKPT_CACHE)/rootfs/slurm-*/usr/include)
# install-slurm takes that of this release: by default that of the Slurm that is here or,
# for elsewhere (DESTDIR) and where none answers, of the first headers in SLURM_INCLUDE; ...
SLURM_HERE = $(if $(DESTDIR),,$(shell { sinfo --version || slurmd -V; } 2>/dev/null | \
	sed -n 's/^slurm[^ ]* \([0-9]*\.[0-9]*\).*/\1/p'))
SLURM_RELEASE ?= $(or $(SLURM_HERE),$(SLURM_FIRST))
# ... and puts it where slurmd has its own library, which is where its plugins are.
SLURM_PLUGINDIR ?= $(shell ldd "$$(command -v slurmd || command -v srun)" 2>/dev/null | \
	sed -n 's|.*=> \(/.*\)/libslurmfull[^/]*\.so.*|\1|p')
SLURM_CONFDIR ?= /etc/slurm

# RELEASE:DIRECTORY, like 22.05:/usr/include; the first directory of a release counts.
SLURM_HEADERS := $(shell for d in $(SLURM_INCLUDE); do \
	v=$$(sed -n 's/^\#define SLURM_VERSION_NUMBER  *//p' "$$d/slurm/slurm_version.h" 2>/dev/null) && \
	[ -n "$$v" ] && [ -e "$$d/slurm/spank.h" ] && \
	printf '%d.%02d:%s\n' $$((v >> 16)) $$((v >> 8 & 255)) "$$d"; done)
SLURM_FIRST = $(firstword $(subst :, ,$(firstword $(SLURM_HEADERS))))
SLURM_FOUND := $(shell printf '%s\n' $(SLURM_HEADERS) | sort -s -u -t: -k1,1)
SLURM_RELEASES = $(foreach f,$(SLURM_FOUND),$(firstword $(subst :, ,$f)))

SLURM_SOURCES := $(sort $(wildcard slurm/*.c)) $(addprefix ckctl/,conf.c interval.c job/image_dir.c out.c policy.c)
# What it calls of Slurm's is in the program that loads it. Its own names are its own.
SLURM_LDFLAGS = -shared -Wl,--version-script=slurm/ckpt.map -Wl,-z,relro,-z,now

define slurm_release
SLURM_PLUGINS += $(BUILD)/slurm/$1/ckpt.so

$(BUILD)/slurm/$1/%.o: %.c
	@mkdir -p $$(@D)
	$$(say) CC "$$< (Slurm $1)"
	$$(Q)$$(CC) $$(ALL_CFLAGS) -fPIC -isystem $2 $$(DEPEND) -c -o $$(new) $$< && $$(place)

$(BUILD)/slurm/$1/ckpt.so: $(SLURM_SOURCES:%.c=$(BUILD)/slurm/$1/%.o) slurm/ckpt.map
	$$(say) LD $$@
	$$(Q)$$(CC) $$(CFLAGS) $$(LDFLAGS) $$(SLURM_LDFLAGS) -o $$(new) $$(filter %.o,$$^) && $$(place)
endef
$(foreach f,$(SLURM_FOUND),$(eval $(call slurm_release,$(firstword $(subst :, ,$f)),$(lastword $(subst :, ,$f)))))

slurm: $(SLURM_PLUGINS)
ifeq ($(SLURM_FOUND),)
	@echo "No headers of Slurm (slurm/spank.h) in $(SLURM_INCLUDE): its plugin is not built."
endif

# Where it goes, and what is not the plugin: MODE:FILE:DESTINATION. Prolog and epilog count
# when slurm.conf has these directories; the front of scontrol, when it is put in PATH.
SLURM_HOOKS = 0644:ckpt.conf:$(SLURM_CONFDIR)/plugstack.conf.d/ckpt.conf \
	0755:prolog:$(SLURM_CONFDIR)/prolog.d/50-ckpt 0755:epilog:$(SLURM_CONFDIR)/epilog.d/50-ckpt \
	0755:scontrol:$(PREFIX)/libexec/ckpt/scontrol
hook = $(word $1,$(subst :, ,$2))

define slurm_hook
	sed 's|@PREFIX@|$(PREFIX)|' slurm/$(call hook,2,$1) >$(BUILD)/slurm/$(call hook,2,$1)
	install -D -m $(call hook,1,$1) $(BUILD)/slurm/$(call hook,2,$1) "$(DESTDIR)$(call hook,3,$1)"

endef

install-slurm: slurm
	@[ -n "$(strip $(SLURM_RELEASES))" ] || { echo "There are no headers of Slurm (libslurm-dev): nothing to install."; exit 1; }
	@[ -n "$(filter $(SLURM_RELEASE),$(SLURM_RELEASES))" ] || { echo "The plugin for Slurm $(SLURM_RELEASE) was not built, only for $(SLURM_RELEASES): say in SLURM_INCLUDE= where the headers of that release are."; exit 1; }
	@[ -n "$(SLURM_PLUGINDIR)" ] || { echo "There is no Slurm here: say SLURM_PLUGINDIR=, where its plugins go."; exit 1; }
	install -D -m 0755 $(BUILD)/slurm/$(SLURM_RELEASE)/ckpt.so "$(DESTDIR)$(SLURM_PLUGINDIR)/ckpt.so"
	$(foreach h,$(SLURM_HOOKS),$(call slurm_hook,$h))

# The line in plugstack.conf.d first, and all of it where Slurm itself is gone already.
uninstall-slurm:
	rm -f $(foreach h,$(SLURM_HOOKS),"$(DESTDIR)$(call hook,3,$h)") \
		$(if $(SLURM_PLUGINDIR),"$(DESTDIR)$(SLURM_PLUGINDIR)/ckpt.so")
	@rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(PREFIX)/libexec/ckpt" "$(DESTDIR)$(SLURM_CONFDIR)/prolog.d" \
		"$(DESTDIR)$(SLURM_CONFDIR)/epilog.d" 2>/dev/null || true

.PHONY: slurm install-slurm uninstall-slurm
