# ModularForge: `make` sets up, builds and runs the whole pipeline; `make check` tests it; `make help` lists the rest.

PREFIX  ?= /usr/local
DESTDIR ?=
CFLAGS  ?= -O3 -g

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

B        ?= build
LIBS     := openblas libarchive msgpack yaml-0.1 libutf8proc jansson libxxhash libcrypto libedit
WARN     := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes
MF_FLAGS  = -std=c11 -D_GNU_SOURCE -Ilib $(WARN) -fno-math-errno -ffp-contract=off -pthread
MF_FLAGS += $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
LDLIBS    = $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lm -pthread

# Where there is MPI, mf-train-shared alone has lib/train/ranks_mpi.c in the place of the library's ranks_one.c. Looked
# for when it is linked, since `make deps` may have brought it; MPI= builds without it.
MPI      ?= $(shell pkg-config --exists ompi-c && echo ompi-c)
RANKS    := lib/train/ranks_mpi.c
WITH_MPI  = $(if $(MPI),$(MF_FLAGS) $(RANKS) $(shell pkg-config --cflags --libs $(MPI)))

PROGRAMS := $(patsubst bin/%.c,$B/bin/%,$(wildcard bin/mf-*.c))
UNITS    := $(patsubst tests/%.c,$B/tests/%,$(wildcard tests/*_test.c))

include pipelines/names.mk
include pipelines/corpus.mk
include pipelines/cluster.mk
include pipelines/modular.mk
include pipelines/plot.mk
include pipelines/ablation.mk
include pipelines/scaling.mk
include pipelines/bench.mk
include pipelines/install.mk

## all        set up, build, and run the pipeline with CONFIG (default configs/demo.yaml)
.PHONY: all
all: deps build $(RUN)/report.html

## deps       install the Debian packages that are missing
PACKAGES := build-essential pkg-config libopenblas-dev libarchive-dev libmsgpack-dev libyaml-dev libutf8proc-dev \
    libjansson-dev libxxhash-dev libssl-dev libedit-dev libcmocka-dev bats bats-support bats-assert jq xxd procps xz-utils \
    libopenmpi-dev openmpi-bin strace util-linux python3-torch python3-msgpack nodejs npm/npm gnuplot-nox chromium \
    mandoc man-db installation-guide-amd64 $(CORPUS_PACKAGES)
.PHONY: deps
deps:
ifneq ($(filter deps,$(if $(LOOKING),$(MAKECMDGOALS),deps)),)
	@scripts/deps.sh $(PACKAGES)
endif

## build      compile the programs into build/bin
.PHONY: build
build: $(PROGRAMS)

# Rules of one build: folder, further flags.
define RULES
.SECONDARY: $(patsubst %.c,$(1)/obj/%.o,$(wildcard bin/*.c tests/*.c))

$(1)/libmf.a: $(patsubst %.c,$(1)/obj/%.o,$(filter-out $(RANKS),$(wildcard lib/*/*.c)))
	@rm -f $$@
	@$(AR) rcs $$@ $$^

$(1)/obj/%.o: %.c Makefile | deps
	@mkdir -p $$(@D)
	@echo "cc $$@"
	@$$(CC) $$(MF_FLAGS) $$(CFLAGS) $(2) -MMD -MP -c -o $$@ $$<

$(1)/bin/%: $(1)/obj/bin/%.o $(1)/libmf.a
	@mkdir -p $$(@D)
	@echo "link $$@"
	@$$(CC) $$(CFLAGS) $(2) $$(LDFLAGS) -o $$@ $$(AHEAD) $$(filter %.o %.a,$$^) $$(LDLIBS)

$(1)/bin/mf-train-shared: AHEAD = $$(WITH_MPI)
$(1)/bin/mf-train-shared: $(RANKS)

$(1)/tests/%: $(1)/obj/tests/%.o $(1)/libmf.a
	@mkdir -p $$(@D)
	@echo "link $$@"
	@$$(CC) $$(CFLAGS) $(2) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LDLIBS)
endef
SANITIZE := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
COVERAGE := -O0 --coverage -fprofile-update=atomic
$(eval $(call RULES,$B,))
$(eval $(call RULES,$B/sanitized,$(SANITIZE)))
$(eval $(call RULES,$B/coverage,$(COVERAGE)))
include pipelines/fuzz.mk
SANITIZED := $(patsubst $B/%,$B/sanitized/%,$(PROGRAMS))

-include $(shell find $B -name '*.d' 2>/dev/null)

## check      set up, build, and run every test, the end-to-end ones again with sanitizers
.PHONY: check
check: deps build $(UNITS) $B/tests/faults.so $(SANITIZED) $(PEERS)
	@scripts/check.sh $B

## check-long every fault in every program, every reader fuzzed, kills all over the pipeline, and a cluster: some twenty minutes (SEED=, KILLS=100)
KILLS ?= 100
.PHONY: check-long
check-long: deps build $(SANITIZED) $B/tests/faults.so $B/fuzz/readers
	@scripts/check_long.sh $B $(KILLS) $(SEED)

# What the next targets need besides.
TOOLS := clang-format clang-tidy cppcheck shellcheck pyflakes3 valgrind gcovr
.PHONY: tools
tools: deps
	@scripts/deps.sh $(TOOLS)

## valgrind   the unit tests under valgrind: memory that is misused, lost, or read before it was written
VALGRIND := valgrind -q --error-exitcode=1 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
UNDER_VALGRIND := $(UNITS:$B/tests/%=valgrind-%)
.PHONY: valgrind $(UNDER_VALGRIND)
valgrind: $(UNDER_VALGRIND)
$(UNDER_VALGRIND): valgrind-%: $B/tests/% | tools
	@echo "valgrind $*"
	@log=$$($(VALGRIND) $< 2>&1) || { echo "$$log"; exit 1; }

## coverage   lines of lib/ that tests reach; fails where a file of lib/io has less than 85%
.PHONY: coverage
coverage: tools $(PROGRAMS:$B/%=$B/coverage/%) $(UNITS:$B/%=$B/coverage/%) $B/tests/faults.so
	@MF_FAULTS=$(abspath $B)/tests/faults.so scripts/coverage.sh $B/coverage

# Makes calls of the system fail; loaded into a program, so built apart from the library.
$B/tests/faults.so: tests/faults.c Makefile | deps
	@mkdir -p $(@D)
	@echo "cc $@"
	@$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -fPIC -shared -o $@ $<

# Analysers of C, for each file once until it changes. gcc loses sight of blocks that are kept in arrays and calls them
# leaks: those are left to the sanitizers and to valgrind. In tests small blocks are not checked for (lib/base/memory.h).
ANALYSE := -O1 -fanalyzer -Wno-analyzer-malloc-leak -Werror
$B/lint/tests/%.ok: ANALYSE += -Wno-analyzer-possible-null-dereference -Wno-analyzer-possible-null-argument
$B/lint/$(RANKS:.c=.ok): MF_FLAGS += $(shell pkg-config --cflags $(MPI))
$B/lint/%.ok: %.c .clang-tidy tests/.clang-tidy | tools
	@mkdir -p $(@D)
	@echo "lint $<"
	@gcc $(MF_FLAGS) $(ANALYSE) -MMD -MP -MF $(@:.ok=.d) -MT $@ -c -o /dev/null $<
	@clang-tidy --quiet $< -- $(MF_FLAGS) 2> /dev/null
	@touch $@

## lint       look for bugs without running anything: analysers of C, shell and Python, and the format of C
SOURCES := $(wildcard lib/*/*.c bin/*.c tests/*.c)
.PHONY: lint
lint: $(SOURCES:%.c=$B/lint/%.ok)
	@echo "lint format, all of C together, scripts"
	@clang-format --dry-run -Werror $(SOURCES) $(wildcard lib/*/*.h tests/*.h)
	@cppcheck -q --error-exitcode=1 --std=c11 --library=gnu,posix,openssl,tests/cppcheck.cfg \
	    --enable=warning,performance --suppressions-list=tests/cppcheck.txt -Ilib $(SOURCES)
	@shellcheck scripts/*.sh tests/*.sh tests/fuzz/*.sh .ci/run
	@pyflakes3 $(wildcard scripts/*.py tests/*.py tests/*/*.py)

## clean      remove what was built;  distclean: remove runs too
.PHONY: clean distclean
clean:
	rm -rf $B
distclean: clean
	rm -rf runs

## help       list these targets
.PHONY: help
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
