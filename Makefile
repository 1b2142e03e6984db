# SPDX-License-Identifier: MIT
# Lathe: one make file for everything. Folders are the list: a new lib/NAME with its
# NAME.mk, or a new tools/NAME with its NAME.mk, is found by itself. Nothing is written
# outside o/. `make help` lists the targets.
VERSION := 0.1
MODE ?= rel
modes := rel dbg asan tsan fuzz
ifeq (,$(filter $(MODE),$(modes)))
$(error MODE=$(MODE): one of $(modes))
endif
o := o/$(MODE)

HOSTCC ?= cc
PKG_CONFIG ?= pkg-config
INSTALL ?= install
CFLAGS ?= $(CFLAGS_$(MODE))
CFLAGS_rel := -O2 -g
CFLAGS_dbg := -O1 -g
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer
mode_dbg := -DLATHE_DEBUG
mode_asan := -DLATHE_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=undefined
mode_tsan := -DLATHE_DEBUG -fsanitize=thread -Wno-unknown-warning-option -Wno-tsan
mode_fuzz := -DLATHE_DEBUG -fsanitize=fuzzer-no-link,address
ifeq ($(MODE)$(origin CC),fuzzdefault)
CC := clang
endif
warn := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wno-unused-parameter $(if $(filter no,$(WERROR)),,-Werror)

# ---- what there is
.DEFAULT_GOAL := all
libs := $(patsubst lib/%/,%,$(wildcard lib/*/))
tools := $(patsubst tools/%/,%,$(wildcard tools/*/))
include $(wildcard $(foreach l,$(libs),lib/$(l)/$(l).mk lib/$(l)/*/*.mk))
include $(wildcard $(foreach t,$(tools),tools/$(t)/$(t).mk))
order := $(shell build/layers.sh order 2>/dev/null)
order += $(filter-out $(order),$(libs))
reverse = $(if $(1),$(call reverse,$(wordlist 2,999,$(1))) $(firstword $(1)))
found := $(sort $(shell find $(wildcard lib tools) -name '*.[chS]' -o -name '*.decode'))
headers := $(filter lib/%.h,$(found))
tests := $(foreach f,$(found),$(if $(filter test_%.c,$(notdir $(f))),$(f)))
fuzzers := $(foreach f,$(found),$(if $(filter fuzz_%.c,$(notdir $(f))),$(f)))
sources := $(filter-out $(tests) $(fuzzers),$(filter %.c %.S,$(found)))
objects_of = $(addprefix $(o)/,$(addsuffix .o,$(basename $(filter $(1)/%,$(sources)))))
# lib/x/sub/test_y.c -> x_sub_y
program = $(subst /,_,$(patsubst lib/%/,%,$(dir $(1))))_$(patsubst fuzz_%,%,$(patsubst test_%,%,$(basename $(notdir $(1)))))
library = $(firstword $(subst /, ,$(patsubst lib/%,%,$(1))))

# N_all: N and all below it; from the ground up, so that each is computed once.
$(foreach l,$(call reverse,$(order)),$(eval $(l)_all := $(sort $(l) $(foreach u,$($(l)_uses),$($(u)_all)))))
closure = $(sort $(foreach l,$(1),$($(l)_all)))
archives = $(foreach l,$(filter $(call closure,$(1)),$(order)),$(if $(filter lib/$(l)/%,$(sources)),$(o)/lib$(l).a))
pkgs_of = $(sort $(foreach l,$(call closure,$(1)),$($(l)_pkgs) $(filter $(have),$($(l)_opt_pkgs))))
ldlibs_of = $(sort $(foreach l,$(call closure,$(1)),$($(l)_ldlibs)))

# ---- packages: N_pkgs must be there to build, N_opt_pkgs give -DHAVE_NAME when they are.
pkgs := $(sort $(foreach l,$(libs),$($(l)_pkgs)))
opt_pkgs := $(sort $(foreach l,$(libs),$($(l)_opt_pkgs)))
have := $(shell for p in $(pkgs) $(opt_pkgs); do $(PKG_CONFIG) --exists $$p 2>/dev/null && echo $$p; done)
missing := $(filter-out $(have),$(pkgs))
macro = -DHAVE_$(shell echo '$(1)' | tr 'a-z.+-' 'A-Z____')
pkg_cflags := $(if $(have),$(shell $(PKG_CONFIG) --cflags $(have))) $(foreach p,$(filter $(have),$(opt_pkgs)),$(call macro,$(p)))

cc_flags = -std=gnu11 -fPIE -pthread -ffile-prefix-map=$(CURDIR)/= -Ilib -I$(o) -D_GNU_SOURCE \
	-DLATHE_VERSION='"$(VERSION)"' $(mode_$(MODE)) $(warn) $(pkg_cflags) $(CPPFLAGS) $(CFLAGS)
ld_flags = $(filter -fsanitize=%,$(mode_$(MODE))) -pie -pthread $(CFLAGS) $(LDFLAGS)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(@:$(CURDIR)/%=%)')
# a file that changes only when its text does
stamp = $(shell mkdir -p $(dir $(1)); printf '%s\n' '$(subst ','\'',$(2))' >$(1).$$PPID; \
	cmp -s $(1).$$PPID $(1) && rm $(1).$$PPID || mv $(1).$$PPID $(1))
ifneq (,$(filter-out help layers floors clean distclean dist check soak demo bench deps list,$(or $(MAKECMDGOALS),all)))
$(call stamp,$(o)/.flags,$(CC) $(cc_flags) $(ld_flags) $(STATIC))
$(call stamp,$(o)/.list,$(sources))
endif

# ---- targets
gens := $(patsubst lib/%.decode,$(o)/gen/%.inc,$(filter %.decode,$(found)))
test_programs := $(foreach t,$(tests),$(o)/test/$(call program,$(t)))
fuzz_programs := $(foreach t,$(fuzzers),$(o)/fuzz/$(call program,$(t)))
tool_programs := $(foreach t,$(tools),$(if $(filter tools/$(t)/%,$(sources)),$(o)/$(t)))
.PHONY: all tests fuzzers demo check soak bench deps install install-compat help layers floors headers \
	packages clean distclean dist list
.DELETE_ON_ERROR:
.SECONDARY:

all: $(tool_programs) $(foreach l,$(order),$(call archives,$(l))) ## build every tool and library (the default)
tests: $(test_programs) $(fuzz_programs) ## build the unit tests and fuzz targets
fuzzers: $(fuzz_programs)

$(o)/%.o: %.c $(o)/.flags | packages $(gens)
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cc_flags) $(own_cflags) -MMD -MP -c -o $@ $<
$(o)/%.o: %.S $(o)/.flags | packages
	$(call say,AS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(cc_flags) $(own_cflags) -MMD -MP -c -o $@ $<
$(o)/lib%.a: $(o)/.list
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcsD $@ $(filter %.o,$^)

# NAME.static always; with STATIC=1 also the tools whose N_static says that they can be.
is_static = $(or $(filter %.static,$(1)),$(and $(STATIC),$($(notdir $(1))_static)))
# $(1) the program, $(2) its objects, $(3) the libraries it names, $(4) more to link
define program_rule
$(1): private pkgs := $(call pkgs_of,$(3))
$(1): private libs_ := $(call ldlibs_of,$(3)) $(4)
$(1): $(2) $(call archives,$(3)) $(o)/.flags
	$$(call say,LD)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $(if $(call is_static,$(1)),$$(filter-out -pie,$$(ld_flags)) -static-pie,$$(ld_flags)) \
	    $(if $(filter $(o)/fuzz/%,$(1)),$(if $(filter fuzz,$(MODE)),-fsanitize=fuzzer)) -o $$@ $$(filter %.o %.a,$$^) \
	    $$(if $$(pkgs),$$$$($(PKG_CONFIG) $(if $(call is_static,$(1)),--static) --libs $$(pkgs))) \
	    $$(libs_) $$(LDLIBS) -lm
endef
replay := $(if $(filter fuzz,$(MODE)),,$(o)/build/replay.o)
obj = $(addprefix $(o)/,$(1:.c=.o))
$(foreach l,$(libs),$(eval $(o)/lib$(l).a: $(call objects_of,lib/$(l)))\
	$(eval $(o)/lib/$(l)/%.o: private own_cflags = $$($(l)_cflags)))
$(foreach t,$(tools),$(eval $(call program_rule,$(o)/$(t),$(call objects_of,tools/$(t)),$($(t)_libs)))\
	$(eval $(call program_rule,$(o)/$(t).static,$(call objects_of,tools/$(t)),$($(t)_libs)))\
	$(eval $(o)/tools/$(t)/%.o: private own_cflags = $$($(t)_cflags)))
$(foreach t,$(tests),$(eval $(call program_rule,$(o)/test/$(call program,$(t)),$(call obj,$(t)),$(call library,$(t)),$($(call library,$(t))_test_ldlibs))))
$(foreach t,$(fuzzers),$(eval $(call program_rule,$(o)/fuzz/$(call program,$(t)),$(call obj,$(t)) $(replay),$(call library,$(t)))))

# bench/X.c measures a library beside what it stands on, or loads others through it
$(eval $(call program_rule,$(o)/bench/tls,$(o)/bench/tls.o,crypto))
$(eval $(call program_rule,$(o)/bench/fsload,$(o)/bench/fsload.o,vhost))

# lib/guest/ISA/X.decode -> gen/guest/ISA/X.inc; ISA_ctx in lib/guest/ISA/ISA.mk names the context type.
$(o)/host/decode: build/decode.c
	$(call say,HOSTCC)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -O1 -g -std=gnu11 -Wall -Wextra -o $@ $<
$(o)/gen/%.inc: lib/%.decode $(o)/host/decode
	$(call say,DECODE)
	@mkdir -p $(@D)
	$(Q)$(o)/host/decode --prefix $(basename $(@F)) --ctx $(or $($(notdir $(@D))_ctx),Ctx) -o $@ $<

packages:
ifneq (,$(missing))
	@echo 'missing: $(missing) (pkg-config names); build/deps.sh build installs them' >&2; exit 1
endif

# ---- checks
list: # for the scripts: library, program, corpus folder
	@:$(foreach t,$(tests),; echo $(call library,$(t)) $(o)/test/$(call program,$(t)))\
	    $(foreach t,$(fuzzers),; echo $(call library,$(t)) $(o)/fuzz/$(call program,$(t)) $(subst fuzz_,corpus_,$(t:.c=)))
headers: $(patsubst %.h,$(o)/headers/%.ok,$(headers)) ## compile each header alone
$(o)/headers/lib/%.ok: lib/%.h $(o)/.flags | packages $(gens)
	@mkdir -p $(@D)
	$(Q)echo '#include "$*.h"' | $(CC) $(cc_flags) $(if $(filter test_%,$(notdir $*)),-Wno-unused-function) -MMD -MP -MF $(@:.ok=.d) -MT $@ -x c -S -o /dev/null -
	@touch $@
layers: ## check every include against the N_uses lines
	@build/layers.sh check
floors: ## print which library stands on which
	@build/layers.sh floors
deps: ## install what building and testing needs
	@build/deps.sh
check: ## run all tests; TESTS=a,b picks some, DEPS=no installs nothing
	+@MAKE='$(MAKE)' MODE=$(MODE) TESTS='$(TESTS)' DEPS='$(DEPS)' build/check.sh
soak: ## what takes long: SOAK_SECONDS of fuzzing a target, tests/soak, bats with LATHE_SOAK=1
	+@MAKE='$(MAKE)' build/soak.sh
demo: ## boot a real Linux guest to a shell
	+@MAKE='$(MAKE)' DEPS='$(DEPS)' build/demo.sh
bench: ## measure: ratios to native and to the peer
	@test -x bench/run.sh || { echo 'bench/run.sh is not there yet' >&2; exit 1; }
	+@MAKE='$(MAKE)' DEPS='$(DEPS)' bench/run.sh
	+@MAKE='$(MAKE)' DEPS='$(DEPS)' bench/vm-run-io.sh
	+@MAKE='$(MAKE)' DEPS='$(DEPS)' bench/vm-user.sh
	+@MAKE='$(MAKE)' DEPS='$(DEPS)' bench/img.sh
	+@MAKE='$(MAKE)' DEPS='$(DEPS)' bench/nbd.sh
	+@$(MAKE) -s $(o)/bench/tls && $(o)/bench/tls

# ---- installing
PREFIX ?= /usr/local
prefix ?= $(PREFIX)
exec_prefix ?= $(prefix)
bindir ?= $(exec_prefix)/bin
datarootdir ?= $(prefix)/share
mandir ?= $(datarootdir)/man
unitdir ?= $(prefix)/lib/systemd/system
udevdir ?= $(prefix)/lib/udev/rules.d
# other program's name:our tool
compat := qemu-system-riscv64:vm-run qemu-riscv64:vm-user qemu-riscv64-static:vm-user qemu-aarch64:vm-user qemu-aarch64-static:vm-user qemu-img:img qemu-nbd:nbd qemu-ga:ga virtiofsd:fsd
put = $(if $(2),$(INSTALL) -d '$(DESTDIR)$(3)' && $(INSTALL) -m $(1) $(2) '$(DESTDIR)$(3)/',:)
install: $(tool_programs) ## install tools, man pages, completions and units (DESTDIR, PREFIX)
	$(call put,755,$(tool_programs),$(bindir))
	$(call put,644,$(wildcard man/*.1),$(mandir)/man1)
	$(call put,644,$(wildcard completion/bash/*),$(datarootdir)/bash-completion/completions)
	$(call put,644,$(wildcard completion/zsh/_*),$(datarootdir)/zsh/site-functions)
	$(call put,644,$(wildcard share/*.rules),$(udevdir))
	$(INSTALL) -d '$(DESTDIR)$(unitdir)' '$(DESTDIR)$(datarootdir)/qemu/vhost-user'
	sed 's,@bindir@,$(bindir),' share/60-lathe-fsd.json.in >'$(DESTDIR)$(datarootdir)/qemu/vhost-user/60-lathe-fsd.json'
	for u in $(patsubst share/%.in,%,$(wildcard share/*.service.in)); do \
	    sed 's,@bindir@,$(bindir),' share/$$u.in >'$(DESTDIR)$(unitdir)/'$$u || exit 1; done
install-compat: install ## also install links under the names that scripts expect
	$(foreach c,$(compat),$(if $(filter $(lastword $(subst :, ,$(c))),$(tools)),\
	    ln -sf $(lastword $(subst :, ,$(c))) '$(DESTDIR)$(bindir)/$(firstword $(subst :, ,$(c)))';)) :
dist: ## o/lathe-VERSION.tar.gz of the last commit
	@mkdir -p o && git archive --prefix=lathe-$(VERSION)/ HEAD | gzip -n >o/lathe-$(VERSION).tar.gz
clean: ## remove what was built (o/guests stays; distclean removes it too)
	rm -rf $(addprefix o/,$(modes))
distclean:
	rm -rf o
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{ printf "  make %-15s %s\n", $$1, $$2 }' Makefile
	@echo '  MODE=rel|dbg|asan|tsan|fuzz picks o/MODE; STATIC=1 makes vm-user and ga static files; V=1 shows commands; WERROR=no keeps warnings warnings'

ifeq (,$(filter help layers floors clean distclean dist check list,$(MAKECMDGOALS)))
-include $(shell find $(o) -name '*.d' 2>/dev/null)
endif
