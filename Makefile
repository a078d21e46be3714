# ModularForge: `make` sets up, builds and runs the whole pipeline; `make check` tests it; `make help` lists the rest.

PREFIX  ?= /usr/local
DESTDIR ?=
CFLAGS  ?= -O3 -g

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

include pipelines/names.mk
ifneq ($(UNLOCKED),)
include pipelines/lock.mk
else

LIBS     := openblas libarchive zlib liblzma libzstd liblz4 msgpack yaml-0.1 libutf8proc libpcre2-8 jansson libxxhash libcrypto libedit
WARN     := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes
MF_FLAGS  = -std=c11 -D_GNU_SOURCE -Ilib -Ibin $(WARN) -fno-math-errno -ffp-contract=off -pthread
MF_FLAGS += $(shell pkg-config --cflags $(LIBS) 2>/dev/null)
LDLIBS    = -Wl,--as-needed $(shell pkg-config --libs $(LIBS) 2>/dev/null) -lbz2 -lm -pthread

# Where there is MPI, mf-train-shared alone has lib/train/ranks_mpi.c in the place of the library's ranks_one.c. Looked
# for when it is linked, since `make deps` may have brought it; MPI= builds without it.
MPI      ?= $(shell pkg-config --exists ompi-c 2> /dev/null && echo ompi-c)
MPI_C    := lib/train/ranks_mpi.c
WITH_MPI  = $(if $(MPI),$(MF_FLAGS) $(MPI_C) $(shell pkg-config --cflags --libs $(MPI)))

PROGRAMS := $(patsubst bin/%.c,$B/bin/%,$(wildcard bin/mf-*.c))
PAGE     := $(wildcard bin/cli/page/*.html bin/cli/page/*.css bin/cli/page/*.gnuplot)
UNITS    := $(patsubst tests/%.c,$B/tests/%,$(wildcard tests/unit/*_test.c))

include pipelines/corpus.mk
include pipelines/cluster.mk
include pipelines/modular.mk
include pipelines/plot.mk
include pipelines/ablation.mk
include pipelines/search.mk
include pipelines/scaling.mk
include pipelines/bench.mk
include pipelines/install.mk

## all        set up, build, and run the pipeline with CONFIG (default configs/demo.yaml), DATA=, SET=, THREADS=,
##            BASE= (a model to start from), RANKS= (processes that train the shared backbone), SHARDS= (jobs that read and
##            encode documents), LAUNCH= (a cluster's launcher)
.PHONY: all
all: deps build $(RUN)/report.html

## deps       install the Debian packages that are missing to build and run; with RANKS= MPI too. What looks for faults or
##            measures (check, lint, bench ...) installs what that needs besides
PACKAGES := build-essential pkg-config libopenblas-dev libarchive-dev zlib1g-dev libbz2-dev liblzma-dev libzstd-dev \
    liblz4-dev libmsgpack-dev libyaml-dev libutf8proc-dev libpcre2-dev libjansson-dev libxxhash-dev libssl-dev libedit-dev libdnnl-dev \
    jq procps util-linux gnuplot-nox
MPI_PACKAGES  := libopenmpi-dev openmpi-bin
TEST_PACKAGES := libcmocka-dev bats bats-support bats-assert xxd xz-utils zstd lz4 bzip2 strace python3-torch python3-msgpack nodejs npm/npm \
    chromium mandoc man-db help2man bash-completion installation-guide-amd64 $(CORPUS_PACKAGES) $(MPI_PACKAGES)
TESTING := $(filter check% test-deps tools lint valgrind% coverage fuzz bench% ablation% scaling% $B/tests/% $B/fuzz/%,$(MAKECMDGOALS))
WANTED   = $(PACKAGES) $(if $(filter-out 1,$(RANKS)),$(MPI_PACKAGES)) $(if $(filter $(CORPUS),$(DATA)),$(CORPUS_PACKAGES)) \
    $(if $(TESTING),$(TEST_PACKAGES)) $(if $(filter man install,$(MAKECMDGOALS)),help2man)
.PHONY: deps test-deps
deps:
ifneq ($(filter deps test-deps,$(if $(LOOKING),$(MAKECMDGOALS),deps)),)
	@pipelines/deps.sh $(WANTED)
endif

## test-deps  the same with what tests and benches need
test-deps: deps

## build      compile the programs into build/bin
.PHONY: build
build: $(PROGRAMS)

# Rules of one build: folder, further flags.
define RULES
.SECONDARY: $(patsubst %.c,$(1)/obj/%.o,$(wildcard bin/*.c tests/*/*.c))

$(1)/libmf.a: $(patsubst %.c,$(1)/obj/%.o,$(filter-out $(MPI_C),$(wildcard lib/*/*.c)))
	@rm -f $$@
	@$(AR) rcs $$@ $$^

$(1)/cli.a: $(patsubst %.c,$(1)/obj/%.o,$(wildcard bin/cli/*.c)) $(PAGE:%=$(1)/obj/%.o)
	@rm -f $$@
	@$(AR) rcs $$@ $$^

$(1)/obj/%.o: %.c Makefile | deps
	@mkdir -p $$(@D)
	@echo "cc $$@"
	@$$(CC) $$(MF_FLAGS) $$(CFLAGS) $(2) -MMD -MP -c -o $$@ $$<

# Files of the report page that are put into mf-eval: page/report.html is the string mf_file_report_html.
$(1)/obj/bin/cli/page/%.o: bin/cli/page/% Makefile | deps
	@mkdir -p $$(@D)
	@echo "cc $$@"
	@{ echo 'const char mf_file_$$(subst .,_,$$*)[] ='; LC_ALL=C sed 's/[\\"?]/\\&/g; s/.*/"&\\n"/' $$<; echo ';'; } | \
	    $$(CC) $$(CFLAGS) $(2) -x c -c -o $$@ -

# In one step, since another make may be running the program that was there.
$(1)/bin/%: $(1)/obj/bin/%.o $(1)/cli.a $(1)/libmf.a
	@mkdir -p $$(@D)
	@echo "link $$@"
	@new=$$(basename $$<).$$$$$$$$; \
	    $$(CC) $$(CFLAGS) $(2) $$(LDFLAGS) -o "$$$$new" $$(AHEAD) $$(filter %.o %.a,$$^) $$(LDLIBS) && mv "$$$$new" $$@

$(1)/bin/mf-train-shared: AHEAD = $$(WITH_MPI)
$(1)/bin/mf-train-shared: $(MPI_C) $(1)/mpi
$(1)/mpi: $(if $(LOOKING),,$(if $(filter-out '$(shell cat $(1)/mpi 2>/dev/null)','$(MPI)')$(MPI_COMES),mpi-stale)) | deps
	@mkdir -p $$(@D)
	@echo '$(MPI)' > $$@

$(1)/tests/%: $(1)/obj/tests/%.o $(1)/cli.a $(1)/libmf.a
	@mkdir -p $$(@D)
	@echo "link $$@"
	@$$(CC) $$(CFLAGS) $(2) $$(LDFLAGS) -o $$@ $$^ -lcmocka $$(LDLIBS)
endef

# A build notes the MPI that mf-train-shared was linked with ($(1)/mpi); it is written again, and the program linked, when
# another is there or is to come with the packages.
MPI_COMES := $(if $(MPI),,$(filter $(MPI_PACKAGES),$(WANTED)))
.PHONY: mpi-stale
mpi-stale:

SANITIZE := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
COVERAGE := -O0 --coverage -fprofile-update=atomic
$(eval $(call RULES,$B,))
$(eval $(call RULES,$B/sanitized,$(SANITIZE)))
$(eval $(call RULES,$B/coverage,$(COVERAGE)))
include pipelines/checks.mk
include pipelines/fuzz.mk

-include $(shell find $B -name '*.d' 2>/dev/null)

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
endif
